"""What puts rooms on air: our broadcast process, or an FFmpeg for each room."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from asyncio.subprocess import Process
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.children import end_child, start_child
from bench.errors import BenchMistake
from hls.types import BroadcastSpec, KeySpec
from mixer.types import FRAME_SAMPLES, RoomId, tick_at
from server.domain.reload import PlaylistAsk
from server.media.audio_tap import AudioTap
from server.media.broadcast_plane import WorkerBroadcastPlane
from server.supervise import Supervisor

EPOCH_SEGMENTS = 5  # a key is good for ten seconds, so that some change while it is measured
EPOCHS = 60
SEGMENT_S = 1.92
SEGMENTS = 8
BIT_RATES = (128_000, 64_000)

Tick = NDArray[np.int16]


class Station(Protocol):
    """Rooms on air. Nobody is let in; the sound comes ready mixed, a tick at a time."""

    name: str

    async def start(self, rooms: int) -> None:
        """Put so many rooms on air. Raises BenchMistake."""

    def write(self, room: int, tick: int, pcm: Tick | None) -> None:
        """Take a tick of a room, int16[960]; None is a tick in which nobody speaks."""

    def pids(self) -> list[int]:
        """Return the processes."""

    async def stop(self) -> None:
        """End them; nothing is left."""


class OurStation:
    """The broadcast process as the server starts it, with all rooms in it.

    The part that answers for it is this very process, so neither HTTP nor the keys' delivery is
    in what it costs.
    """

    def __init__(self) -> None:
        self.name = "Roomtone"
        self.heard = 0
        self._rooms: list[RoomId] = []
        self._folder: Path | None = None
        self._supervisor = Supervisor("bench")
        self._plane: WorkerBroadcastPlane | None = None
        self._tap: AudioTap | None = None

    async def start(self, rooms: int) -> None:
        """See Station."""
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        audio_socket = self._folder / "audio.sock"
        self._plane = WorkerBroadcastPlane(audio_socket)
        await self._plane.start(self._supervisor)
        self._tap = AudioTap(audio_socket)
        _ = self._supervisor.spawn(self._tap.run(), name="tap")  # ends with the supervisor
        self._rooms = [RoomId(f"room-{number}") for number in range(rooms)]
        for room in self._rooms:
            await self._plane.apply(_spec(room))

    def write(self, room: int, tick: int, pcm: Tick | None) -> None:
        """See Station; as a mixer does, nothing is sent while nobody speaks."""
        assert self._tap is not None, "start() comes first"
        if pcm is not None:
            self._tap.write(self._rooms[room], "floor", tick, pcm)

    async def listen(self, room: int, until: float) -> None:
        """Play a room at low latency: each playlist and each part as soon as it is there."""
        assert self._plane is not None, "start() comes first"
        name, position = self._rooms[room], await self._next(room)
        while time.monotonic() < until:
            msn, part = position
            asked = PlaylistAsk(msn=msn, part=part)
            text, media = await asyncio.gather(
                self._plane.playlist(name, asked),
                self._plane.fetch(name, "", f"seg-{msn}.{part}.m4s"),
            )
            if text is None or media is None:
                raise BenchMistake(f"{self.name} does not give part {msn}.{part} of {name}.")
            self.heard += 1
            position = (msn, part + 1) if part + 1 < _PARTS else (msn + 1, 0)

    async def _next(self, room: int) -> tuple[int, int]:
        assert self._plane is not None, "start() comes first"
        text = await self._plane.playlist(self._rooms[room], PlaylistAsk())
        if text is None:
            raise BenchMistake(f"{self.name} has no playlist of {self._rooms[room]}.")
        hint = text.text.rpartition('URI="seg-')[2].partition(".m4s")[0]
        msn, _, part = hint.partition(".")
        return int(msn), int(part)

    def pids(self) -> list[int]:
        """See Station."""
        assert self._plane is not None, "start() comes first"
        return [self._plane.pid] if self._plane.pid is not None else []

    async def stop(self) -> None:
        """See Station."""
        if self._plane is not None:
            await self._plane.close()
        await self._supervisor.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


_PARTS = 6  # of a segment, by default


def _spec(room: RoomId) -> BroadcastSpec:
    keys = tuple(
        KeySpec(
            epoch=epoch,
            key=os.urandom(16),
            iv=os.urandom(16),
            uri=f"/hls/rooms/{room}/{epoch}/enc.key",
            first_msn=epoch * EPOCH_SEGMENTS,
        )
        for epoch in range(EPOCHS)
    )
    return BroadcastSpec(room, 1, keys, tick_at(time.monotonic()), time.time())


class FfmpegStation:
    """One FFmpeg a room: the same samples by a pipe, two bit rates of AES-128 HLS into memory.

    `coder` is libavcodec's `aac_coder`: "fast" is ours, "twoloop" what FFmpeg takes by itself.
    """

    def __init__(self, coder: str) -> None:
        self.name = "FFmpeg" if coder == "fast" else f"FFmpeg, {coder}"
        self._coder = coder
        self._folder: Path | None = None
        self._processes: list[Process] = []
        self._keys: asyncio.Task[None] | None = None

    async def start(self, rooms: int) -> None:
        """See Station."""
        if shutil.which("ffmpeg") is None:
            raise BenchMistake("ffmpeg is not installed: apt-get install ffmpeg")
        memory = Path("/dev/shm")  # noqa: S108 - the point: no disk is in what it costs
        parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-", dir=parent))
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT)
        try:
            for room in range(rooms):
                place = self._folder / f"room-{room}"
                place.mkdir()
                _new_key(place, 0)
                self._processes.append(
                    await start_child(["ffmpeg", *self._options(place)], log=log, pipes=True)
                )
        finally:
            os.close(log)
        self._keys = asyncio.create_task(self._change_keys(), name="keys")

    def _options(self, place: Path) -> list[str | Path]:
        """Return what makes of a pipe what we make of ticks."""
        rates = [
            word for number, rate in enumerate(BIT_RATES) for word in (f"-b:a:{number}", str(rate))
        ]
        return [
            *("-v", "error", "-nostats", "-probesize", "32", "-analyzeduration", "0"),
            *("-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "pipe:0"),
            *("-map", "0:a", "-map", "0:a", "-c:a", "aac", "-aac_coder", self._coder, *rates),
            *("-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_list_size", str(SEGMENTS)),
            *("-hls_flags", "delete_segments+periodic_rekey"),
            *("-hls_key_info_file", place / "key.info", "-var_stream_map", "a:0 a:1"),
            *("-master_pl_name", "master.m3u8"),
            *("-hls_segment_filename", place / "%v-%d.ts", place / "%v.m3u8"),
        ]

    async def _change_keys(self) -> None:
        assert self._folder is not None, "made before"
        for epoch in range(1, EPOCHS):
            await asyncio.sleep(EPOCH_SEGMENTS * SEGMENT_S)
            for room in range(len(self._processes)):
                _new_key(self._folder / f"room-{room}", epoch)

    def write(self, room: int, tick: int, pcm: Tick | None) -> None:
        """See Station; without samples its stream would stop, so it gets silence."""
        del tick
        pipe = self._processes[room].stdin
        assert pipe is not None, "asked for as a pipe"
        pipe.write(_SILENCE if pcm is None else pcm.tobytes())

    def pids(self) -> list[int]:
        """See Station."""
        if any(process.returncode is not None for process in self._processes):
            assert self._folder is not None, "made before"
            raise BenchMistake(f"FFmpeg ended by itself: {(self._folder / 'log').read_text()}")
        return [process.pid for process in self._processes]

    def segments(self) -> int:
        """Return how many segments there are of all rooms."""
        assert self._folder is not None, "made before"
        return len(list(self._folder.glob("room-*/*.ts")))

    async def wait_segments(self, count: int) -> None:
        """Wait until there are so many."""
        while self.segments() < count:
            await asyncio.sleep(0.05)

    def readable(self) -> int:
        """Return how many segments are not encrypted: they begin as MPEG-TS packets do."""
        assert self._folder is not None, "made before"
        found = [path.read_bytes() for path in self._folder.glob("room-*/*.ts")]
        return sum(data[0::188][:3] == b"GGG" for data in found)

    async def stop(self) -> None:
        """See Station."""
        if self._keys is not None:
            self._keys.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keys
        for process in self._processes:
            await end_child(process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


_SILENCE = bytes(2 * FRAME_SAMPLES)


def _new_key(place: Path, epoch: int) -> None:
    """Have FFmpeg take another key with its next segment; it never sees half a file."""
    key = place / f"key-{epoch}"
    key.write_bytes(os.urandom(16))
    written = place / "key.info.new"
    written.write_text(f"{epoch}/enc.key\n{key}\n{os.urandom(16).hex()}\n")
    written.rename(place / "key.info")
