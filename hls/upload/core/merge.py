"""Pieces of one broadcast that several nodes uploaded, as one stream: segment by segment."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from hls.core.playlist import Entry, Window, classic
from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_S
from hls.types import KeySpec
from hls.upload.core.playlists import MAX_LISTED, with_gaps

MAX_TEXT: Final = 32 << 20
_MAX_APART_S: Final = 0.01  # the same clock says the same to the millisecond
_KEY: Final = re.compile(r'#EXT-X-KEY:METHOD=AES-128,URI="([^"]+)",IV=0x([0-9A-Fa-f]{32})')
_MAP: Final = re.compile(r'#EXT-X-MAP:URI="([^"]+)"')
_DURATION: Final = re.compile(r"#EXTINF:([0-9]{1,2}\.[0-9]{1,6}),.*")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_DATE: Final = "#EXT-X-PROGRAM-DATE-TIME:"
_FIRST: Final = "#EXT-X-MEDIA-SEQUENCE:"


class CannotMerge(Exception):  # noqa: N818 - the sentence is for whoever asked
    """These are no pieces of one stream; the text says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An uploaded playlist, and where it is as seen from the merged one ("" or "a/")."""

    text: str
    folder: str = ""


def merge(pieces: Sequence[Piece]) -> str:
    """Return one playlist, with an end, of all segments that any piece has.

    Segments are numbered by the room's clock, and key and IV come from the store, so the same
    number is the same time in each. Where several have one, the piece of the one before goes on.
    Raises CannotMerge.
    """
    known = [_placed(_entries(piece.text), piece.folder) for piece in pieces]
    if not known or not any(known):
        raise CannotMerge("There is no segment in these playlists.")
    by_msn: dict[int, dict[int, Entry]] = {}
    for number, entries in enumerate(known):
        for entry in entries:
            by_msn.setdefault(entry.msn, {})[number] = entry
    if len(by_msn) > MAX_LISTED:
        raise CannotMerge(f"This is longer than a playlist may be: {MAX_LISTED} segments.")
    if max(by_msn) - min(by_msn) >= MAX_LISTED:
        raise CannotMerge("These pieces are more than a day apart.")
    return classic(Window(tuple(with_gaps(list(_chosen(by_msn)))), is_ended=True))


def _chosen(by_msn: dict[int, dict[int, Entry]]) -> Iterable[Entry]:
    inits: dict[str, str] = {}  # by its name, which is its content's: one of them will do
    current, zero_s = -1, None
    for msn in sorted(by_msn):
        found = by_msn[msn]
        if current not in found:
            current = min(found)
        entry = found[current]
        for other in found.values():
            _check_same(entry, other)
        begins_s = entry.unix_s - msn * SEGMENT_S
        zero_s = begins_s if zero_s is None else zero_s
        if abs(begins_s - zero_s) > _MAX_APART_S:
            raise CannotMerge(f"Segment {msn} is of another time: these are different broadcasts.")
        init = inits.setdefault(entry.init.rpartition("/")[2], entry.init)
        yield replace(entry, init=init)


def _check_same(one: Entry, other: Entry) -> None:
    if (one.key and one.key.iv) != (other.key and other.key.iv):
        raise CannotMerge(f"Segment {one.msn} has two keys: these are different broadcasts.")


def _placed(entries: Iterable[Entry], folder: str) -> list[Entry]:
    return [
        replace(
            entry,
            name=folder + entry.name,
            init=folder + entry.init if entry.init else "",
            key=None if entry.key is None else replace(entry.key, uri=_key_uri(entry.key, folder)),
        )
        for entry in entries
    ]


def _key_uri(key: KeySpec, folder: str) -> str:
    is_elsewhere = key.uri.startswith("/") or "://" in key.uri
    return key.uri if is_elsewhere else folder + key.uri


@dataclass(slots=True)
class _Reading:
    msn: int | None = None
    init: str = ""
    key: KeySpec | None = None
    unix_s: float | None = None
    is_turn: bool = False
    is_gap: bool = False
    frames: int = SEGMENT_FRAMES


def _entries(text: str) -> list[Entry]:
    """Return the segments of a playlist of ours, without gaps. Raises CannotMerge."""
    lines = text.splitlines() if len(text) <= MAX_TEXT else []
    if not lines or lines[0] != "#EXTM3U":
        raise CannotMerge("This is no playlist.")
    found: list[Entry] = []
    now = _Reading()
    for line in lines[1:]:
        if line and not line.startswith("#"):
            found += _segment(line, now)
        else:
            _take(line, now)
    return found


def _take(line: str, now: _Reading) -> None:
    if line.startswith(_FIRST) and _NUMBER.fullmatch(line.removeprefix(_FIRST)):
        now.msn = int(line.removeprefix(_FIRST))
    elif (found := _MAP.fullmatch(line)) is not None:
        now.init = found[1]
    elif (found := _KEY.fullmatch(line)) is not None:
        now.key = KeySpec(0, b"", bytes.fromhex(found[2]), found[1])
    elif line == "#EXT-X-KEY:METHOD=NONE":
        now.key = None
    elif line.startswith(_DATE):
        now.unix_s = _unix_s(line.removeprefix(_DATE))
    elif line == "#EXT-X-DISCONTINUITY":
        now.is_turn = True
    elif line == "#EXT-X-GAP":
        now.is_gap = True
    elif (found := _DURATION.fullmatch(line)) is not None:
        now.frames = round(float(found[1]) * SAMPLE_RATE / AAC_SAMPLES)


def _segment(name: str, now: _Reading) -> list[Entry]:
    if now.msn is None or now.unix_s is None:
        raise CannotMerge("This playlist says no number or no time: it is none of Roomtone's.")
    if name.startswith("/") or "://" in name or ".." in name.split("/"):
        raise CannotMerge("This playlist names what is elsewhere: it is none of Roomtone's.")
    entry = Entry(
        now.msn,
        name,
        now.init,
        now.key,
        now.unix_s,
        is_discontinuous=now.is_turn,
        frames=now.frames,
    )
    is_gap, now.is_gap, now.is_turn = now.is_gap, False, False
    now.msn += 1
    now.unix_s += SEGMENT_S
    return [] if is_gap else [entry]


def _unix_s(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CannotMerge("This playlist has a time that is none.") from None
    if moment.tzinfo is None:
        raise CannotMerge("This playlist has a time without a zone.")
    return moment.timestamp()
