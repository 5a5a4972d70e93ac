"""A media playlist (RFC 8216) as a listener reads it; pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_KEY: Final = re.compile(r'(?<=[:,])(METHOD|URI|IV)=("[^"]*"|[^,]*)')
_IV: Final = re.compile(r"0[xX][0-9a-fA-F]{1,32}")
_MSN: Final = re.compile(r"[0-9]{1,18}")
MAX_SEGMENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Key:
    """How segments are encrypted: AES-128-CBC under what is at `uri`."""

    uri: str
    iv: bytes | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; `init` is the address of what must come before it."""

    msn: int
    uri: str
    seconds: float
    init: str
    key: Key | None

    @property
    def iv(self) -> bytes:
        """Its initialisation vector; the media sequence number unless one is named (§5.2)."""
        if self.key is not None and self.key.iv is not None:
            return self.key.iv
        return self.msn.to_bytes(16, "big")


@dataclass(frozen=True, slots=True)
class Playlist:
    """What there is to play now."""

    segments: tuple[Segment, ...]
    is_over: bool


def read_playlist(text: str) -> Playlist:
    """Read a playlist. Raises ValueError if it is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "#EXTM3U":
        raise ValueError("it is no playlist")
    segments = tuple(_segments(lines, _first_msn(lines)))
    if len(segments) > MAX_SEGMENTS:
        raise ValueError("it is too long")
    return Playlist(segments, "#EXT-X-ENDLIST" in lines)


def _segments(lines: list[str], msn: int) -> Iterator[Segment]:
    init, key, seconds = "", None, 0.0
    for line in lines:
        if line.startswith("#EXT-X-KEY:"):
            key = _key(line)
        elif line.startswith("#EXT-X-MAP:"):
            init = _attributes(line).get("URI", "")
        elif line.startswith("#EXTINF:"):
            seconds = float(line.removeprefix("#EXTINF:").partition(",")[0])
        elif not line.startswith("#"):
            yield Segment(msn, line, seconds, init, key)
            msn += 1


def _key(line: str) -> Key | None:
    found = _attributes(line)
    if found.get("METHOD") == "NONE":
        return None
    if found.get("METHOD") != "AES-128" or not found.get("URI"):
        raise ValueError("it is encrypted in a way we do not know")
    iv = found.get("IV")
    return Key(found["URI"], None if iv is None else _iv(iv))


def _iv(text: str) -> bytes:
    if not _IV.fullmatch(text):
        raise ValueError("its IV is no hexadecimal number of 128 bits")
    return int(text, 16).to_bytes(16, "big")


def _attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _KEY.findall(line)}


def _first_msn(lines: list[str]) -> int:
    tag = "#EXT-X-MEDIA-SEQUENCE:"
    found = next((line.removeprefix(tag) for line in lines if line.startswith(tag)), "0")
    if not _MSN.fullmatch(found):
        raise ValueError("its media sequence is no number")
    return int(found)
