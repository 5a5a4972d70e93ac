"""What the program reads before it serves."""

from pathlib import Path

import pytest

from server.compose.program import _turn_secret
from server.errors import SetupMistake


def test_the_secret_of_the_relays(tmp_path: Path) -> None:
    """From its file, without the line's end; none where no file is named."""
    file = tmp_path / "secret"
    file.write_text("shared \n")
    assert _turn_secret(file) == "shared"
    assert _turn_secret(None) == ""


@pytest.mark.parametrize("content", [None, b" \n", b"\xff\xfe"])
def test_no_secret(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, empty or no text: the sentence names it."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SetupMistake, match=str(file)):
        _turn_secret(file)
