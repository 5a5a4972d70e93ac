"""A stream that was never sent: what its playlists list at any moment."""

from dataclasses import dataclass, field
from functools import cached_property

from hypothesis import strategies as st

from hls.core.playlist import DateRange, Entry, Part, Report, Window, seconds
from hls.core.timeline import SEGMENT_FRAMES, SEGMENT_S
from hls.types import KeySpec

BEGAN_UNIX_S = 1_700_000_000.0


@dataclass(frozen=True)
class Stream:
    """`rotate` segments have the same key; `breaks` are discontinuities, with another map or not.

    `talks` are (begin, end) in seconds since the stream began.
    """

    part_frames: int = 15
    listed: int = 8
    rotate: int = 4
    breaks: dict[int, bool] = field(default_factory=dict)
    gaps: frozenset[int] = frozenset()
    talks: tuple[tuple[float, float], ...] = ()
    _entries: dict[int, Entry] = field(default_factory=dict, compare=False, repr=False)
    _windows: dict[int, tuple[Entry, ...]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def parts_each(self) -> int:
        return SEGMENT_FRAMES // self.part_frames

    def window(self, msn: int, part: int, *, is_ended: bool = False) -> Window:
        """Return what is listed when segment `msn` has `part` parts."""
        if msn not in self._windows:
            numbers = range(max(0, msn - self.listed), msn)
            self._windows[msn] = tuple(self.entry(number) for number in numbers)
        entries = self._windows[msn]
        whole = self.entry(msn)
        first = entries[0].msn if entries else msn
        return Window(
            entries,
            Entry(
                msn,
                whole.name,
                whole.init,
                whole.key,
                whole.unix_s,
                whole.parts[:part],
                is_discontinuous=whole.is_discontinuous,
                is_gap=whole.is_gap,
            ),
            whole.parts[part].name,
            self.part_frames,
            sum(number <= first for number in self.breaks),
            (Report("64k/stream.m3u8", msn if part else msn - 1, (part or self.parts_each) - 1),),
            self._dates(
                first * SEGMENT_S, (msn - 1) * SEGMENT_S + seconds(part * self.part_frames)
            ),
            is_ended,
        )

    def entry(self, msn: int) -> Entry:
        """Return a segment as it is when it is complete."""
        if msn not in self._entries:
            epoch = msn // self.rotate
            maps = sum(new_map for number, new_map in self.breaks.items() if number <= msn)
            is_gap = msn in self.gaps
            self._entries[msn] = Entry(
                msn,
                f"seg-{msn}.m4s",
                f"init-{maps}.mp4",
                KeySpec(epoch, b"k" * 16, epoch.to_bytes(16, "big"), f"/k/{epoch}/enc.key", epoch),
                BEGAN_UNIX_S + msn * SEGMENT_S,
                tuple(Part(f"seg-{msn}.{n}.m4s", self.part_frames) for n in range(self.parts_each)),
                is_discontinuous=msn in self.breaks,
                is_gap=is_gap,
            )
        return self._entries[msn]

    def _dates(self, begin_s: float, now_s: float) -> tuple[DateRange, ...]:
        return tuple(
            DateRange(
                f"talk-{number}",
                BEGAN_UNIX_S + start_s,
                "app.roomtone.talk",
                end_s - start_s if end_s <= now_s else None,
                (("NAME", f'"Ann", URI="{number}'),),
            )
            for number, (start_s, end_s) in enumerate(self.talks)
            if start_s <= now_s and end_s >= begin_s
        )


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Any stream that changes its keys, maps and speakers within the first 60 segments."""
    moments = st.floats(0, 100, allow_nan=False).map(lambda one: round(one, 2))
    return Stream(
        part_frames=draw(st.sampled_from([3, 9, 15, 30, 45])),
        listed=draw(st.integers(5, 24)),
        rotate=draw(st.integers(1, 20)),
        breaks=draw(st.dictionaries(st.integers(1, 60), st.booleans(), max_size=6)),
        gaps=draw(st.frozensets(st.integers(0, 60), max_size=4)),
        talks=tuple(
            sorted(
                (min(one), max(one))
                for one in draw(st.lists(st.tuples(moments, moments), max_size=5))
            )
        ),
    )


@st.composite
def positions(draw: st.DrawFn, stream: Stream) -> list[tuple[int, int]]:
    """Ascending moments: segments, and how many parts of them there are."""
    each = stream.parts_each
    steps = draw(st.lists(st.integers(0, 3 * each), min_size=1, max_size=8))
    at, found = draw(st.integers(5 * each, 50 * each)), []
    for step in steps:
        at += step
        found.append(divmod(at, each))
    return found
