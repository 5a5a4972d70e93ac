"""The little protocol between a bench and the server under it: JSON lines on standard streams."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

LIMIT_BYTES = 1 << 20


async def serve_lines(answer: Callable[[str, str, str], Awaitable[str]]) -> None:
    """Answer `{"room", "peer", "sdp"}` lines with `{"sdp"}` lines until standard input ends."""
    reader = asyncio.StreamReader(limit=LIMIT_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        asked = json.loads(line)
        print(json.dumps({"sdp": await answer(**asked)}), flush=True)


@dataclass(slots=True)
class Server:
    """A server under measurement."""

    process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, module: str) -> "Server":
        """Start `python -m module`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LIMIT_BYTES,
        )
        return cls(process)

    async def answer(self, room: str, peer: str, sdp: str) -> str:
        """Have an offer answered."""
        assert self.process.stdin is not None, "asked for as a pipe"
        assert self.process.stdout is not None, "asked for as a pipe"
        self.process.stdin.write(
            json.dumps({"room": room, "peer": peer, "sdp": sdp}).encode() + b"\n"
        )
        answer: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return str(answer["sdp"])

    async def stop(self) -> None:
        """Kill it."""
        self.process.kill()
        await self.process.wait()
