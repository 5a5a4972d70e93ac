"""A room's chat."""

import pytest

from server.domain.chat import BURST, MAX_CHARACTERS, MAX_KEPT_CHARACTERS, Log, Written
from server.domain.identity import UserId

ADA, BOB = UserId("ada"), UserId("bob")


def write(log: Log, text: str = "hello", *, most: int = 3, to: UserId | None = None) -> Written:
    written = Written(log.number(), "now", ADA, "Ada", text, to)
    log.keep(written, most)
    return written


def numbers(log: Log, after: int = 0) -> list[int]:
    return [one.number for one in log.after(after)]


def test_the_last_are_kept() -> None:
    """So many of the last are kept, in order; who knows some asks for what came after."""
    log = Log()
    for _ in range(5):
        write(log)
    assert numbers(log) == [3, 4, 5]
    assert numbers(log, after=4) == [5]
    write(log, most=0)
    assert numbers(log) == []


def test_private_messages_are_not_kept() -> None:
    """What is for one person is not there for those who come later, but has its number."""
    log = Log()
    write(log, to=BOB)
    assert write(log).number == 2
    assert numbers(log) == [2]


def test_long_messages_push_others_out() -> None:
    """However many may be kept, their text together has an end."""
    log = Log()
    for _ in range(100):
        write(log, "x" * MAX_CHARACTERS, most=200)
    assert len(numbers(log)) == MAX_KEPT_CHARACTERS // MAX_CHARACTERS


def test_pace() -> None:
    """Some messages at once, then one a second, for each by themselves; refusals cost nothing."""
    log = Log()
    assert [log.wait_s(ADA, 10.0) for _ in range(BURST)] == [0.0] * BURST
    assert [log.wait_s(ADA, 10.0) for _ in range(3)] == pytest.approx([1.0] * 3)
    assert log.wait_s(BOB, 10.0) == 0.0
    assert log.wait_s(ADA, 10.5) == pytest.approx(0.5)
    assert log.wait_s(ADA, 11.0) == 0.0
    assert log.wait_s(ADA, 11.0) > 0


def test_pace_forgets() -> None:
    """Who has not written for a while is not remembered."""
    log = Log()
    for number in range(100):
        log.wait_s(UserId(str(number)), float(10 * number))
    assert len(log._free_at) == 1


def test_entry() -> None:
    """A message as it travels."""
    assert Written(1, "now", ADA, "Ada", "hi", BOB).entry() == {
        "id": 1,
        "at": "now",
        "userId": "ada",
        "displayName": "Ada",
        "text": "hi",
        "to": "bob",
    }
