"""The playlists in a bucket: of a broadcast's segments, and of a recording that is one file."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from hls.core.names import beside
from hls.core.playlist import Entry, Window, classic, date_time, seconds
from hls.core.timeline import SEGMENT_FRAMES, SEGMENT_S
from hls.upload.core.journal import Listed

LIVE_SEGMENTS: Final = 30  # a minute: the bucket is behind, and its readers' caches are too
MAX_LISTED: Final = 45_000  # a day, 4 MB of text
Uri = Callable[[Listed], str]


def broadcast_playlist(
    known: Sequence[Listed], uri: Uri, *, segments: int | None = None, is_ended: bool = False
) -> str:
    """Return the playlist of the newest `segments` of what is there (ascending, at least one).

    What is missing between them is listed as a gap (draft-pantos-hls-rfc8216bis §4.4.4.7), for
    segments are numbered without holes.
    """
    assert known, "there is something to list"
    last = known[-1].msn
    first = max(known[0].msn, last + 1 - min(segments or MAX_LISTED, MAX_LISTED))
    shown = [one for one in known if one.msn >= first]
    entries = tuple(with_gaps([one.entry(uri(one)) for one in shown]))
    return classic(Window(entries, discontinuity_sequence=shown[0].turns, is_ended=is_ended))


def with_gaps(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with gaps where numbers are missing, each like the entry before it."""
    found: list[Entry] = []
    for entry in entries:
        while found and found[-1].msn + 1 < entry.msn:
            found.append(_gap_after(found[-1]))
        found.append(entry)
    return found


def file_playlist(
    media: str, head_bytes: int, pieces: Sequence[tuple[int, int]], unix_s: float
) -> str:
    """Return the playlist of one file `media`: its init segment, then pieces of (bytes, frames)."""
    longest = max((frames for _, frames in pieces), default=0)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        f"#EXT-X-TARGETDURATION:{max(1, round(seconds(longest)))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{media}",BYTERANGE="{head_bytes}@0"',
        f"#EXT-X-PROGRAM-DATE-TIME:{date_time(unix_s)}",
    ]
    at = head_bytes
    for size, frames in pieces:
        lines += [f"#EXTINF:{seconds(frames):.5f},", f"#EXT-X-BYTERANGE:{size}@{at}", media]
        at += size
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _gap_after(before: Entry) -> Entry:
    msn = before.msn + 1
    name = beside(before.name, msn)
    unix_s = before.unix_s + SEGMENT_S
    return replace(
        before,
        msn=msn,
        name=name,
        unix_s=unix_s,
        is_gap=True,
        is_discontinuous=False,
        parts=(),
        frames=SEGMENT_FRAMES,
    )
