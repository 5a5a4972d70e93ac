"""The media playlist (RFC 8216) as text, made from values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from hls.core.timeline import SEGMENT_S
from hls.types import KeySpec

# RFC 8216 §4.3.3.1: no EXTINF, rounded, may exceed it; it must never change while the stream runs.
TARGET_DURATION_S = 2
# RFC 8216 §7: EXT-X-MAP in a playlist that is not I-frames only needs 6; 7 is what fMP4 is tested
# with everywhere.
VERSION = 7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_URI_ATTRIBUTE = re.compile(r'(?<=[:,])URI="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed segment. Where `init` changes, the format does (EXT-X-DISCONTINUITY)."""

    msn: int
    name: str
    init: str
    key: KeySpec
    unix_s: float


def media_playlist(entries: Sequence[Entry], *, discontinuity_sequence: int = 0) -> str:
    """Return the playlist of consecutive segments, at least one.

    `discontinuity_sequence` is that of the first segment: how often the format had changed before
    it (RFC 8216 §4.3.3.3).
    """
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{TARGET_DURATION_S}",
        f"#EXT-X-MEDIA-SEQUENCE:{entries[0].msn}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    previous: Entry | None = None
    for entry in entries:
        lines += _segment(entry, previous)
        previous = entry
    return "\n".join(lines) + "\n"


def with_token(playlist_text: str, token: str) -> str:
    """Return the playlist with `?token=…` on every address: keys, maps and segments.

    Players do not hand a playlist's query on to what it names.
    """
    query = f"token={quote(token, safe='')}"
    return "".join(_line_with_query(line, query) for line in playlist_text.splitlines(True))


def ended(playlist_text: str) -> str:
    """Return the playlist as that of a stream to which nothing is added any more (§4.3.3.4)."""
    return playlist_text + "#EXT-X-ENDLIST\n"


def names(playlist_text: str) -> list[str]:
    """Return what the playlist names, but keys: maps and segments, each once."""
    found = []
    for line in playlist_text.splitlines():
        if line.startswith("#EXT-X-MAP:"):
            found += [match[1] for match in _URI_ATTRIBUTE.finditer(line)]
        elif line and not line.startswith("#"):
            found.append(line)
    return list(dict.fromkeys(found))


def _segment(entry: Entry, previous: Entry | None) -> list[str]:
    lines = []
    key = previous.key if previous else None
    if previous is None or entry.init != previous.init:
        if previous is not None:
            # A map is in the clear only where no key is in force (§4.3.2.5).
            lines += ["#EXT-X-DISCONTINUITY", "#EXT-X-KEY:METHOD=NONE"]
            key = None
        lines.append(f'#EXT-X-MAP:URI="{entry.init}"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date_time(entry.unix_s)}")
    if entry.key != key:
        lines.append(
            f'#EXT-X-KEY:METHOD=AES-128,URI="{entry.key.uri}",IV=0x{entry.key.iv.hex().upper()}'
        )
    return [*lines, f"#EXTINF:{SEGMENT_S:.5f},", entry.name]


def _date_time(unix_s: float) -> str:
    moment = _EPOCH + timedelta(milliseconds=round(unix_s * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line_with_query(line: str, query: str) -> str:
    if line.startswith("#"):
        return _URI_ATTRIBUTE.sub(lambda found: f'URI="{_with_query(found[1], query)}"', line)
    address = line.rstrip("\r\n")
    return _with_query(address, query) + line[len(address) :] if address else line


def _with_query(address: str, query: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{query}"
