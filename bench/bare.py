"""A bare aiohttp echo server, started beside Roomtone: the floor of what a socket costs."""

import os
import shutil
import sys
import tempfile
from asyncio.subprocess import Process
from pathlib import Path

from bench.children import end_child, start_child
from bench.errors import BenchMistake
from bench.visitors import Visitor


class BareServer:
    """See `visitors.Door`. It has no rooms: everybody is told what they say."""

    def __init__(self) -> None:
        self.name = "bare aiohttp"
        self._process: Process | None = None
        self._folder: Path | None = None
        self._port = 0

    async def start(self) -> None:
        """See Door."""
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT)
        try:
            command = [sys.executable, "-m", "bench.server_echo"]
            self._process = await start_child(command, log=log, pipes=True)
        finally:
            os.close(log)
        assert self._process.stdout is not None, "it was asked for"
        line = await self._process.stdout.readline()
        if not line:
            said = (self._folder / "log").read_text()[-2000:]
            raise BenchMistake(f"{self.name} ended by itself. It said:\n{said}")
        self._port = int(line)

    async def visitors(self, count: int, of_a_room: int) -> list[Visitor]:
        """See Door."""
        del of_a_room
        return [Visitor.at(f"http://127.0.0.1:{self._port}/ws") for _ in range(count)]

    def pids(self) -> list[int]:
        """See Door."""
        assert self._process is not None, "started"
        return [self._process.pid]

    async def stop(self) -> None:
        """See Door."""
        if self._process is not None:
            await end_child(self._process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
