"""ICY (SHOUTcast) metadata: titles woven into a stream every so many bytes.

There is no standard; this is what players agree on. After each `icy-metaint` bytes of sound comes
one byte that counts blocks of 16 bytes, then as many with `StreamTitle='…';` and zeros behind. A
count of nought is: the same as before.
"""

from collections.abc import Iterable
from typing import Final

METAINT: Final = 4096  # bytes: a quarter of a second of speech, and four of silence in AAC
_BLOCK: Final = 16
_MOST: Final = 255 * _BLOCK
_MOST_NAMES: Final = 3
_SAME: Final = b"\0"
_HEAD, _TAIL = b"StreamTitle='", b"';"


class Weaver:
    """Weaves titles into the sound of one listener."""

    def __init__(self) -> None:
        self._left = METAINT
        self._told: str | None = None

    def weave(self, sound: bytes, title: str) -> bytes:
        """Return `sound` with the title where one is due, once unless it changes."""
        pieces, at = [], 0
        while len(sound) - at >= self._left:
            pieces += [sound[at : at + self._left], self._block(title)]
            at += self._left
            self._left = METAINT
        self._left -= len(sound) - at
        return b"".join((*pieces, sound[at:]))

    def _block(self, title: str) -> bytes:
        if title == self._told:
            return _SAME
        self._told = title
        return block(title)


def block(title: str) -> bytes:
    """Return the block of metadata that says a title: UTF-8, cut to what fits.

    Quotes become typographic ones: players end the title at the first that looks like its end.
    """
    said = printable(title).replace("'", "\N{RIGHT SINGLE QUOTATION MARK}").encode()
    said = said[: _MOST - len(_HEAD) - len(_TAIL)].decode(errors="ignore").encode()
    text = _HEAD + said + _TAIL
    count = -(-len(text) // _BLOCK)
    return bytes([count]) + text.ljust(count * _BLOCK, b"\0")


def title(room: str, talking: Iterable[str]) -> str:
    """Return what is heard: the room, and who speaks in it; three names at most."""
    names = list(dict.fromkeys(name for name in talking if name))
    more = "" if len(names) <= _MOST_NAMES else ", …"
    who = ", ".join(names[:_MOST_NAMES]) + more
    return f"{who} - {room}" if who else room


def printable(text: str) -> str:
    """Return a text without what would end a line, a header or a string in C."""
    return "".join(one if one.isprintable() else " " for one in text)
