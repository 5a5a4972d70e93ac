import asyncio
from pathlib import Path

import numpy as np
import pytest

from mixer.types import RoomId
from server.media import wire
from server.media.audio_tap import STALE_TICKS, AudioTap
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport, listen
from server.supervise import Supervisor

ROOM = RoomId("room")
SILENCE = np.zeros(960, np.int16)


class Ear:
    """Listens as the broadcast process does."""

    def __init__(self) -> None:
        self.heard = asyncio.Queue[int]()
        self.mixers = asyncio.Queue[UnixTransport]()

    def accept(self) -> UnixTransport:
        """Take one mixer."""
        return UnixTransport(self._hear, on_open=self.mixers.put_nowait)

    def _hear(self, kind: FrameKind, body: bytes) -> None:
        self.heard.put_nowait(wire.read_audio(kind, body).tick)

    async def ticks(self, count: int) -> list[int]:
        """Wait for that many ticks."""
        return [await self.heard.get() for _ in range(count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ear listens."""
    return tmp_path / "audio.sock"


async def test_what_was_written_before_the_connection_is_sent(path: Path) -> None:
    """The ring bridges the time until the broadcast process is there."""
    tap, ear = AudioTap(path), Ear()
    async with Supervisor() as supervisor:
        tap.write(ROOM, "floor", 1, SILENCE)
        _ = supervisor.spawn(tap.run(), name="tap")
        await asyncio.sleep(0)  # tries, and finds nobody
        async with await listen(path, ear.accept):
            assert await ear.ticks(1) == [1]
            tap.write(ROOM, "floor", 2, SILENCE)
            assert await ear.ticks(1) == [2]


async def test_a_lost_connection_is_made_anew(path: Path) -> None:
    """After a restart of the broadcast process the ticks go on."""
    tap, ear = AudioTap(path), Ear()
    async with Supervisor() as supervisor:
        _ = supervisor.spawn(tap.run(), name="tap")
        async with await listen(path, ear.accept):
            (await ear.mixers.get()).abort()
        async with await listen(path, ear.accept):
            await ear.mixers.get()
            tap.write(ROOM, "floor", 3, SILENCE)
            assert await ear.ticks(1) == [3]
    assert tap.connections == 2


def test_a_full_ring_loses_the_oldest(path: Path) -> None:
    """Without a reader the ring stays bounded, and every loss is counted."""
    tap = AudioTap(path, max_waiting_ticks=3)
    for tick in range(10):
        tap.write(ROOM, "floor", tick, SILENCE)
    assert tap.dropped == 7


async def test_stale_ticks_are_not_sent(path: Path) -> None:
    """What is older than its segment is dropped, counted."""
    tap, ear = AudioTap(path), Ear()
    for tick in (1, 2, 2 + STALE_TICKS):
        tap.write(ROOM, "floor", tick, SILENCE)
    async with Supervisor() as supervisor, await listen(path, ear.accept):
        _ = supervisor.spawn(tap.run(), name="tap")
        assert await ear.ticks(2) == [2, 2 + STALE_TICKS]
    assert tap.dropped == 1
