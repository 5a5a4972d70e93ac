"""How a command ends for which refusal."""

import pytest

from server.client.errors import ClientError, Exit, refused


@pytest.mark.parametrize(
    ("status", "code", "exit_status"),
    [
        (400, "bad_params", Exit.MISTAKE),
        (403, "wrong_pin", Exit.NOT_ALLOWED),
        (404, "room_not_found", Exit.NOT_FOUND),
        (409, "room_full", Exit.NOT_NOW),
        (500, "internal", Exit.FAILED),
        (503, "draining", Exit.NOT_NOW),
        (0, "room_full", Exit.NOT_NOW),  # over a socket there is only the code
        (0, "wrong_pin", Exit.NOT_ALLOWED),
        (0, "something_new", Exit.FAILED),
    ],
)
def test_status(status: int, code: str, exit_status: Exit) -> None:
    """The status decides, else the code."""
    assert refused(status, code, "No").exit_status is exit_status


def test_what_to_do() -> None:
    """Where something can be done about it, the sentence says so."""
    assert str(refused(403, "wrong_pin", "Wrong PIN")) == "Wrong PIN: give it with --pin"
    assert str(refused(403, "other", "No")) == "No"


def test_code() -> None:
    """Programs find a code in every error: the server's, else what the status is called."""
    assert refused(409, "room_full", "No").code == "room_full"
    assert ClientError("No", Exit.UNREACHABLE).code == "unreachable"
