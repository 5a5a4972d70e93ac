"""Titles in the stream of an internet radio."""

import re

import pytest

from server.domain.icy import METAINT, Weaver, block, printable, title


def unwoven(stream: bytes) -> tuple[bytes, list[str]]:
    """Take sound and titles apart, as a player does."""
    sound, titles, at = b"", list[str](), 0
    while len(stream) - at > METAINT:
        sound += stream[at : at + METAINT]
        size = 16 * stream[at + METAINT]
        said = stream[at + METAINT + 1 : at + METAINT + 1 + size].rstrip(b"\0").decode()
        titles.append(said)
        at += METAINT + 1 + size
    return sound + stream[at:], titles


@pytest.mark.parametrize("size", [1, 100, METAINT - 1, METAINT, METAINT + 1, 3 * METAINT])
def test_weaving(size: int) -> None:
    """In pieces of any size a player finds the sound, and each title once."""
    weaver, sent, sound = Weaver(), b"", bytes(range(256)) * 64
    for at in range(0, len(sound), size):
        heard = "Ann" if at < 2 * METAINT else "Bob"
        sent += weaver.weave(sound[at : at + size], heard)
    found, titles = unwoven(sent)
    assert found == sound
    told = [one for one in titles if one]
    assert told[0] == "StreamTitle='Ann';"
    assert told[1:] in ([], ["StreamTitle='Bob';"])


def test_quotes() -> None:
    """A title cannot end itself, nor begin anything else."""
    said = block("O'Neill';StreamUrl='http://x\n\0")[1:]
    assert re.fullmatch(rb"StreamTitle='[^'\0\n]*';\0*", said)


def test_long() -> None:
    """A title that is too long is cut between two characters."""
    said = block("\N{SNOWMAN}" * 3000)
    assert said[0] == 255
    assert len(said) == 1 + 255 * 16
    assert said[1:].rstrip(b"\0").decode().endswith("\N{SNOWMAN}';")


@pytest.mark.parametrize(
    ("talking", "expected"),
    [
        ([], "Show"),
        (["", "Ann", "Ann"], "Ann - Show"),
        (["A", "B", "C", "D"], "A, B, C, \N{HORIZONTAL ELLIPSIS} - Show"),
    ],
)
def test_titles(talking: list[str], expected: str) -> None:
    """Who speaks stands before the room, three at most, nobody twice."""
    assert title("Show", talking) == expected


def test_printable() -> None:
    """What would end a line in a header becomes a space."""
    assert printable("a\r\nb\0c") == "a  b c"
