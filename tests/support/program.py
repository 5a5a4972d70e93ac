"""The server as a program: started, asked, killed and started again."""

import asyncio
import contextlib
import os
import pty
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
PORTS = range(10_000, 32_000)  # below those that the kernel gives to whoever connects


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port nobody holds now; by chance, so that two workers do not choose the same."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket(socket.AF_INET, kind) as sock, contextlib.suppress(OSError):
            sock.bind(("", port))
            return port


def roomtone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    program = (sys.executable, str(ROOT / "server" / "__main__.py"))
    return subprocess.run((*program, *arguments), capture_output=True, text=True, check=False)


def children_of(pid: int) -> dict[str, int]:
    """Return a server's worker processes by kind (`mixer`, `broadcast`)."""
    found: dict[str, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            command = (entry.parent / "cmdline").read_text().split("\0")
            if parent == pid and "worker" in command:
                found[command[command.index("worker") + 1]] = int(entry.parent.name)
    return found


class Program:
    """One `roomtone serve` with a state directory of its own."""

    def __init__(self, state_dir: Path, *options: str, terminal: bool = False) -> None:
        self.state_dir = state_dir
        self.port = free_port()
        self.udp_port = free_port(socket.SOCK_DGRAM)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = state_dir.parent / f"{state_dir.name}.log"
        self._options = options
        self._terminal = terminal
        self._master: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int:
        """The control process."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything printed and logged so far."""
        return self.log.read_text(errors="replace")

    @property
    def admin_key(self) -> str:
        """The admin key, from its file."""
        return (self.state_dir / "admin.key").read_text().strip()

    async def start(self) -> None:
        """Start and wait until it is ready; on a terminal of its own if one was asked for."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ROOMTONE_")}
        with self._open_output() as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "server" / "__main__.py"),
                "serve",
                *("--port", str(self.port), "--udp-port", str(self.udp_port)),
                *("--state-dir", str(self.state_dir)),
                *("--mixers", "1"),  # the next port may be anybody's; an option below beats it
                *("--drain-s", "0"),  # nobody stays behind to be waited for
                *self._options,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        async with asyncio.timeout(START_S):
            while not await self._is_ready():
                assert self._process.returncode is None, self.output
                await asyncio.sleep(0.05)

    @contextlib.contextmanager
    def _open_output(self) -> Iterator[int]:
        """Give what the program writes to: the log, or a terminal that is copied into it."""
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        if not self._terminal:
            yield log
            os.close(log)
            return
        self._master, slave = pty.openpty()
        master = self._master

        def copy() -> None:
            try:
                os.write(log, os.read(master, 65_536))
            except OSError:  # the program has closed its end
                asyncio.get_running_loop().remove_reader(master)
                os.close(log)

        asyncio.get_running_loop().add_reader(master, copy)
        yield slave
        os.close(slave)

    async def _is_ready(self) -> bool:
        try:
            async with self.http.get(f"{self.url}/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    @property
    def http(self) -> aiohttp.ClientSession:
        """A client session."""
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return self._http

    def use(self, session: aiohttp.ClientSession) -> None:
        """Talk through a session of the test's own making."""
        self._http = session

    async def call(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Call the API as the admin; return status and JSON."""
        headers = {"Authorization": f"Bearer {self.admin_key}"} | headers
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def new_room(self, **body: Any) -> dict[str, Any]:
        """Create a room without PIN as the page does; return its record with links."""
        wanted = {"pin": "", "maxAnchors": None, "expiresIn": None} | body
        status, answer = await self.call("POST", "/api/rooms", wanted)
        assert status == 201, answer
        room: dict[str, Any] = answer["room"]
        return room

    async def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        async with self.http.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        samples = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        assert samples, f"{name} is not in /metrics"
        return sum(map(float, samples))

    def worker(self, kind: str) -> int:
        """Return the pid of a worker process."""
        return children_of(self.pid)[kind]

    async def wait_for_worker(self, kind: str, *, other_than: int) -> int:
        """Wait for a restarted worker; return its pid."""
        async with asyncio.timeout(START_S):
            while True:
                pid = children_of(self.pid).get(kind, other_than)
                if pid != other_than:
                    return pid
                await asyncio.sleep(0.05)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        assert self._process is not None, "start() comes first"
        if self._process.returncode is None:
            self._process.send_signal(how)
        status = await self._process.wait()
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            self._master = None
        if self._http is not None:
            await self._http.close()
            self._http = None
        return status


@contextlib.asynccontextmanager
async def running(state_dir: Path, *options: str, terminal: bool = False) -> AsyncIterator[Program]:
    """A server for the length of a test."""
    program = Program(state_dir, *options, terminal=terminal)
    try:
        await program.start()
        yield program
    finally:
        await program.stop()
