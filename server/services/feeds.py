"""The sound of rooms on air for who sends it on: parts of AAC frames that never stop coming."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from hls.core import adts
from hls.core.soundpart import SoundPart
from hls.core.timeline import AAC_SAMPLES, LOOKAHEAD_FRAMES, Timeline
from hls.types import BroadcastSpec
from mixer.types import RoomId
from server.domain.reload import Parts
from server.errors import BlockedTooLong, NotReady, PlaneUnavailable, TooManyBlocked
from server.ports import BroadcastPlane
from server.services.clock import Clock
from server.services.fan import BURST, Fan, Tap
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

LINGER_S: Final = 5.0  # after the last reader: who reconnects finds the sound as it was
GRACE_S: Final = 1.0  # after a part is due; then it is silent. Less than the burst a player holds
RETRY_S: Final = 0.25  # while the plane is away
BEHIND_S: Final = 5.0  # a feed that is further behind (the machine slept) goes on with now
_TICK_S: Final = 0.02
DELAY_TICKS: Final = 5  # what the broadcaster waits for late ticks


@dataclass(frozen=True, slots=True)
class HeardPart:
    """A part of the feed; `first_frame` counts AAC frames of the stream, `adts` is the same."""

    first_frame: int
    part: SoundPart
    adts: bytes


@dataclass(frozen=True, slots=True)
class _Course:
    """Where the parts of one stream lie on the clock."""

    stream: str
    parts: Parts
    timeline: Timeline
    part_frames: int

    def due_tick(self, index: int) -> int:
        """Return the tick at which a part is complete."""
        frames = (index + 1) * self.part_frames + LOOKAHEAD_FRAMES
        return self.timeline.tick_after(frames) + DELAY_TICKS

    def newest(self, tick: int) -> int:
        """Return the newest part that is complete."""
        frames = self.timeline.position(tick - DELAY_TICKS) // AAC_SAMPLES
        return max(0, frames - LOOKAHEAD_FRAMES) // self.part_frames - 1


class _Feed:
    """One room's feed; `readers` keep it going."""

    def __init__(self, counters: Counter[str]) -> None:
        self.fan: Fan[HeardPart] = Fan(counters)
        self.readers = 0
        self.idle_since_s = 0.0
        self.last: SoundPart | None = None


class Feeds:
    """The feeds of all rooms: a task each, as long as somebody reads and for a while after.

    What the broadcast process does not give in time is silence, so that a feed goes on while that
    process or a mixer is started again. It ends when the room goes off the air, or is another one.
    """

    def __init__(self, plane: BroadcastPlane, clock: Clock) -> None:
        self.counters: Counter[str] = Counter(radio_skipped_total=0, radio_silent_parts_total=0)
        self._plane = plane
        self._clock = clock
        self._feeds: dict[RoomId, _Feed] = {}
        self._owner: Supervisor | None = None

    def __len__(self) -> int:
        return len(self._feeds)

    def serve(self, owner: Supervisor) -> None:
        """Run on tasks of this supervisor."""
        self._owner = owner

    def is_on_air(self, room: RoomId) -> bool:
        """Whether there is something to hear."""
        return self._plane.spec(room) is not None

    def end(self) -> None:
        """Let every reader come to the end: the server stops."""
        for feed in list(self._feeds.values()):
            feed.fan.end()

    @contextmanager
    def open(self, room: RoomId, *, burst: bool) -> Iterator[Tap[HeardPart]]:
        """Read a room's feed. Raises NotReady if the room is not on air."""
        if not self.is_on_air(room):
            raise NotReady("This room is not being broadcast now")
        feed = self._feeds.get(room)
        if feed is None or feed.fan.is_over:
            feed = self._start(room)
        feed.readers += 1
        try:
            with feed.fan.open(burst=burst) as tap:
                yield tap
        finally:
            feed.readers -= 1
            feed.idle_since_s = self._clock.monotonic()

    def _start(self, room: RoomId) -> _Feed:
        assert self._owner is not None, "serve() comes first"
        feed = self._feeds[room] = _Feed(self.counters)
        # Ends without readers, when the room goes off the air, or with the server.
        _ = self._owner.spawn(self._run(room, feed), name=f"feed {room}")
        return feed

    async def _run(self, room: RoomId, feed: _Feed) -> None:
        before: _Course | None = None
        index = 0
        try:
            while self._is_wanted(feed) and (spec := self._plane.spec(room)) is not None:
                course = _course(spec)
                if before is not None and before.stream != course.stream:
                    break  # another room has its id: those who hear were let into this one
                newest = course.newest(self._clock.tick())
                if before is None or before.timeline != course.timeline:
                    feed.last, index = None, max(0, newest + 1 - BURST)
                elif (newest - index) * course.parts.seconds > BEHIND_S:
                    index = newest
                await self._go_on(room, feed, course, index)
                before, index = course, index + 1
        finally:
            feed.fan.end()
            if self._feeds.get(room) is feed:
                del self._feeds[room]

    def _is_wanted(self, feed: _Feed) -> bool:
        if feed.fan.is_over:
            return False
        return feed.readers > 0 or self._clock.monotonic() - feed.idle_since_s < LINGER_S

    async def _go_on(self, room: RoomId, feed: _Feed, course: _Course, index: int) -> None:
        """Publish a part: as it is, or silent at the latest when its time is over."""
        part = await self._take(room, course, index)
        if part is None:
            left_s = max(0.0, self._left_s(course, index))
            await asyncio.sleep(left_s)  # waits: silence keeps time too
            if feed.last is None:
                return
            self.counters["radio_silent_parts_total"] += 1
            part = feed.last.silenced()
        spec = self._plane.spec(room)
        if spec is not None and spec.stream != course.stream:  # it may be the other's
            return
        feed.last = part
        first = index * course.part_frames
        feed.fan.publish(HeardPart(first, part, adts.stream(part.audio, part.frames)))

    async def _take(self, room: RoomId, course: _Course, index: int) -> SoundPart | None:
        """Return a part, None if it cannot be had in time or at all."""
        try:
            # One that is late already is asked for as well: it may be there.
            async with asyncio.timeout(max(RETRY_S, self._left_s(course, index) + GRACE_S)):
                while True:
                    try:
                        return await self._plane.sound(room, index)
                    except PlaneUnavailable:
                        await asyncio.sleep(RETRY_S)  # waits: it is started again
                    except (BlockedTooLong, TooManyBlocked) as error:
                        log.debug("feed_waits", room=room, reason=str(error))
                        await asyncio.sleep(RETRY_S)  # waits: others go first
        except TimeoutError:
            return None

    def _left_s(self, course: _Course, index: int) -> float:
        """Return how long it is until a part is due; negative since then."""
        return (course.due_tick(index) - self._clock.tick()) * _TICK_S


def _course(spec: BroadcastSpec) -> _Course:
    timeline = Timeline(spec.base_tick, spec.base_unix_s)
    return _Course(spec.stream, Parts(spec), timeline, spec.part_frames)
