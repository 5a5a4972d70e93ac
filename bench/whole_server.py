"""Roomtone as people run it: control process, mixers and broadcast, asked by REST."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import aiohttp

from bench.children import end_child, start_child, tree
from bench.errors import BenchMistake

START_S = 30.0
PROGRAM = Path(__file__).resolve().parents[1] / "server" / "__main__.py"


class WholeServer:
    """See `rivals.Rival`. Nobody is let in: the scenarios with people measure the mixer alone."""

    def __init__(self) -> None:
        self.name = "Roomtone"
        self._process: asyncio.subprocess.Process | None = None
        self._folder: Path | None = None
        self._http: aiohttp.ClientSession | None = None
        self._url = ""

    async def start(self) -> None:
        """See Rival."""
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        port, udp_port = _free_port(socket.SOCK_STREAM), _free_port(socket.SOCK_DGRAM)
        self._url = f"http://127.0.0.1:{port}"
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT)
        command = [sys.executable, str(PROGRAM), "serve"]
        options = ["--port", str(port), "--udp-port", str(udp_port), "--mixers", "1"]
        options += ["--state-dir", str(self._folder / "state")]
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
            body = {"roomId": f"idle-{number}", "pin": "", "expiresIn": None}
            async with self._client.post(f"{self._url}/api/rooms", json=body) as answer:
                if answer.status != 201:
                    raise BenchMistake(f"{self.name} refused a room: {await answer.text()}")
        async with asyncio.timeout(START_S):
            while min(await self._rooms()) < count:
                await asyncio.sleep(0.2)

    async def _rooms(self) -> tuple[int, int]:
        """Return how many rooms the mixers and the broadcast have."""
        async with self._client.get(f"{self._url}/metrics") as answer:
            text = await answer.text()
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


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
