import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from hls.types import Position
from mixer.types import TICK_S, tick_at
from server.media.progress import FOLLOWED_S, Progress
from tests.support.virtual_time import VirtualLoop, run_virtually

PART_TICKS = 16  # 320 ms


class Stream:
    """One room on air: parts end every 16 ticks; asking is counted. `late` ticks are they late."""

    def __init__(self) -> None:
        self.asked = 0
        self.late = 0
        self.is_on_air = True
        self.has_due = True

    def position(self, room: str, now_tick: int) -> Position | None:
        self.asked += 1
        if room != "demo" or not self.is_on_air:
            return None
        return Position(*divmod((now_tick - self.late) // PART_TICKS, 6))

    def due_tick(self, room: str) -> int | None:
        assert room == "demo"
        position = self.position(room, tick_at(asyncio.get_running_loop().time()))
        if position is None or not self.has_due:
            return None
        return (6 * position.msn + position.part + 1) * PART_TICKS


Told = list[tuple[float, str, Position]]


def in_time(
    run: Callable[[VirtualLoop, Stream, Progress, Told], Coroutine[Any, Any, None]],
) -> None:
    """Run a test of one room in virtual time."""
    loop, stream = VirtualLoop(), Stream()
    told: Told = []

    def tell(room: str, position: Position) -> None:
        told.append((loop.time(), room, position))

    progress = Progress(stream, tell, lambda: tick_at(loop.time()))
    run_virtually(run(loop, stream, progress, told), loop)


def test_each_part_is_told_when_it_is_complete() -> None:
    """Once, in order, within a tick; a room that is followed for ten seconds, and then no more."""

    async def run(loop: VirtualLoop, stream: Stream, progress: Progress, told: Told) -> None:
        began = loop.time()
        first = progress.follow("demo")
        assert first is not None
        await asyncio.sleep(20)  # sleep: in virtual time
        assert 30 <= len(told) <= 32
        for number, (at, room, position) in enumerate(told):
            index = 6 * position.msn + position.part
            assert (room, index) == ("demo", 6 * first.msn + first.part + 1 + number)
            assert 0 <= at - index * PART_TICKS * TICK_S <= TICK_S
        assert told[-1][0] <= began + FOLLOWED_S
        assert len(progress) == 0
        asked = stream.asked
        await asyncio.sleep(60)  # sleep: in virtual time
        assert stream.asked == asked

    in_time(run)


def test_who_asks_again_goes_on_being_told() -> None:
    """Each time for ten seconds more, with one timer."""

    async def run(_loop: VirtualLoop, _stream: Stream, progress: Progress, told: Told) -> None:
        for _ in range(10):
            progress.follow("demo")
            await asyncio.sleep(5)  # sleep: in virtual time
        assert 155 <= len(told) <= 157
        assert len({position for _, _, position in told}) == len(told)
        progress.close()
        assert len(progress) == 0

    in_time(run)


@pytest.mark.parametrize("has_due", [True, False])
def test_a_part_that_is_late(has_due: bool) -> None:  # noqa: FBT001
    """It is looked for again within a tick or so, without spinning, and told when it is there."""

    async def run(_loop: VirtualLoop, stream: Stream, progress: Progress, told: Told) -> None:
        stream.late, stream.has_due = 3, has_due
        progress.follow("demo")
        await asyncio.sleep(3.2)  # sleep: in virtual time
        assert 9 <= len(told) <= 11
        for at, _, position in told:
            due = (6 * position.msn + position.part) * PART_TICKS * TICK_S
            assert 0.06 - 1e-3 <= at - due <= 0.06 + 2 * TICK_S
        assert stream.asked < 2 * 3.2 / TICK_S * 2 + 10
        progress.close()

    in_time(run)


def test_a_room_that_is_not_on_air() -> None:
    """It costs nothing; one that goes off the air costs nothing from then on."""

    async def run(_loop: VirtualLoop, stream: Stream, progress: Progress, told: Told) -> None:
        assert progress.follow("other") is None
        assert len(progress) == 0
        progress.follow("demo")
        stream.is_on_air = False
        await asyncio.sleep(1)  # sleep: in virtual time
        assert (len(progress), told) == (0, [])
        stream.is_on_air = True
        progress.follow("demo")
        stream.is_on_air = False
        assert progress.follow("demo") is None
        assert len(progress) == 0

    in_time(run)
