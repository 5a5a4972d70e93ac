"""A fleet of mixers that mix nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from structlog.testing import capture_logs

from mixer.types import (
    AnchorSpec,
    PeerId,
    RoomId,
    RoomSpec,
)
from server.media.fleet import Fleet
from server.supervise import Supervisor
from tests.support.planes import FakeMember
from tests.support.virtual_time import VirtualLoop, run_virtually

ANN, BOB = PeerId("ann"), PeerId("bob")


def spec(room: str, version: int, *people: str, **more: Any) -> RoomSpec:
    """A room with these people."""
    return RoomSpec(RoomId(room), version, tuple(AnchorSpec(PeerId(p)) for p in people), **more)


class Stage:
    """A fleet of fakes."""

    def __init__(self, mixers: int = 2, first: int | None = None) -> None:
        self.mixers = [FakeMember(f"mixer-{number}") for number in range(mixers)]
        self.fleet = Fleet(self.mixers, first=mixers if first is None else first)

    async def look(self) -> None:
        """Measure the mixers, as happens each second."""
        for number in list(self.fleet._running):
            await self.fleet._measure(number)

    def rooms(self) -> list[set[str]]:
        """The rooms of each mixer."""
        return [set(mixer.specs) for mixer in self.mixers]


async def settle() -> None:
    """Let events pass."""
    for _ in range(20):
        await asyncio.sleep(0)


def in_virtual_time(
    act: Callable[[Stage], Awaitable[None]], *, mixers: int, first: int = 1
) -> list[Any]:
    """Run a fleet on a loop whose time costs nothing; return what was logged."""

    async def main() -> None:
        stage = Stage(mixers, first)
        async with Supervisor() as supervisor:
            await stage.fleet.start(supervisor)
            await act(stage)
            await stage.fleet.close()

    with capture_logs() as logs:
        run_virtually(main(), VirtualLoop())
    return list(logs)
