"""The media playlists of a rendition as text, made from values (draft-pantos-hls-rfc8216bis)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES
from hls.types import KeySpec

# §4.4.3.1: no EXTINF, rounded, may exceed it; it must never change while the stream runs.
TARGET_DURATION_S = 2
# §8: not more than is used (§6.2.1): fractions of a second need 3, EXT-X-MAP in a playlist that is
# not of I-frames only 6, a delta update 9.
VERSION_PLAIN = 3
VERSION_MAP = 6
VERSION_DELTA = 9
HOLD_BACK_S = 3 * TARGET_DURATION_S  # §4.4.3.8: at least
SKIP_BOUNDARY_S = 6 * TARGET_DURATION_S  # §4.4.3.8: at least
PART_HOLD_BACK_PARTS = 3  # §4.4.3.8: at least twice, should be three times the part target
PARTS_LISTED_S = 3 * TARGET_DURATION_S  # §6.2.2: parts further from the end go

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLEAR = "#EXT-X-KEY:METHOD=NONE"
_GAP = "#EXT-X-GAP\n"
_WAITABLE = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"
_MAP = '#EXT-X-MAP:URI="'
_PART = re.compile(r'#EXT-X-PART:DURATION=[0-9.]+,URI="([^"]+)"')
_END = "#EXT-X-ENDLIST\n"
_LIVE_ONLY = (
    "#EXT-X-PART:",
    "#EXT-X-PART-INF:",
    "#EXT-X-PRELOAD-HINT:",
    "#EXT-X-RENDITION-REPORT:",
    "#EXT-X-SERVER-CONTROL:",
)
_TAIL = 4  # segments of 1.92 s that can end within PARTS_LISTED_S of the end of the playlist


@dataclass(frozen=True, slots=True)
class Part:
    """A partial segment of `frames` AAC frames, a multiple of three; it decodes by itself."""

    name: str
    frames: int


@dataclass(frozen=True, slots=True)
class DateRange:
    """Something that was so for a time: who speaks, what plays (§4.4.5.1).

    `id` is never used again in a stream; `klass` is a name of the reverse-DNS kind. `attributes`
    are the X-… ones without their X-, in upper case ([A-Z0-9-]+). While the end is not known there
    is no `duration_s`; nothing else of a range ever changes.
    """

    id: str
    start_unix_s: float
    klass: str = ""
    duration_s: float | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed segment; its address is `name`, relative to the playlist.

    `init` names the init segment in the clear ("" where the container has none), `key` is None for
    segments in the clear. Where `init` changes, the format does, which is a discontinuity also
    without `is_discontinuous`.
    """

    msn: int
    name: str
    init: str
    key: KeySpec | None
    unix_s: float
    parts: tuple[Part, ...] = ()
    is_discontinuous: bool = False
    is_gap: bool = False
    frames: int = SEGMENT_FRAMES


@dataclass(frozen=True, slots=True)
class Report:
    """How far another rendition is (§4.4.5.4): its newest part and the segment that belongs to.

    `last_part` is -1 for a rendition without parts.
    """

    uri: str
    last_msn: int
    last_part: int = -1


@dataclass(frozen=True, slots=True)
class Window:
    """What a playlist lists: complete segments with ascending numbers, and the one being made.

    At least one of both is there. `open` is the segment being made with the parts it has so far
    (it may have none), `hint` the name of the next part ("" = none), which belongs to `open`.
    `discontinuity_sequence` is that of the first segment: how many discontinuities came before or
    with it. `dates` are all ranges that reach into the window, from wherever they began (§6.2.1).
    Of an ended stream nothing more is made; the parts `open` has are then its whole segment, served
    under its name.

    Give the same `entries` tuple as long as no segment is added or dropped: then what was rendered
    of it is used again.
    """

    entries: tuple[Entry, ...]
    open: Entry | None = None
    hint: str = ""
    part_frames: int = 15
    discontinuity_sequence: int = 0
    reports: tuple[Report, ...] = ()
    dates: tuple[DateRange, ...] = ()
    is_ended: bool = False  # nothing is added any more, and the playlist says so
    is_final: bool = False  # it is so already, but not yet said

    @property
    def is_whole(self) -> bool:
        """Whether nothing is added any more."""
        return self.is_final or self.is_ended

    @property
    def first(self) -> Entry:
        """The first segment, complete or not."""
        if self.entries:
            return self.entries[0]
        assert self.open is not None, "there is nothing to list"
        return self.open


@dataclass(frozen=True, slots=True)
class _Lines:
    """The text of one entry in pieces; each is empty or ends with a line feed."""

    entry: Entry
    previous: Entry | None
    change: str  # what is not as before: discontinuity, map, date, key
    parts: str
    end: str  # duration and name

    @property
    def plain(self) -> str:
        return self.change + self.end


