"""A thousand sockets whose other ends stop reading at once; time is a number."""

import asyncio
import tracemalloc
from typing import Any

from server.edge.socket import MAX_WAITING_TEXTS, SEND_DEADLINE_S, SocketTransport
from tests.support.virtual_time import VirtualLoop, run_virtually

CROWD = 1000
TEXT_BYTES = 16_000


class Line:
    """A socket, its request and its transport in one; nobody reads at the other end if `deaf`."""

    def __init__(self, *, deaf: bool) -> None:
        self.sent: list[str] = []
        self.is_cut = False
        self._deaf = deaf

    async def send_str(self, text: str) -> None:
        if self._deaf:
            await asyncio.Event().wait()
        self.sent.append(text)

    @property
    def transport(self) -> "Line":
        return self

    def abort(self) -> None:
        self.is_cut = True


def opened(line: Any) -> tuple[SocketTransport, "asyncio.Task[None]"]:
    transport = SocketTransport(line, line)
    return transport, asyncio.create_task(transport.write())


async def talk(transports: list[SocketTransport], first: int, count: int) -> None:
    """Tell everybody so many texts, each made once, with a breath between them."""
    for number in range(first, first + count):
        text = f"{number:04}".ljust(TEXT_BYTES)
        for transport in transports:
            transport.push(text)
        await asyncio.sleep(0)


def test_deadline() -> None:
    """Who takes nothing for the deadline is cut, all of them then and not one before."""

    async def run() -> None:
        lines = [Line(deaf=True) for _ in range(CROWD)]
        made = [opened(line) for line in lines]
        good = Line(deaf=False)
        transport, _ = hearing = opened(good)
        everybody = [one for one, _ in [*made, hearing]]
        await talk(everybody, 0, 3)
        await asyncio.sleep(SEND_DEADLINE_S - 0.01)  # sleep: virtual time
        assert not any(line.is_cut for line in lines)
        await asyncio.sleep(0.02)  # sleep: virtual time
        assert all(line.is_cut for line in lines)
        assert all(task.done() for _, task in made)
        await talk(everybody, 3, 3)
        assert [text[:4] for text in good.sent] == [f"{n:04}" for n in range(6)]
        assert not good.is_cut
        hearing[1].cancel()
        del transport

    run_virtually(run(), VirtualLoop())


def test_bound() -> None:
    """Long before it, they are cut for what waits; texts wait once, not once for each of them."""

    async def run() -> None:
        lines = [Line(deaf=True) for _ in range(CROWD)]
        made = [opened(line) for line in lines]
        good = Line(deaf=False)
        hearing = opened(good)
        everybody = [one for one, _ in [*made, hearing]]
        await asyncio.sleep(0)
        tracemalloc.start()
        await talk(everybody, 0, MAX_WAITING_TEXTS + 1)  # one is being sent
        _, peak = tracemalloc.get_traced_memory()
        assert not any(line.is_cut for line in lines)
        assert peak < 4 * MAX_WAITING_TEXTS * TEXT_BYTES
        await talk(everybody, MAX_WAITING_TEXTS + 1, MAX_WAITING_TEXTS)
        _, later = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert all(line.is_cut for line in lines)
        assert later < 2 * peak + MAX_WAITING_TEXTS * TEXT_BYTES * 2
        assert len(good.sent) == 2 * MAX_WAITING_TEXTS + 1
        for _, task in [*made, hearing]:
            task.cancel()

    run_virtually(run(), VirtualLoop())
