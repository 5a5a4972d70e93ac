"""FFmpeg as a listener of a stream: what it plays, half a second at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import numpy as np

from tests.support.webrtc_client import RATE, Pcm, level_db

CHUNK: Final = RATE // 2
PATIENCE_S: Final = 60.0


def command(url: str) -> list[str]:
    """Return what decodes a stream to mono 16 bit at 48 kHz on its standard output."""
    # From the newest segment on: by itself it begins with the third last, and stays so far behind.
    source = ["-live_start_index", "-1", "-i", url]
    return ["ffmpeg", "-v", "error", *source, "-ac", "1", "-ar", "48000", "-f", "s16le", "-"]


class FfmpegPlayer:
    """One FFmpeg that follows a stream."""

    def __init__(self, said: asyncio.StreamReader) -> None:
        self._said = said

    async def hear(
        self, hertz: float, *, above_db: float = -26.0, without: float | None = None
    ) -> None:
        """Wait until a tone is played, and another one not."""

        def is_it(pcm: Pcm) -> bool:
            is_there = level_db(pcm, hertz) > above_db
            return is_there and (without is None or level_db(pcm, without) < -50)

        await self._until(is_it)

    async def hear_silence(self) -> None:
        """Wait until nothing is played."""
        await self._until(lambda pcm: int(np.abs(pcm).max()) < 10)

    async def _until(self, is_it: Callable[[Pcm], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_it(np.frombuffer(await self._said.readexactly(2 * CHUNK), np.int16)):
                pass


@asynccontextmanager
async def playing(url: str) -> AsyncIterator[FfmpegPlayer]:
    """Play a stream, which must have something to play, to the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command(url), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None, "asked for as a pipe"
    try:
        yield FfmpegPlayer(process.stdout)
    finally:
        process.kill()
        await process.communicate()  # what it still had to say holds its end up
