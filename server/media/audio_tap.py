"""A room's mix on its way from the mixer to the broadcast process."""

import asyncio
from collections import deque
from pathlib import Path

from mixer.types import Int16Frame, RoomId
from server.backoff import delays_s
from server.media.wire import audio_body
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport, connect

MAX_WAITING_TICKS = 2000  # 4 MB, 8 of stereo: 20 rooms on air for two seconds
STALE_TICKS = 100  # 2 s: the broadcast has closed that segment


class AudioTap:
    """A `mixer.types.Tap` that sends to a Unix socket and connects again when it was lost.

    What cannot be sent waits in a ring; when that is full the oldest tick goes, and what is older
    than two seconds goes too. Both are counted.
    """

    def __init__(self, path: Path, *, max_waiting_ticks: int = MAX_WAITING_TICKS) -> None:
        self.dropped = 0
        self.connections = 0
        self._path = path
        self._max_waiting = max_waiting_ticks
        self._waiting: deque[tuple[int, bytes]] = deque()  # bounded in write()
        self._transport: UnixTransport | None = None

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        """See Tap."""
        waiting = self._waiting
        waiting.append((tick, audio_body(room, bus, tick, pcm)))
        while len(waiting) > self._max_waiting or waiting[0][0] < tick - STALE_TICKS:
            waiting.popleft()
            self.dropped += 1
        self._send()

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

    def _send(self) -> None:
        if self._transport is None:
            return
        waiting = self._waiting
        while waiting and self._transport.offer_frame(FrameKind.AUDIO, waiting[0][1]):
            waiting.popleft()

    async def _connect(self) -> UnixTransport:
        for delay_s in delays_s(0.02, 0.5):
            try:
                return await connect(self._path)
            except OSError:  # the broadcast process is not there yet, or being started again
                await asyncio.sleep(delay_s)
        raise AssertionError("delays never end")
