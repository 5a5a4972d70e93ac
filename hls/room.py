"""A room on air: ticks of its buses in, playlists, parts and segments of its renditions out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hls.background import Job
from hls.captions import WEBVTT, Captions
from hls.catalogue import CONTAINERS, Catalogue, Facts, reports, variants
from hls.core.credits import Credits
from hls.core.dates import Dates
from hls.core.extent import Extent
from hls.core.formats import Formats
from hls.core.hold import Music
from hls.core.keyring import Keyring
from hls.core.names import Names
from hls.core.playlist import DateRange, Window
from hls.core.reach import Reach
from hls.core.soundpart import SoundPart
from hls.core.ticks import Fate
from hls.core.timeline import (
    AAC_SAMPLES,
    LOOKAHEAD_FRAMES,
    PART_FRAMES,
    SEGMENT_FRAMES,
    Timeline,
)
from hls.disk import DiskWindow
from hls.feed import Feed
from hls.rendition import Rendition
from hls.shelf import MEMORY_SEGMENTS, Shelf
from hls.types import (
    BroadcastSpec,
    Caption,
    CaptionFate,
    CaptionsSpec,
    LoopSpec,
    PlaylistKind,
    Position,
    Reading,
    RenditionSpec,
)

QUIET_TICKS = 50  # without a tick: there is nobody in the room who could have said something
# hls.js 1.6 loads no more parts of a segment it has begun once a playlist has its end mark: it must
# have heard of the last part before.
MARK_TICKS = 25


@dataclass(frozen=True, slots=True)
class Station:
    """What the rooms of a process share."""

    delay_ticks: int
    disk: DiskWindow | None
    counters: Counter[str]
    loops: dict[LoopSpec, Music]


@dataclass(frozen=True, slots=True)
class _Program:
    """One rendition and what is told and given of it."""

    rendition: Rendition
    shelf: Shelf
    catalogue: Catalogue


class Room:
    """One room on air.

    A room whose stream had begun before this process goes on where the clock is. What was said
    before is silence now, on the same timeline: numbers, names and timestamps depend on the clock
    alone, so nothing is discontinuous. (Nor may it be marked so: a player that knows a segment from
    before refuses a playlist that lists it with another discontinuity sequence or name, and who is
    new here cannot know how often others were.)
    """

    def __init__(self, spec: BroadcastSpec, now_tick: int, station: Station) -> None:
        """Go on air as a checked spec says. Raises EncoderLost."""
        self.spec = spec
        self.began_tick = now_tick  # on the air without a break since then, in this process
        self.timeline = Timeline(spec.base_tick, spec.base_unix_s)
        self.dates = Dates()
        self._credits = Credits()
        self._station = station
        self._now_tick = self._written_tick = self._ended_tick = now_tick
        self._sealed = self._final = self._complete = 0
        self._keys = Keyring(spec.keys)
        self._formats = Formats(spec.channels)
        self._extent = Extent(spec.part_frames)
        self._names = Names(spec.stream)
        self._facts = Facts(
            *(self.timeline, self._keys, self._formats, self._extent, self.dates), self._names
        )
        self._feeds: dict[str, Feed] = {}
        self._programs: dict[str, _Program] = {}
        self._captions: dict[str, Captions] = {}
        self._reach = Reach(MEMORY_SEGMENTS, has_disk=station.disk is not None)
        self._reach.window_s = spec.window_s
        self._set_renditions(spec)
        self._set_captions(spec.captions)
        self._advance(now_tick)
        self._set_music()
        self._mark(self._credits.entitle(spec.title, self.timeline.unix_s_at(now_tick)))

    @property
    def segments_held(self) -> int:
        """How many segments with sound are in memory."""
        return sum(len(one.rendition.sounding) for one in self._programs.values())

    @property
    def captions_held(self) -> int:
        """How many cues of captions are in memory, one counted in each segment that shows it."""
        return sum(len(one.cues) for one in self._captions.values())

    @property
    def keys_held(self) -> int:
        """How many keys are in force or planned."""
        return len(self._keys)

    def goes_on_as(self, spec: BroadcastSpec) -> bool:
        """Whether `spec` is of this stream, so that it can be applied to it."""
        timeline = Timeline(spec.base_tick, spec.base_unix_s)
        is_same = (spec.part_frames, spec.stream) == (self.spec.part_frames, self.spec.stream)
        return is_same and timeline == self.timeline and not self._extent.is_over

    def apply(self, spec: BroadcastSpec, now_tick: int) -> None:
        """Go on as a checked spec says, from the next segment on. Raises EncoderLost."""
        self._advance(now_tick)
        # Of the one being made parts are announced, and encoded are LOOKAHEAD_FRAMES more.
        begun = max(self._complete + 1, -(-self._sealed // SEGMENT_FRAMES))
        self._keys.plan(spec.keys, begun)
        if spec.channels != self._formats.channels:
            self._formats.plan(spec.channels, begun)
        self._set_renditions(spec)
        self._set_captions(spec.captions)
        self._mark(self._credits.entitle(spec.title, self.timeline.unix_s_at(now_tick)))
        is_left = bool(spec.hold) and not self.spec.hold
        self.spec = spec
        self._reach.window_s = spec.window_s
        self._set_music(is_left=is_left)

    def play(self, now_tick: int) -> None:
        """Have the hold music that has come for it."""
        self._advance(now_tick)
        self._set_music()

    def write(self, bus: str, tick: int, pcm: NDArray[np.int16], now_tick: int) -> Fate | None:
        """Take one tick of a bus, int16[960 * channels]; None if no rendition is of that bus."""
        self._advance(now_tick)
        if self._extent.is_over:
            return Fate.LATE
        self._written_tick = self._now_tick
        feed = self._feeds.get(bus)
        return None if feed is None else feed.push(tick, pcm, self._now_tick)

    def loudness(self, now_tick: int) -> dict[str, Reading]:
        """Return how loud each bus is that is brought to a loudness."""
        self._advance(now_tick)
        readings = {bus: feed.read() for bus, feed in self._feeds.items()}
        return {bus: reading for bus, reading in readings.items() if reading is not None}

    def talk(self, names: Iterable[str], now_tick: int) -> None:
        """Note who can be heard from now on."""
        if self._extent.is_over:
            return
        self._mark(self._credits.talk(names, self.timeline.unix_s_at(now_tick)))

    def caption(self, caption: Caption, now_tick: int) -> CaptionFate:
        """Show a caption; what it is of is listed with the segment that begins next, or later."""
        self._advance(now_tick)
        for one in self._captions.values():
            if one.spec.language == caption.language and not self._extent.is_over:
                return one.add(caption, self._complete)
        return CaptionFate.UNKNOWN

    def position(self, now_tick: int) -> Position:
        """Return the next part that is not complete."""
        self._advance(now_tick)
        msn, frames = divmod(self._final, SEGMENT_FRAMES)
        return Position(msn, frames // self.spec.part_frames)

    def due_tick(self) -> int:
        """Return the tick at which that part will be complete."""
        frames = (self._final // self.spec.part_frames + 1) * self.spec.part_frames
        return self.timeline.tick_after(frames + LOOKAHEAD_FRAMES) + self._station.delay_ticks

    def end_tick(self, now_tick: int) -> int:
        """Return from when on `end` has all that was said until now: at once if nobody was there.

        A tick may still be on its way, and a frame is final some frames later.
        """
        if self._extent.is_over or now_tick - self._written_tick > QUIET_TICKS:
            return now_tick
        piece = PART_FRAMES * AAC_SAMPLES
        said = -(-self.timeline.position(now_tick + 1) // piece) * PART_FRAMES
        return self.timeline.tick_after(said + LOOKAHEAD_FRAMES) + self._station.delay_ticks

    def end(self, now_tick: int) -> None:
        """Let the stream be over: what is final is all of it, and its last segment as long as that.

        Everything is fetched as before, and MARK_TICKS later playlists have their end mark. Again
        is nothing.
        """
        self._advance(now_tick)
        if self._extent.is_over:
            return
        self._mark(self._credits.close(self.timeline.unix_s_at(now_tick)))
        self._ended_tick = self._now_tick
        self._complete = self._extent.end(self._final)
        self._final = self._complete * SEGMENT_FRAMES
        self._settle()

    def marked_tick(self) -> int | None:
        """Return from when on playlists have their end mark; None if the stream is not over."""
        return self._ended_tick + MARK_TICKS if self._extent.is_over else None

    def playlist(
        self, rendition: str, kind: PlaylistKind, now_tick: int, *, skip: bool
    ) -> str | None:
        """Return a playlist; None before the first segment, or if there is no such rendition."""
        position, program = self.position(now_tick), self._find(rendition)
        captions = self._captions.get(rendition)
        if captions is not None and position.msn > 0:
            return captions.playlist(self._first_listed(), position.msn)
        if program is None or position.msn == 0:
            return None
        if kind.is_multivariant:
            return variants(self.spec, self._formats.channels, kind)
        others = reports(rendition, self.spec.renditions, self._last(position))
        self._mark(self._credits.settle(self.timeline.unix_s_at(now_tick)))
        first = self._first_listed()
        if kind is PlaylistKind.CLASSIC:
            return program.catalogue.classic(first, position, self.spec.container)
        return program.catalogue.low_latency(first, position, others, skip=skip)

    def finished(self, rendition: str, first_msn: int, now_tick: int) -> Window | None:
        """Return the complete segments from `first_msn` on that are here, None for none."""
        position, program = self.position(now_tick), self._find(rendition)
        first = max(first_msn, self._oldest())
        captions = self._captions.get(rendition)
        if (program is None and captions is None) or first >= position.msn:
            return None
        if captions is not None:
            return captions.finished(first, position.msn)
        assert program is not None, "one of both is there"
        return program.catalogue.finished(first, position, self.spec.container)

    def unread(self, rendition: str, name: str) -> Job | None:
        """Return what must be done, in any thread, for `fetch` not to wait for the disk."""
        segment, program = self._names.read_segment(name), self._find(rendition)
        if segment is None or program is None or segment[0] >= self._complete:
            return None
        return program.shelf.unread(segment[0])

    def fetch(self, rendition: str, name: str, now_tick: int) -> bytes | None:
        """Return the init segment, or a complete part or segment, encrypted; None if not here."""
        position, program = self.position(now_tick), self._find(rendition)
        oldest = self._oldest()
        segment, wanted = self._names.read_segment(name), self._names.read_part(name)
        if segment is not None:
            if not oldest <= segment[0] <= position.msn:
                return None
            return self._fetch_segment(rendition, *segment)
        if program is None:
            return None
        if wanted is not None:
            is_here = oldest <= wanted.msn and _comes_before(wanted, position)
            if not is_here or not self._has(wanted):
                return None
            return program.shelf.part(wanted.msn, wanted.part)
        return program.rendition.init(name)

    def _fetch_segment(self, rendition: str, msn: int, extension: str) -> bytes | None:
        """Return a segment: one of sound is complete, one of captions begun, when it is listed."""
        captions, program = self._captions.get(rendition), self._find(rendition)
        if captions is not None:
            return captions.segment(msn) if extension == WEBVTT else None
        container = CONTAINERS.get(extension)
        if program is None or container is None or msn >= self._complete:
            return None
        return program.shelf.segment(msn, container)

    def sound(self, wanted: Position, now_tick: int) -> SoundPart | None:
        """Return a complete part of the default rendition in the clear; None if not in memory."""
        position, program = self.position(now_tick), self._find("")
        assert program is not None, "the first rendition is there"
        is_there = _comes_before(wanted, position) and self._has(wanted)
        if not is_there or wanted.msn < max(0, self._complete - MEMORY_SEGMENTS):
            return None
        return program.rendition.sound(wanted.msn, wanted.part)

    def close(self) -> None:
        """Delete what is on disk."""
        for one in self._programs.values():
            one.shelf.close()

    # Time

    def _advance(self, now_tick: int) -> None:
        """Bring the media up to `now_tick` minus the delay."""
        self._now_tick = max(self._now_tick, now_tick)
        if self._extent.is_over:
            self._extent.is_marked = self._now_tick >= self._ended_tick + MARK_TICKS
            return
        before_tick = self._now_tick - self._station.delay_ticks
        sealed = max(0, self.timeline.position(before_tick) // AAC_SAMPLES)
        if sealed <= self._sealed:  # a tick is shorter than a frame
            return
        self._sealed = sealed
        for bus, feed in self._feeds.items():
            for frame in feed.seal(before_tick):
                for one in self._programs.values():
                    if one.rendition.spec.bus == bus:
                        one.rendition.push(frame)
        for one in self._programs.values():
            one.rendition.advance(sealed)
        self._final = max(0, sealed - LOOKAHEAD_FRAMES)
        if self._final // SEGMENT_FRAMES > self._complete:
            self._complete = self._final // SEGMENT_FRAMES
            self._settle()

    def _settle(self) -> None:
        """Move segments from memory to disk and forget what left the window."""
        oldest = self._oldest()
        for one in self._programs.values():
            one.shelf.settle(oldest, self._complete)
        oldest = self._oldest()  # the disk may have been full
        self._reach.raise_floor(oldest)
        for captions in self._captions.values():
            captions.cues.drop_before(oldest)
        self._keys.forget_before(oldest)
        for feed in self._feeds.values():
            feed.hold.forget_before(oldest * SEGMENT_FRAMES)
            feed.configure(self._channels(), self.spec.loudness_lufs)
        self._formats.forget_before(oldest)

    def _first_listed(self) -> int:
        """Return the first segment of all playlists."""
        self._follow_disk()
        return self._reach.first_listed(self._complete)

    def _oldest(self) -> int:
        """Return the first segment that is here, listed or not."""
        self._follow_disk()
        return self._reach.oldest(self._complete)

    def _follow_disk(self) -> None:
        self._reach.raise_floor(max(one.shelf.floor for one in self._programs.values()))

    def _last(self, position: Position) -> Position:
        """Return the part before `position`."""
        if position.part:
            return Position(position.msn, position.part - 1)
        return Position(position.msn - 1, len(self._extent.parts(position.msn - 1)) - 1)

    def _has(self, wanted: Position) -> bool:
        """Whether there is such a part in its segment."""
        return 0 <= wanted.part < len(self._extent.parts(wanted.msn))

    def _mark(self, dates: Iterable[DateRange]) -> None:
        for date in dates:
            self.dates.mark(date)

    # The renditions

    def _set_renditions(self, wanted: BroadcastSpec) -> None:
        """Have these renditions. One that is new or another begins with silence in its past."""
        self._set_feeds({one.bus for one in wanted.renditions}, wanted.loudness_lufs)
        before, programs = self._programs, dict[str, _Program]()
        for spec in wanted.renditions:
            known = before.get(spec.name)
            if known is not None and known.rendition.goes_on_as(spec):
                programs[spec.name] = before.pop(spec.name)
            else:
                programs[spec.name] = self._begin(spec)
        for one in before.values():
            one.shelf.close()
        self._programs = programs

    def _begin(self, spec: RenditionSpec) -> _Program:
        counters, hold = self._station.counters, self._feeds[spec.bus].hold
        rendition = Rendition(spec, self._formats, hold, self._extent, counters)
        rendition.advance(self._sealed)
        shelf = Shelf(self.spec.room, rendition, self._keys, self._station.disk, counters)
        shelf.settle(0, self._complete)
        return _Program(rendition, shelf, Catalogue(rendition, self._facts))

    def _set_captions(self, wanted: tuple[CaptionsSpec, ...]) -> None:
        before = {one.spec: one for one in self._captions.values()}
        self._captions = {
            spec.name: before.get(spec) or Captions(spec, self._facts) for spec in wanted
        }

    def _set_feeds(self, buses: set[str], loudness_lufs: float | None) -> None:
        station, channels = self._station, self._channels()
        before, self._feeds = self._feeds, {}
        for bus in sorted(buses):
            feed = before.get(bus)
            if feed is None:
                first = self._now_tick - station.delay_ticks
                feed = Feed(self.timeline, first, station.delay_ticks, station.counters)
            feed.configure(channels, loudness_lufs)
            self._feeds[bus] = feed

    def _channels(self) -> int:
        """Return how many channels the formats have that are not all encoded yet: the most."""
        ends = ((span.end_msn, span.channels) for span in self._formats.spans)
        return max(channels for end, channels in ends if end is None or end > self._complete)

    def _set_music(self, *, is_left: bool = False) -> None:
        """Have the hold music that is wanted and here; not at once if everybody has just left.

        It is coded as the newest format is, and in no other.
        """
        wanted, since, music = LoopSpec.of(self.spec), 0, None
        if wanted is not None:
            music = self._station.loops.get(wanted)
            since = self._formats.spans[-1].first_msn * SEGMENT_FRAMES
        for feed in self._feeds.values():
            if is_left:
                feed.hold.pause()
            feed.hold.want(music, since)

    def _find(self, rendition: str) -> _Program | None:
        return self._programs.get(rendition or self.spec.renditions[0].name)


def _comes_before(one: Position, other: Position) -> bool:
    return (one.msn, one.part) < (other.msn, other.part)
