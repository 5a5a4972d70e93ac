"""Turns: who works when."""

import asyncio

import pytest

from mixer.rtc.turns import Turns
from tests.support.clock import FakeClock

BUDGET_S = 0.002


class Crowd:
    """Workers who come at once, and what they do, in order."""

    def __init__(self, count: int, work_s: float) -> None:
        self.clock = FakeClock()
        self.turns = Turns(self.clock, BUDGET_S)
        self.worked: list[int] = []
        self._work_s = work_s
        self.tasks = [asyncio.create_task(self._work(number)) for number in range(count)]

    async def _work(self, number: int) -> None:
        async with self.turns.turn():
            self.worked.append(number)
            self.clock.advance(self._work_s)

    async def settle(self) -> None:
        for _ in range(10 * len(self.tasks)):
            await asyncio.sleep(0)


async def test_a_tick_has_its_budget_and_one() -> None:
    """In the order in which they came; who is left has the next tick's."""
    crowd = Crowd(7, BUDGET_S / 3 + 1e-6)
    await crowd.settle()
    assert crowd.worked == [0, 1, 2]
    assert crowd.turns.is_wanted
    crowd.turns.new_tick()
    await crowd.settle()
    assert crowd.worked == [0, 1, 2, 3, 4, 5]
    crowd.turns.new_tick()
    await crowd.settle()
    assert crowd.worked == list(range(7))
    assert not crowd.turns.is_wanted


async def test_one_works_in_a_turn_of_the_loop() -> None:
    """What is due besides comes between any two of them."""
    crowd = Crowd(20, 0.0)
    most = before = 0
    while len(crowd.worked) < 20:
        await asyncio.sleep(0)
        most, before = max(most, len(crowd.worked) - before), len(crowd.worked)
    assert most == 1


async def test_nobody_begins_shortly_before_a_tick() -> None:
    """Held turns come with the tick."""
    crowd = Crowd(2, 0.0)
    crowd.turns.hold()
    await crowd.settle()
    assert crowd.worked == []
    crowd.turns.new_tick()
    await crowd.settle()
    assert crowd.worked == [0, 1]


@pytest.mark.parametrize("is_released", [False, True])
async def test_who_gives_up_holds_nobody_up(*, is_released: bool) -> None:
    """Cancelled while it waits, or in the moment its turn comes: the next one runs."""
    crowd = Crowd(3, 0.0)
    crowd.turns.hold()
    await crowd.settle()
    if is_released:
        crowd.turns.new_tick()
    crowd.tasks[0].cancel()
    crowd.turns.new_tick()
    await crowd.settle()
    assert crowd.worked == [1, 2]
    assert not crowd.turns.is_wanted


async def test_what_fails_in_its_turn_ends_it() -> None:
    """The next one runs."""
    turns = Turns(FakeClock(), BUDGET_S)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with turns.turn():
                _ = 1 / 0
    assert not turns.is_wanted