class PlaylistWriter:
    """Writes the playlists of one rendition again and again.

    The lines of complete entries are rendered once: one more part costs its own line and a copy of
    the text.
    """

    def __init__(self) -> None:
        self._entries: tuple[Entry, ...] = ()
        self._lines: dict[int, _Lines] = {}
        self._tail: list[_Lines] = []  # the last few entries, whose parts may be listed
        self._before_tail = ""
        self._has_map = False
        self._skipped = 0
        self._since_skip = ""  # as _before_tail, of a delta update

    def low_latency(self, window: Window, *, skip: bool = False) -> str:
        """Return the playlist with parts; with `skip` the delta update, if there is any to skip.

        A delta update (§6.2.5.1) lists the segments that are not further from the end than the skip
        boundary, all date ranges, and the key in force once more: who parses it has seen none of
        the lines that were skipped.
        """
        self._follow(window.entries)
        delta = skip and not window.is_ended and self._skipped > 0
        pieces = [
            _head(window, VERSION_DELTA if delta else self._version(window)),
            _control(window),
        ]
        if delta:
            pieces.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={self._skipped}\n")
        pieces += map(_date_range, window.dates)
        pieces.append(self._since_skip if delta else self._before_tail)
        last = _open_lines(window)
        pieces += self._tail_with_parts(window)
        if last is not None:
            pieces += [last.change, last.parts, last.end if window.is_whole else ""]
        pieces.append(_END if window.is_ended else _outlook(window))
        return "".join(pieces)

    def classic(self, window: Window) -> str:
        """Return the playlist without parts: of the complete segments alone."""
        self._follow(window.entries)
        pieces = [_head(window, self._version(window))]
        pieces += map(_date_range, window.dates)
        pieces.append(self._before_tail)
        pieces += [lines.plain for lines in self._tail]
        if window.is_whole:
            last = _open_lines(window)
            pieces += ["" if last is None else last.plain, _END if window.is_ended else ""]
        return "".join(pieces)

    def subtitles(self, window: Window) -> str:
        """Return the playlist of a rendition of captions: without parts, but it can be waited for.

        Its content at the end may be ahead of the sound's by up to a target duration (§6.2.4).
        """
        self._follow(window.entries)
        pieces = [_head(window, self._version(window)), _WAITABLE, self._before_tail]
        pieces += [lines.plain for lines in self._tail]
        pieces += [_END] if window.is_ended else []
        return "".join(pieces)

    def _follow(self, entries: tuple[Entry, ...]) -> None:
        """Render what is new in `entries` since the last time."""
        if entries is self._entries:
            return
        known, self._lines = self._lines, {}
        previous: Entry | None = None
        for entry in entries:
            lines = known.get(entry.msn)
            if lines is None or lines.entry is not entry or lines.previous is not previous:
                lines = _lines(entry, previous)
            self._lines[entry.msn] = lines
            previous = entry
        rendered = list(self._lines.values())
        before, self._tail = rendered[:-_TAIL], rendered[-_TAIL:]
        self._before_tail = "".join(lines.plain for lines in before)
        self._skipped = _skippable(entries)
        since = before[self._skipped :]
        self._since_skip = "".join([_again(*since[:1]), *(lines.plain for lines in since[1:])])
        self._has_map = any(entry.init for entry in entries)
        self._entries = entries

    def _version(self, window: Window) -> int:
        has_map = self._has_map or (window.open is not None and window.open.init)
        return VERSION_MAP if has_map else VERSION_PLAIN

    def _tail_with_parts(self, window: Window) -> list[str]:
        """Return the last entries, with their parts as long as those may be listed."""
        after = sum(part.frames for part in window.open.parts) if window.open else 0
        pieces: list[str] = []
        for lines in reversed(self._tail):
            is_near = after * AAC_SAMPLES <= PARTS_LISTED_S * SAMPLE_RATE
            pieces.append(lines.change + (lines.parts if is_near else "") + lines.end)
            after += lines.entry.frames
        return pieces[::-1]


def low_latency(window: Window, *, skip: bool = False) -> str:
    """Return a playlist with parts, see PlaylistWriter.low_latency."""
    return PlaylistWriter().low_latency(window, skip=skip)


def classic(window: Window) -> str:
    """Return a playlist without parts, see PlaylistWriter.classic."""
    return PlaylistWriter().classic(window)


def ended(playlist_text: str) -> str:
    """Return a playlist as that of a stream to which nothing is added any more (§4.4.3.4).

    One that has its end mark stays as it is; of another one only the whole segments are left.
    """
    if playlist_text.endswith(_END):
        return playlist_text
    lines = playlist_text.splitlines(True)
    return "".join(line for line in lines if not line.startswith(_LIVE_ONLY)) + _END


def names(playlist_text: str) -> list[str]:
    """Return which maps, parts and segments the playlist names, each once."""
    found = []
    for line in playlist_text.splitlines():
        if line.startswith(_MAP):
            found.append(line.removeprefix(_MAP).rstrip('"'))
        elif (part := _PART.match(line)) is not None:
            found.append(part[1])
        elif line and not line.startswith("#"):
            found.append(line)
    return list(dict.fromkeys(found))


def seconds(frames: int) -> float:
    """Return how long `frames` AAC frames are."""
    return frames * AAC_SAMPLES / SAMPLE_RATE


