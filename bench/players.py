"""Players of a broadcast, as many as one process can be: requests on connections that stay open."""

import asyncio
import re
import time
from dataclasses import dataclass, field

from bench.errors import BenchMistake

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Player:
    """One connection to a server of HTTP/1.1; a `packed` one takes gzip."""

    def __init__(self, port: int, token: str = "", *, packed: bool = True) -> None:
        self._port = port
        # What a browser sends, in size.
        self._head = (
            f"Host: 127.0.0.1:{port}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Bench/1\r\n"
            f"Accept: */*\r\nAccept-Encoding: {'gzip, ' if packed else ''}br\r\n"
            + (f"Authorization: Bearer {token}\r\n" if token else "")
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        await self.ask(path)
        return await self.answer()

    async def ask(self, path: str) -> None:
        """Send a request."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        self._streams[1].write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of the answer to what was asked."""
        assert self._streams is not None, "asked before"
        reader, _ = self._streams
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        return int(head[9:12]), body

    def leave(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass(slots=True)
class Served:
    """What came of requests at a rate: how many there were, and how late each was sent (ms)."""

    count: int = 0
    late: list[float] = field(default_factory=list)


async def at_rate(players: list[Player], path: str, per_second: float, seconds: float) -> Served:
    """Ask for `path` so often, the players in turns. Raises BenchMistake for a refusal."""
    served, began = Served(), time.monotonic()

    async def keep_asking(player: Player, first: int) -> None:
        number = first
        while (due := number / per_second) < seconds:
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            served.late.append(1000 * max(0.0, time.monotonic() - began - due))
            status, _ = await player.get(path)
            if status != 200:
                raise BenchMistake(f"{path} was answered with {status}.")
            served.count += 1
            number += len(players)

    await asyncio.gather(*(keep_asking(player, n) for n, player in enumerate(players)))
    return served
