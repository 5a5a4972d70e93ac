"""A plain FFmpeg HLS pipeline: sound in, 2 s segments with AES-128 on disk, a file server."""

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from bench.eartap import Tapped
from bench.errors import BenchMistake
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S

_HERE = Path(__file__).resolve().parent
_PLAYER = _HERE.parent / "static" / "vendor" / "hls.mjs"
_START_S = 20.0


class PlainHls:
    """Takes PCM at its own pace, as a sound card gives it, and serves what FFmpeg makes of it."""

    def __init__(self, pcm: NDArray[np.int16]) -> None:
        self.name = "FFmpeg, 2 s segments"
        self.url = ""
        # When each 20 ms were handed over (Unix seconds); with `pcm` what went in.
        self.given_s: list[float] = []
        self._pcm = pcm
        self._folder: Path | None = None
        self._process: Process | None = None
        self._runner: web.AppRunner | None = None
        self._feeding: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start FFmpeg and the server, and wait for the first three segments."""
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        live = self._folder / "live"
        live.mkdir()
        (live / "enc.key").write_bytes(secrets.token_bytes(16))
        (self._folder / "key.info").write_text(f"enc.key\n{live / 'enc.key'}\n")
        with (self._folder / "log").open("w") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *_command(self._folder), stdin=PIPE, stdout=log, stderr=log
                )
            except FileNotFoundError as error:
                raise BenchMistake("ffmpeg was not found: apt install ffmpeg") from error
        self._feeding = asyncio.create_task(self._feed())
        await self._serve(live)
        async with asyncio.timeout(_START_S):
            while len(list(live.glob("*.ts"))) < 4:
                await asyncio.sleep(0.1)

    async def _feed(self) -> None:
        assert self._process is not None, "started"
        assert self._process.stdin is not None, "it is a pipe"
        began = time.monotonic()
        frames = self._pcm[: len(self._pcm) // FRAME_SAMPLES * FRAME_SAMPLES]
        frames = frames.reshape(-1, FRAME_SAMPLES)
        with contextlib.suppress(ConnectionError):
            while True:
                number = len(self.given_s)
                # A frame is there when its last sample is.
                await asyncio.sleep(max(0.0, began + (number + 1) * TICK_S - time.monotonic()))
                self.given_s.append(time.time() - TICK_S)
                self._process.stdin.write(frames[number % len(frames)].tobytes())
                await self._process.stdin.drain()

    async def _serve(self, live: Path) -> None:
        app = web.Application()
        app.router.add_get("/", _file(_HERE / "plain.html"))
        app.router.add_get("/hls.mjs", _file(_PLAYER))
        app.router.add_static("/live", live)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    def since(self, count: int) -> Tapped:
        """Return the sound from the frame of that number on."""
        frames = len(self._pcm) // FRAME_SAMPLES
        turns = -(-len(self.given_s) // frames)
        whole = np.tile(self._pcm[: frames * FRAME_SAMPLES], turns)
        sound = whole[count * FRAME_SAMPLES : len(self.given_s) * FRAME_SAMPLES]
        given = np.asarray(self.given_s[count:])
        return Tapped(sound, np.arange(len(given)) * FRAME_SAMPLES, given)

    async def stop(self) -> None:
        """End it; nothing is left."""
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait([self._feeding])
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _file(path: Path) -> Callable[[web.Request], Awaitable[web.FileResponse]]:
    async def serve(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    return serve


def _command(folder: Path) -> list[str | os.PathLike[str]]:
    live = folder / "live"
    return [
        "ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1",
        "-probesize", "32", "-analyzeduration", "0", "-fflags", "nobuffer", "-i", "pipe:0",
        "-c:a", "aac", "-b:a", "128k", "-f", "hls", "-hls_time", "2", "-hls_list_size", "6",
        "-hls_flags", "delete_segments", "-hls_key_info_file", folder / "key.info",
        "-hls_segment_filename", live / "%d.ts", live / "out.m3u8",
    ]  # fmt: skip