def date_time(unix_s: float) -> str:
    """Return a date and time as ISO 8601 writes it, in UTC and whole milliseconds."""
    moment = _EPOCH + timedelta(milliseconds=round(unix_s * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def quoted(text: str) -> str:
    """Return `text` as a quoted string (§4.2), less what none can hold: quotes, line ends, …."""
    clean = "".join(c if c.isprintable() else " " for c in text.replace('"', "\u2033"))
    return f'"{clean}"'


def _head(window: Window, version: int) -> str:
    return (
        f"#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{TARGET_DURATION_S}\n"
        f"#EXT-X-MEDIA-SEQUENCE:{window.first.msn}\n"
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{window.discontinuity_sequence}\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
    )


def _control(window: Window) -> str:
    # The same to the end: what was once said may not change (§6.2.1), and with EXT-X-ENDLIST no
    # directive counts any more (§6.2.5).
    target_s = seconds(window.part_frames)
    return (
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={SKIP_BOUNDARY_S:.1f},"
        f"HOLD-BACK={HOLD_BACK_S:.1f},PART-HOLD-BACK={PART_HOLD_BACK_PARTS * target_s:.3f}\n"
        f"#EXT-X-PART-INF:PART-TARGET={target_s:.3f}\n"
    )


def _outlook(window: Window) -> str:
    """Return what comes next, and how far the other renditions are."""
    lines = []
    if window.hint:
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{window.hint}"\n')
    for report in window.reports:
        part = f",LAST-PART={report.last_part}" if report.last_part >= 0 else ""
        lines.append(
            f'#EXT-X-RENDITION-REPORT:URI="{report.uri}",LAST-MSN={report.last_msn}{part}\n'
        )
    return "".join(lines)


def _open_lines(window: Window) -> _Lines | None:
    """Return the lines of the segment being made, None if it is not listed."""
    if window.open is None or (window.is_whole and not window.open.parts):
        return None
    whole = replace(window.open, frames=sum(part.frames for part in window.open.parts))
    return _lines(whole, window.entries[-1] if window.entries else None)


def _skippable(entries: Sequence[Entry]) -> int:
    """Return how many of the first entries lie beyond the skip boundary as a whole."""
    after = 0
    for index in range(len(entries) - 1, -1, -1):
        if after * AAC_SAMPLES > SKIP_BOUNDARY_S * SAMPLE_RATE:
            return index + 1
        after += entries[index].frames
    return 0


def _lines(entry: Entry, previous: Entry | None) -> _Lines:
    return _Lines(
        entry,
        previous,
        change="".join(f"{line}\n" for line in _change(entry, previous)),
        parts="".join(_part(part) for part in entry.parts),
        end=f"{_GAP if entry.is_gap else ''}#EXTINF:{seconds(entry.frames):.5f},\n{entry.name}\n",
    )


def _change(entry: Entry, previous: Entry | None) -> list[str]:
    """Return the lines that tell what is not as it was at `previous`; of the first, everything."""
    if previous is None:
        key = _CLEAR
        lines = [f'#EXT-X-MAP:URI="{entry.init}"'] if entry.init else []
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(entry.unix_s)}")
    elif _is_break(entry, previous):
        key = _key(previous)
        lines = ["#EXT-X-DISCONTINUITY"]
        if entry.init and entry.init != previous.init:
            # A map is in the clear only where no key is in force (§4.4.4.5).
            lines += [_CLEAR] if key != _CLEAR else []
            key = _CLEAR
            lines.append(f'#EXT-X-MAP:URI="{entry.init}"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(entry.unix_s)}")
    else:
        key = _key(previous)
        lines = []
    return lines if _key(entry) == key else [*lines, _key(entry)]


def _again(lines: _Lines | None = None) -> str:
    """Return the first entry after skipped ones; "" if there is none."""
    if lines is None:
        return ""
    entry, previous = lines.entry, lines.previous
    change = f"#EXT-X-PROGRAM-DATE-TIME:{date_time(entry.unix_s)}\n"
    if previous is not None and _is_break(entry, previous):
        change = lines.change
    key = f"{_key(entry)}\n"
    return f"{change}{'' if change.endswith(key) else key}{lines.end}"


def _is_break(entry: Entry, previous: Entry) -> bool:
    return entry.is_discontinuous or entry.init != previous.init


def _key(entry: Entry) -> str:
    if entry.key is None:
        return _CLEAR
    return f'#EXT-X-KEY:METHOD=AES-128,URI="{entry.key.uri}",IV=0x{entry.key.iv.hex().upper()}'


def _part(part: Part) -> str:
    return f'#EXT-X-PART:DURATION={seconds(part.frames):.3f},URI="{part.name}",INDEPENDENT=YES\n'


def _date_range(date: DateRange) -> str:
    attributes = [f"ID={quoted(date.id)}"]
    if date.klass:
        attributes.append(f"CLASS={quoted(date.klass)}")
    attributes.append(f'START-DATE="{date_time(date.start_unix_s)}"')
    if date.duration_s is not None:
        attributes.append(f"DURATION={date.duration_s:.3f}")
    attributes += [f"X-{name}={quoted(value)}" for name, value in date.attributes]
    return f"#EXT-X-DATERANGE:{','.join(attributes)}\n"
