"""A server with a crowd in it, for the length of one measurement."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from bench.children import cpu_seconds, rss_bytes
from bench.crowd import Client, Crowd
from bench.plan import Plan
from bench.rivals import Rival
from bench.settings import Settings


@dataclass(slots=True)
class Session:
    """`rival` runs and nobody is in it at first."""

    rival: Rival
    crowd: Crowd
    settings: Settings

    async def join(self, room: str, direction: str = "sendrecv", *, red: bool = False) -> Client:
        """Seat one more person; return them when they are connected."""
        client = self.crowd.add(direction, red=red)
        answer = await self.rival.answer(room, f"p{client.index}", client.offer())
        await client.connect(answer)
        return client

    async def measure(self, plan: Plan) -> tuple[float, float]:
        """Play a plan; return the server's CPU-seconds meanwhile, and how long it really took.

        That is more than the plan's length where the server leaves the clients too little CPU.
        """
        before, began_s = cpu_seconds(self.rival.pids()), time.monotonic()
        await self.crowd.play(plan)
        took_s = time.monotonic() - began_s
        return cpu_seconds(self.rival.pids()) - before, took_s

    def rss(self) -> int:
        """Return the server's resident bytes."""
        return rss_bytes(self.rival.pids())


@contextlib.asynccontextmanager
async def session(
    make: Callable[[], Rival], capacity: int, settings: Settings
) -> AsyncIterator[Session]:
    """A session that leaves no process and no socket behind."""
    rival = make()
    crowd = Crowd(max(1, capacity))
    try:
        await rival.start()
        yield Session(rival, crowd, settings)
    finally:
        await asyncio.shield(_end(rival, crowd))


async def _end(rival: Rival, crowd: Crowd) -> None:
    try:
        await rival.stop()
    finally:
        await crowd.close()
