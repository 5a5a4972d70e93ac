"""The servers under measurement, all behind one small protocol."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from bench.children import end_child, start_child, tree
from bench.errors import BenchMistake
from bench.janus import Janus
from bench.settings import MixSettings

LIMIT_BYTES = 1 << 20
JANUS_COMPLEXITY = 4  # what it encodes with where nobody says otherwise
JANUS_BY_ITSELF = f"Janus at complexity {JANUS_COMPLEXITY}"


class Rival(Protocol):
    """A server that mixes. Every scenario runs against every one of them."""

    name: str

    async def start(self) -> None:
        """Start it; it answers when this returns."""

    async def answer(self, room: str, peer: str, offer: str) -> str:
        """Have an SDP offer answered; the room is made when its first person comes."""

    async def idle_rooms(self, count: int) -> None:
        """Open rooms with nobody in them."""

    def pids(self) -> list[int]:
        """Return its processes."""

    async def stop(self) -> None:
        """End it, whatever state it is in."""


class LinesServer:
    """A server of ours that speaks JSON lines on its standard streams (see `lines.py`)."""

    def __init__(self, name: str, module: str, mix: MixSettings) -> None:
        self.name = name
        self._module = module
        self._mix = mix
        self._process: Any = None
        self._folder: Path | None = None

    async def start(self) -> None:
        """See Rival."""
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT)
        try:
            self._process = await start_child(
                [sys.executable, "-m", self._module, json.dumps(asdict(self._mix))],
                log=log,
                pipes=True,
                limit=LIMIT_BYTES,
            )
        finally:
            os.close(log)
        await self._ask({"ready": True})

    async def answer(self, room: str, peer: str, offer: str) -> str:
        """See Rival."""
        return str((await self._ask({"room": room, "peer": peer, "sdp": offer}))["sdp"])

    async def idle_rooms(self, count: int) -> None:
        """See Rival."""
        await self._ask({"rooms": count})

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            assert self._folder is not None, "started"
            said = (self._folder / "log").read_text()[-2000:]
            raise BenchMistake(f"{self.name} ended by itself. It said:\n{said}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchMistake(f"{self.name}: {answer['error']}")
        return answer

    def pids(self) -> list[int]:
        """See Rival."""
        return tree(self._process.pid)

    async def stop(self) -> None:
        """See Rival."""
        if self._process is not None:
            await end_child(self._process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def makers(mix: MixSettings, janus: str | None) -> dict[str, Callable[[], Rival]]:
    """Return how to make each server, by the name the command line knows it by."""
    return {
        "roomtone": lambda: LinesServer("Roomtone", "bench.server_roomtone", mix),
        "janus": lambda: Janus(mix, janus),
        JANUS_BY_ITSELF: lambda: Janus(
            replace(mix, complexity_rival=JANUS_COMPLEXITY), janus, JANUS_BY_ITSELF
        ),
        "aiortc": lambda: LinesServer("plain aiortc", "bench.server_aiortc", mix),
    }
