"""What the broadcast process does for uploads: complete segments into the spool, once a second."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from hls.core.timeline import LEAD_SEGMENTS, SEGMENT_TICKS, Timeline
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, PlaylistKind
from hls.upload.core.journal import Listed, listed
from hls.upload.spool import Head, SpoolWriter

EVERY_S: Final = 1.0
A_ROUND: Final = 16  # segments of a rendition: memory, and a thread that others wait for
FINISH_S: Final = 1.0  # what the end of a broadcast waits for the disk
# A room that this process has not heard of for so long after its start is off the air.
ABSENT_ROUNDS: Final = 600


@dataclass(frozen=True, slots=True)
class _Taken:
    segment: Listed
    data: bytes


@dataclass(frozen=True, slots=True)
class _OnAir:
    """A room's time on air, and the segment before which there is nothing of it."""

    head: Head
    first_msn: int


@dataclass(slots=True)
class _Withheld:
    """A room that is not uploaded, or was not until `from_tick`."""

    from_tick: int | None = None
    is_ended: bool = False  # what was taken of it before


class Spooler:
    """Takes what listeners could fetch, byte by byte; a disk that hangs holds up only itself.

    Each time on air is a stream of its own in the spool: a room that goes off and on again does not
    write over what was taken before. One that a life before has not ended goes on. A room that is
    not to be uploaded for a while has another stream afterwards, without anything of that while.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        spool: SpoolWriter,
        now_tick: Callable[[], int],
        *,
        are_keys_sent: bool,
    ) -> None:
        self.spool = spool
        self._broadcaster = broadcaster
        self._now_tick = now_tick
        self._are_keys_sent = are_keys_sent
        self._next: dict[tuple[str, str], int] = {}  # segment of stream and rendition
        self._on_air: dict[str, _OnAir] = {}  # by room
        self._heads: dict[str, Head] = {}  # as the spool has them
        self._absent: dict[str, int] = {}
        self._withheld: dict[str, _Withheld] = {}  # by room
        self._working = asyncio.Lock()

    def hear(self, spec: BroadcastSpec) -> None:
        """Take whether a room on air is uploaded from this tick on."""
        held = self._withheld.get(spec.room)
        if not spec.is_uploaded and (held is None or held.from_tick is not None):
            self._withheld[spec.room] = _Withheld()
        elif spec.is_uploaded and held is not None and held.from_tick is None:
            held.from_tick = self._now_tick()

    async def run(self) -> None:
        """Take what is complete, for ever."""
        while True:
            await self.work()
            await asyncio.sleep(EVERY_S)

    async def work(self) -> None:
        """Take what is complete of all rooms on air."""
        async with self._working:
            for spec in self._broadcaster.specs():
                if await self._may_take(spec):
                    _ = await self._take(spec)  # of the rest, in the next round
            await self._end_absent()

    async def finish(self, room: str) -> None:
        """Take the last of a room that goes off the air; a disk that hangs is not waited for."""
        try:
            async with asyncio.timeout(FINISH_S), self._working:
                for spec in self._broadcaster.specs():
                    if spec.room == room and await self._may_take(spec):
                        while await self._take(spec):
                            pass
                        await self._end(self._on_air[room].head.id)
        except TimeoutError:
            self.spool.counters["upload_spool_failures"] += 1

    async def _may_take(self, spec: BroadcastSpec) -> bool:
        """Whether a room is uploaded; what was taken of one that was not for a while is ended."""
        held = self._withheld.get(spec.room)
        if held is None:
            return True
        if not held.is_ended:
            name = await asyncio.to_thread(self.spool.open_name, spec.room, spec.stream)
            if name is not None:
                await self._end(Head(spec.room, name, (), "").id)
            self._on_air.pop(spec.room, None)
            held.is_ended = True
        return held.from_tick is not None and self._withheld.get(spec.room) is held

    async def _take(self, spec: BroadcastSpec) -> bool:
        """Take some of what is complete; return whether there may be more."""
        now, more = await self._begin(spec), False
        stream = now.head.id
        for name in spec.names:
            key = (stream, name)
            if key not in self._next:
                last = await asyncio.to_thread(self.spool.last_msn, *key)
                self._next[key] = max(last + 1, now.first_msn)
            count = await self._take_rendition(spec, stream, name)
            more = more or count == A_ROUND
        return more

    async def _begin(self, spec: BroadcastSpec) -> _OnAir:
        """Have a stream for this time on air, with what is known of it now."""
        now, held = self._on_air.get(spec.room), self._withheld.get(spec.room)
        if now is None or now.head.stream != spec.stream:
            now = self._on_air[spec.room] = await asyncio.to_thread(self._found, spec, held)
            if held is not None and self._withheld.get(spec.room) is held:
                del self._withheld[spec.room]  # else it was turned off meanwhile
        text = self._broadcaster.playlist(
            spec.room, "", PlaylistKind.MULTIVARIANT, self._now_tick()
        )
        head, stream = replace(now.head, renditions=spec.names, master=text or ""), now.head.id
        if (
            text is not None
            and self._heads.get(stream) != head
            and await asyncio.to_thread(self.spool.begin, head)
        ):
            self._heads[stream] = head
        self._absent[stream] = 0
        if self._are_keys_sent:
            for key in spec.keys:
                await asyncio.to_thread(self.spool.put_key, stream, key.epoch, key.key)
        return now

    def _found(self, spec: BroadcastSpec, held: _Withheld | None) -> _OnAir:
        """Return what a life before has not ended, else something new named by when it began.

        Of a room that was withheld: something that begins with the first segment all of which is
        later.
        """
        if held is not None and held.from_tick is not None:
            first_msn = _msn_at(spec, held.from_tick) + 1
            return _OnAir(self._new_head(spec, held.from_tick), first_msn)
        name = self.spool.open_name(spec.room, spec.stream)
        if name is not None:
            return _OnAir(Head(spec.room, name, spec.names, "", spec.stream), 0)
        began_tick = self._broadcaster.began_tick(spec.room) or self._now_tick()
        first_msn = _msn_at(spec, began_tick) - LEAD_SEGMENTS
        return _OnAir(self._new_head(spec, began_tick), max(0, first_msn))

    def _new_head(self, spec: BroadcastSpec, began_tick: int) -> Head:
        timeline = Timeline(spec.base_tick, spec.base_unix_s)
        began = datetime.fromtimestamp(timeline.unix_s_at(max(began_tick, spec.base_tick)), UTC)
        head = _head(spec, began)
        while self.spool.has(head.id):  # of the same second
            began += timedelta(seconds=1)
            head = _head(spec, began)
        return head

    async def _take_rendition(self, spec: BroadcastSpec, stream: str, rendition: str) -> int:
        """Take segments of a rendition; return how many those were."""
        if spec.room in self._withheld:  # turned off since this round began
            return 0
        at, now_tick = (stream, rendition), self._now_tick()
        window = self._broadcaster.finished(spec.room, rendition, self._next[at], now_tick)
        if window is None:
            return 0
        turns = window.discontinuity_sequence
        for number, entry in enumerate(window.entries[:A_ROUND]):
            turns += number > 0 and entry.is_discontinuous
            data = self._broadcaster.fetch(spec.room, rendition, entry.name, now_tick)
            if data is not None:
                taken = _Taken(listed(entry, turns), data)
                init = self._broadcaster.fetch(spec.room, rendition, entry.init, now_tick)
                await asyncio.to_thread(self._write, at, taken, init)
            self._next[at] = entry.msn + 1
        return min(A_ROUND, len(window.entries))

    def _write(self, at: tuple[str, str], taken: _Taken, init: bytes | None) -> None:
        if init is not None:
            self.spool.put_init(*at, taken.segment.init, init)
        self.spool.put(*at, taken.segment, taken.data)

    async def _end_absent(self) -> None:
        """End the streams of rooms that are not on air, such as of a life before this one."""
        rooms = {spec.room for spec in self._broadcaster.specs()}
        self._withheld = {room: held for room, held in self._withheld.items() if room in rooms}
        on_air = {now.head.id for room, now in self._on_air.items() if room in rooms}
        for stream in await asyncio.to_thread(self.spool.streams):
            if stream not in on_air:
                self._absent[stream] = self._absent.get(stream, 0) + 1
                if self._absent[stream] >= ABSENT_ROUNDS:
                    await self._end(stream)

    async def _end(self, stream: str) -> None:
        await asyncio.to_thread(self.spool.end, stream)
        self._absent.pop(stream, None)
        self._heads.pop(stream, None)
        self._on_air = {room: now for room, now in self._on_air.items() if now.head.id != stream}
        self._next = {key: msn for key, msn in self._next.items() if key[0] != stream}


def _msn_at(spec: BroadcastSpec, tick: int) -> int:
    origin_tick = Timeline(spec.base_tick, spec.base_unix_s).origin_tick
    return (tick - origin_tick) // SEGMENT_TICKS


def _head(spec: BroadcastSpec, began: datetime) -> Head:
    return Head(spec.room, began.strftime("%Y-%m-%d_%H-%M-%S"), spec.names, "", spec.stream)
