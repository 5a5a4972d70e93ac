"""A real Janus AudioBridge, started with a configuration of its own and ended with the bench.

It is spoken to over its Unix socket (SOCK_SEQPACKET, one JSON text a message), so that no port is
taken but those of media. Janus API: one session, one handle for each person.
"""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.children import end_child, start_child, tree
from bench.errors import BenchMistake
from bench.settings import MixSettings

START_S = 10.0
STARTS = 8  # 1.1.2 ends its socket's thread at once if that is scheduled before its own set-up ends
ANSWER_S = 20.0
_MESSAGE_BYTES = 1 << 16

_GENERAL = """
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{lib}/plugins"
  transports_folder = "{lib}/transports"
  events_folder = "{folder}/none"
  loggers_folder = "{folder}/none"
  debug_level = 3
  session_timeout = 0
}}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
_SOCKET = """
general: {{
  enabled = true
  json = "compact"
  path = "{path}"
}}
"""


def find_janus(given: str | None) -> str:
    """Return the program's path.

    Raises:
        BenchMistake: there is none.
    """
    found = shutil.which(given or "janus")
    if found is None:
        raise BenchMistake(
            f"Janus was not found{f' at {given}' if given else ''}. Install it "
            "(apt install janus), give another build with --janus PATH, or leave it out with "
            "--rivals roomtone,aiortc."
        )
    return found


def janus_version(path: str) -> str:
    """Return the version as the program tells it."""
    said = subprocess.run([path, "--help"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"Janus version:\s*\d+\s*\(([^)]+)\)", said)
    return match.group(1) if match else "unknown"


def _library_folder(program: str) -> Path:
    """Return where the build keeps its plugins: under its own prefix."""
    prefix = Path(program).resolve().parent.parent
    for folder in (*prefix.glob("lib/*/janus"), prefix / "lib" / "janus"):
        if (folder / "plugins").is_dir():
            return folder
    raise BenchMistake(
        f"{program} has no plugins beside it: {prefix}/lib/janus/plugins is missing."
    )


class Janus:
    """See `rivals.Rival`. The settings of the mix are given with each join and each room."""

    def __init__(self, mix: MixSettings, program: str | None = None, name: str = "Janus") -> None:
        self.name = name
        self._mix = mix
        self._program = program
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._session = 0
        self._manager = 0
        self._rooms: set[str] = set()

    async def start(self) -> None:
        """See Rival."""
        program = find_janus(self._program)
        for turn in range(STARTS):
            try:
                await self._launch(program)
                break
            except BenchMistake:
                await self.stop()
                if turn == STARTS - 1:
                    raise
        self._manager = await self._attach()

    async def _launch(self, program: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-janus-"))
        path = self._folder / "api"
        self._configure(_library_folder(program), path)
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT)
        try:
            self._process = await start_child([program, "-F", self._folder, "-o"], log=log)
        finally:
            os.close(log)
        self._socket = await self._connect(path)
        self._reader = asyncio.create_task(self._read(self._socket), name="janus replies")
        asked = asyncio.create_task(self._ask({"janus": "create"}), name="janus session")
        ended = asyncio.create_task(self._process.wait(), name="janus end")
        await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not asked.done():
            asked.cancel()
            raise BenchMistake(f"Janus ended by itself. It said:\n{self._log()}")
        self._session = int((await asked)["data"]["id"])

    def _configure(self, library: Path, path: Path) -> None:
        assert self._folder is not None, "made before"
        plugins = [p.name for p in library.glob("plugins/*.so") if "audiobridge" not in p.name]
        transports = [p.name for p in library.glob("transports/*.so") if "pfunix" not in p.name]
        general = _GENERAL.format(
            folder=self._folder,
            lib=library,
            plugins=",".join(plugins),
            transports=",".join(transports),
        )
        (self._folder / "none").mkdir()
        (self._folder / "janus.jcfg").write_text(general)
        (self._folder / "janus.transport.pfunix.jcfg").write_text(_SOCKET.format(path=path))
        (self._folder / "janus.plugin.audiobridge.jcfg").write_text(
            "general: { string_ids = true }\n"
        )

    async def _connect(self, path: Path) -> socket.socket:
        assert self._process is not None, "started before"
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        until = loop.time() + START_S
        while True:
            try:
                await loop.sock_connect(sock, str(path))
            except OSError:
                if self._process.returncode is not None or loop.time() > until:
                    sock.close()
                    raise BenchMistake(f"Janus did not start. It said:\n{self._log()}") from None
                await asyncio.sleep(0.02)
            else:
                return sock

    def _log(self) -> str:
        assert self._folder is not None, "made before"
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    async def _read(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(sock, _MESSAGE_BYTES):
            message = json.loads(data)
            waiter = self._waiting.get(message.get("transaction", ""))
            if message["janus"] != "ack" and waiter is not None and not waiter.done():
                waiter.set_result(message)

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request; return its answer, or the event that follows an `ack`."""
        assert self._socket is not None, "started before"
        loop = asyncio.get_running_loop()
        self._number += 1
        transaction = str(self._number)
        if self._session:
            message = {"session_id": self._session, **message}
        waiter = self._waiting[transaction] = loop.create_future()
        text = json.dumps({**message, "transaction": transaction}).encode()
        try:
            await loop.sock_sendall(self._socket, text)
            async with asyncio.timeout(ANSWER_S):
                reply = await waiter
        except TimeoutError:
            raise BenchMistake(f"Janus did not answer. It said:\n{self._log()}") from None
        finally:
            del self._waiting[transaction]
        data = reply.get("plugindata", {}).get("data", {})
        assert isinstance(reply, dict), "a JSON object"
        if reply["janus"] == "error" or "error" in data:
            raise BenchMistake(f"Janus refused: {reply.get('error') or data['error']}")
        return reply

    async def _attach(self) -> int:
        reply = await self._ask({"janus": "attach", "plugin": "janus.plugin.audiobridge"})
        return int(reply["data"]["id"])

    async def _create(self, room: str) -> None:
        if room in self._rooms:
            return
        self._rooms.add(room)
        body = {
            "request": "create",
            "room": room,
            "sampling_rate": 48_000,
            "audiolevel_ext": True,
            "default_bitrate": self._mix.bitrate_bps,
            "default_expectedloss": self._mix.expected_loss,
        }
        await self._ask({"janus": "message", "handle_id": self._manager, "body": body})

    async def answer(self, room: str, peer: str, offer: str) -> str:
        """See Rival."""
        await self._create(room)
        handle = await self._attach()
        body = {
            "request": "join",
            "room": room,
            "id": f"{room}-{peer}",
            "quality": max(1, self._mix.complexity_rival),  # 0 is refused
            "bitrate": self._mix.bitrate_bps,
            "expected_loss": self._mix.expected_loss,
        }
        jsep = {"type": "offer", "sdp": offer}
        await self._ask({"janus": "message", "handle_id": handle, "body": body})
        reply = await self._ask(
            {
                "janus": "message",
                "handle_id": handle,
                "body": {"request": "configure", "muted": False},
                "jsep": jsep,
            }
        )
        return str(reply["jsep"]["sdp"])

    async def idle_rooms(self, count: int) -> None:
        """See Rival."""
        for number in range(count):
            await self._create(f"idle-{number}")

    def pids(self) -> list[int]:
        """See Rival."""
        assert self._process is not None, "started before"
        return tree(self._process.pid)

    async def stop(self) -> None:
        """See Rival."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            await end_child(self._process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._session = 0
