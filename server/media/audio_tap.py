"""A room's mix on its way from the mixer to the broadcast process."""

import asyncio
import itertools
from collections import deque
from pathlib import Path
from typing import NamedTuple

from mixer.types import Int16Frame, RoomId, Tapped
from server.backoff import delays_s
from server.media.tapped import tapped_body
from server.media.wire import audio_body
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport, connect

MAX_WAITING_TICKS = 2000  # 4 MB, 8 of stereo: 20 rooms on air for two seconds
MAX_WAITING_BYTES = 16 << 20  # and a room of 60 who all speak, recorded to the sample
STALE_TICKS = 100  # 2 s: the broadcast has closed that segment
# The broadcast gives each tick 100 ms: two together are as good, and wake it half as often.
TOGETHER_TICKS = 2
HELD_S = 0.03  # if the second one is silent, it never comes
MOST_TOGETHER = 64  # frames of one write


class _Waiting(NamedTuple):
    """What was not sent yet."""

    tick: int
    kind: FrameKind
    body: bytes


class AudioTap:
    """A `mixer.types.Tap` that sends to a Unix socket and connects again when it was lost.

    All rooms' ticks go together, two at a time: what a wake-up costs the broadcast process is as
    much as its work on several ticks.

    What cannot be sent waits in a ring; when that is full the oldest tick goes, and what is older
    than two seconds goes too. Both are counted.
    """

    def __init__(self, path: Path, *, max_waiting_ticks: int = MAX_WAITING_TICKS) -> None:
        self.dropped = 0
        self.connections = 0
        self._path = path
        self._max_waiting = max_waiting_ticks
        self._waiting: deque[_Waiting] = deque()  # bounded in _put()
        self._waiting_bytes = 0
        self._transport: UnixTransport | None = None
        self._due: asyncio.Handle | None = None  # what will send

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        """See Tap."""
        self._put(_Waiting(tick, FrameKind.AUDIO, audio_body(room, bus, tick, pcm)))

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        """See Tap."""
        self._put(_Waiting(tick, FrameKind.TAPPED, tapped_body(room, tick, tapped)))

    def _put(self, one: "_Waiting") -> None:
        waiting = self._waiting
        waiting.append(one)
        self._waiting_bytes += len(one.body)
        while waiting and (self._is_full or waiting[0].tick < one.tick - STALE_TICKS):
            self._waiting_bytes -= len(waiting.popleft().body)
            self.dropped += 1
        if self._transport is not None:
            self._send_soon(one.tick)

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) > self._max_waiting or self._waiting_bytes > MAX_WAITING_BYTES

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        while True:
            self._transport = await self._connect()
            self.connections += 1
            self._send()
            try:
                await self._transport.wait_closed()
            finally:
                self._transport.abort()
                self._transport = None

    def _send_soon(self, tick: int) -> None:
        """Send at the end of the mixer's turn, if this is the last of the ticks that go together.

        Of the others each may be the last that sounds, so they are sent after a while.
        """
        is_last = tick % TOGETHER_TICKS == TOGETHER_TICKS - 1
        if isinstance(self._due, asyncio.TimerHandle) and is_last:
            self._due.cancel()
            self._due = None
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = (
                loop.call_soon(self._send) if is_last else loop.call_later(HELD_S, self._send)
            )

    def _send(self) -> None:
        self._due = None
        waiting = self._waiting
        while waiting and self._transport is not None:
            some = list(itertools.islice(waiting, MOST_TOGETHER))
            if not self._transport.offer_frames([(one.kind, one.body) for one in some]):
                return
            for one in some:
                waiting.popleft()
                self._waiting_bytes -= len(one.body)

    async def _connect(self) -> UnixTransport:
        for delay_s in delays_s(0.02, 0.5):
            try:
                return await connect(self._path)
            except OSError:  # the broadcast process is not there yet, or being started again
                await asyncio.sleep(delay_s)
        raise AssertionError("delays never end")
