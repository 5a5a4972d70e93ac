"""Many people, many rooms, long times: what only adds up when there is much of it."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator

import pytest

from mixer.types import PeerId, PeerState, RoomId
from tests.support.house import House, sounding, spec

ROOMS = 1000
STORM = 40


@pytest.fixture
async def house(caplog: pytest.LogCaptureFixture) -> AsyncIterator[House]:
    made = House()
    yield made
    assert await made.close() == []
    assert [r for r in caplog.get_records("call") if r.levelno >= logging.WARNING] == []


async def test_a_thousand_rooms_cost_nothing_while_nobody_speaks(house: House) -> None:
    """All of them on air, two of them with people: nothing is encoded, and these two still hear."""
    for number in range(ROOMS):
        people = ("ann", "bob") if number % 500 == 0 else ()
        house.engine.apply(spec(f"r{number}", *people, on_air=True))
    callers = [
        await house.join(2 * number + place + 1, name, f"r{500 * number}")
        for number in range(2)
        for place, name in enumerate(("ann", "bob"))
    ]
    await house.run(1.0)
    assert house.counter("opus_encodes") == 0
    assert house.engine.statistics().gauges["rooms"] == ROOMS
    await house.run(0.5, callers[0])
    assert sounding(callers[1].heard) > 15
    assert sounding(callers[2].heard) == sounding(callers[3].heard) == 0
    for number in range(ROOMS):
        house.engine.apply(spec(f"r{number}", version=2, closed=True))
    assert house.engine.statistics().gauges["rooms"] == 0


@pytest.mark.slow
async def test_everybody_comes_back_at_once(house: House) -> None:
    """A room that loses all connections and gets them anew: nobody is left over, all hear."""
    names = [f"p{number}" for number in range(STORM)]
    house.engine.apply(spec("r", *names))
    for storm in range(3):
        made = [house.caller(100 * storm + number + 1) for number in range(STORM)]
        for caller, name in zip(made, names, strict=True):
            caller.accept(house.answer(caller, name))
            caller.send(caller.check())
        handshakes = [house.tasks(caller.handshake(), name="handshake") for caller in made]
        async with asyncio.timeout(15):
            while not all(handshake.done() for handshake in handshakes):
                await house.settle(4)
        await house.run(0.5, made[0])
        assert min(sounding(caller.heard) for caller in made[1:]) > 15
        assert house.port.table.count == STORM
    replaced = [state for name in names for state, _ in house.changes(name)]
    assert replaced.count(PeerState.GONE) == 2 * STORM
    assert replaced.count(PeerState.LIVE) == 3 * STORM


@pytest.mark.slow
async def test_coming_and_going_for_long_leaves_nothing(house: House) -> None:
    """Two hundred connections one after another: rows, ports and tasks are those of one."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann = await house.join(1, "ann")
    for number in range(200):
        bob = await house.join(2 + number % 50, "bob")
        await house.run(0.04, ann)
        await bob.dtls.stop()
        await house.run(0.04, ann)
        assert house.changes("bob")[-1][0] is PeerState.GONE
    assert house.port.table.count == 1
    assert len(house.port.table.peers) <= 64
    assert set(house.engine._seats[RoomId("r")].peers) == {PeerId("ann")}
    gc.collect()
    alive = [task for task in asyncio.all_tasks() if not task.done()]
    assert len(alive) < 12
