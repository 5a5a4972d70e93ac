"""Roomtone as people run it: control process, mixers and broadcast, asked by REST."""

import asyncio
import bisect
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp

from bench.children import end_child, start_child, tree
from bench.errors import BenchMistake
from bench.visitors import Visitor
from server.config import Settings

START_S = 30.0
PROGRAM = Path(__file__).resolve().parents[1] / "server" / "__main__.py"


@dataclass(frozen=True, slots=True)
class Ticks:
    """How the mixers' ticks came since the start: counts by upper bound of lateness (s)."""

    late: int
    worst_s: float
    counts: Mapping[float, int]

    def since(self, before: "Ticks") -> tuple[int, int, float]:
        """Return (ticks, late ones, upper bound of the 99th percentile in s) since then."""
        bounds = sorted(self.counts)
        counts = [self.counts[bound] - before.counts.get(bound, 0) for bound in bounds]
        total = counts[-1] if counts else 0
        p99_s = bounds[bisect.bisect_left(counts, 0.99 * total)] if total else 0.0
        return total, self.late - before.late, min(p99_s, self.worst_s)


class WholeServer:
    """See `rivals.Rival` and `visitors.Door`. No limit of how much one address may ask for holds.

    Nobody is let in by `answer`: the scenarios with people measure the mixer alone.
    """

    def __init__(self, *options: str) -> None:
        self.name = "Roomtone"
        self._options = options
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._folder: Path | None = None
        self._http: aiohttp.ClientSession | None = None
        self._url = ""
        self._made = 0

    async def start(self) -> None:
        """See Rival."""
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        self.port = _free_port(socket.SOCK_STREAM)
        udp_port = _free_port(socket.SOCK_DGRAM)
        self._url = f"http://127.0.0.1:{self.port}"
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT)
        command = [sys.executable, str(PROGRAM), "serve"]
        options = ["--port", str(self.port), "--udp-port", str(udp_port), "--mixers", "1"]
        options += ["--state-dir", str(self._folder / "state")]
        options += [*no_limits(), *self._options]
        try:
            self._process = await start_child([*command, *options], log=log)
        finally:
            os.close(log)
        self._http = aiohttp.ClientSession()
        async with asyncio.timeout(START_S):
            while not await self._is_ready():
                await asyncio.sleep(0.1)
        key = (self._folder / "state" / "admin.key").read_text().strip()
        self._http.headers["Authorization"] = f"Bearer {key}"

    async def _is_ready(self) -> bool:
        assert self._process is not None, "started"
        if self._process.returncode is not None:
            assert self._folder is not None, "made before"
            said = (self._folder / "log").read_text()[-2000:]
            raise BenchMistake(f"{self.name} ended by itself. It said:\n{said}")
        try:
            async with self._client.get(f"{self._url}/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    @property
    def _client(self) -> aiohttp.ClientSession:
        assert self._http is not None, "start() comes first"
        return self._http

    async def answer(self, room: str, peer: str, offer: str) -> str:
        """See Rival: refused."""
        del room, peer, offer
        raise BenchMistake(f"{self.name} is measured without people.")

    async def idle_rooms(self, count: int) -> None:
        """Make rooms without an end by REST, and wait until all are on air."""
        for number in range(count):
            await self.new_room(f"idle-{number}")
        async with asyncio.timeout(START_S):
            while min(await self._rooms()) < count:
                await asyncio.sleep(0.2)

    async def new_room(self, room: str) -> dict[str, str]:
        """Make a room without an end, for as many as come; return its links, whole."""
        body = {"roomId": room, "pin": "", "expiresIn": None, "maxAnchors": None}
        links = (await self._ask("/api/rooms", body, 201))["room"]["links"]
        return {name: urljoin(self._url, link) for name, link in links.items()}

    async def listen_token(self, room: str) -> str:
        """Return a token for a room's keys."""
        return str((await self._ask("/api/token", {"roomId": room}, 200))["token"])

    async def blocked(self) -> int:
        """Return how many requests wait for a part of a broadcast."""
        return int(_sum(await self._metrics(), "roomtone_hls_blocked"))

    async def visitor(self, room: str) -> Visitor:
        """Return somebody with a token for a room."""
        minted = await self._ask(f"/api/rooms/{room}/users", {"role": "anchor"}, 200)
        return Visitor.at(f"{self._url}/ws?token={minted['token']}")

    async def visitors(self, count: int, of_a_room: int) -> list[Visitor]:
        """See Door."""
        found: list[Visitor] = []
        while len(found) < count:
            self._made += 1
            await self.new_room(f"visited-{self._made}")
            more = min(of_a_room, count - len(found))
            room = f"visited-{self._made}"
            found += await asyncio.gather(*(self.visitor(room) for _ in range(more)))
        return found

    async def ticks(self) -> Ticks:
        """Return how the mixers' ticks have come."""
        text = await self._metrics()
        late = _sum(text, "roomtone_ticks_late_total")
        worst_s = _sum(text, "roomtone_tick_lateness_worst_seconds")
        buckets = re.findall(
            r'^roomtone_tick_lateness_seconds_bucket\{.*?le="([^"]+)".*?\} (\S+)$',
            text,
            re.MULTILINE,
        )
        counts = {float(bound): int(float(count)) for bound, count in buckets}
        return Ticks(int(late), worst_s, counts)

    async def _ask(self, path: str, body: dict[str, Any], due: int) -> Any:
        async with self._client.post(self._url + path, json=body) as answer:
            if answer.status != due:
                raise BenchMistake(f"{self.name} refused {path}: {await answer.text()}")
            return await answer.json()

    async def _metrics(self) -> str:
        async with self._client.get(f"{self._url}/metrics") as answer:
            return await answer.text()

    async def _rooms(self) -> tuple[int, int]:
        """Return how many rooms the mixers and the broadcast have."""
        text = await self._metrics()
        found = re.findall(r'^roomtone_rooms\{process="([\w-]+)"\} (\S+)$', text, re.MULTILINE)
        mixed = sum(float(value) for name, value in found if name.startswith("mixer"))
        on_air = sum(float(value) for name, value in found if name == "broadcast")
        return int(mixed), int(on_air)

    def pids(self) -> list[int]:
        """See Rival."""
        assert self._process is not None, "started"
        return tree(self._process.pid)

    async def stop(self) -> None:
        """See Rival. Its workers have sessions of their own, and a second to end by themselves."""
        if self._http is not None:
            await self._http.close()
        if self._process is not None:
            workers = self.pids()[1:]
            await end_child(self._process)
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def no_limits() -> list[str]:
    """Return the options that let one address ask for as much as it likes."""
    names = [name for name in Settings.model_fields if name.startswith("limit_")]
    return [word for name in names for word in (f"--{name.replace('_', '-')}", "0")]


def _sum(text: str, name: str) -> float:
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
