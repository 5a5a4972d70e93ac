"""What the broadcast process does for uploads: complete segments into the spool, once a second."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

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


class Spooler:
    """Takes what listeners could fetch, byte by byte; a disk that hangs holds up only itself."""

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
        self._heads: dict[str, Head] = {}
        self._absent: dict[str, int] = {}
        self._working = asyncio.Lock()

    async def run(self) -> None:
        """Take what is complete, for ever."""
        while True:
            await self.work()
            await asyncio.sleep(EVERY_S)

    async def work(self) -> None:
        """Take what is complete of all rooms on air."""
        async with self._working:
            for spec in self._broadcaster.specs():
                _ = await self._take(spec)  # of the rest, in the next round
            await self._end_absent()

    async def finish(self, room: str) -> None:
        """Take the last of a room that goes off the air; a disk that hangs is not waited for."""
        try:
            async with asyncio.timeout(FINISH_S), self._working:
                for spec in self._broadcaster.specs():
                    if spec.room == room:
                        while await self._take(spec):
                            pass
                        await self._end(stream_name(spec))
        except TimeoutError:
            self.spool.counters["upload_spool_failures"] += 1

    async def _take(self, spec: BroadcastSpec) -> bool:
        """Take some of what is complete; return whether there may be more."""
        stream, more = stream_name(spec), False
        await self._begin(spec, stream)
        for name in spec.names:
            key = (stream, name)
            if key not in self._next:
                last = await asyncio.to_thread(self.spool.last_msn, *key)
                self._next[key] = last + 1
            count = await self._take_rendition(spec, stream, name)
            more = more or count == A_ROUND
        return more

    async def _begin(self, spec: BroadcastSpec, stream: str) -> None:
        text = self._broadcaster.playlist(
            spec.room, "", PlaylistKind.MULTIVARIANT, self._now_tick()
        )
        head = Head(spec.room, _moment(spec), spec.names, text or "")
        if text is not None and self._heads.get(stream) != head:
            await asyncio.to_thread(self.spool.begin, head)
            self._heads[stream] = head
        self._absent[stream] = 0
        if self._are_keys_sent:
            for key in spec.keys:
                await asyncio.to_thread(self.spool.put_key, stream, key.epoch, key.key)

    async def _take_rendition(self, spec: BroadcastSpec, stream: str, rendition: str) -> int:
        """Take segments of a rendition; return how many those were."""
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
        on_air = {stream_name(spec) for spec in self._broadcaster.specs()}
        for stream in await asyncio.to_thread(self.spool.streams):
            if stream not in on_air:
                self._absent[stream] = self._absent.get(stream, 0) + 1
                if self._absent[stream] >= ABSENT_ROUNDS:
                    await self._end(stream)

    async def _end(self, stream: str) -> None:
        await asyncio.to_thread(self.spool.end, stream)
        self._absent.pop(stream, None)
        self._heads.pop(stream, None)
        self._next = {key: msn for key, msn in self._next.items() if key[0] != stream}


def stream_name(spec: BroadcastSpec) -> str:
    """Return what a room's broadcast is called in the spool: by when its clock began."""
    return f"{spec.room}_{_moment(spec)}"


def _moment(spec: BroadcastSpec) -> str:
    return datetime.fromtimestamp(spec.base_unix_s, UTC).strftime("%Y-%m-%d_%H-%M-%S")
