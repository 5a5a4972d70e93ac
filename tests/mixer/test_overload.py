"""The engine under more load than it can carry, on virtual time and with callers in memory."""

import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from mixer.core.headroom import BUSY
from mixer.core.overload import QUALITIES
from mixer.core.strain import Strain
from mixer.engine import Engine
from mixer.errors import NoCapacity
from mixer.types import Overloaded, OverloadLevel, PeerId, PeerState, RoomId
from tests.support.house import House, Ticker, sounding, spec

Cost = Callable[[float, OverloadLevel], float]

SAVED = (1.0, 0.94, 0.89, 0.25, 0.25)  # of a tick with twenty speakers at each level, measured


class LoadedTicker(Ticker):
    """A ticker whose ticks take `cost(seconds since the start, level)` seconds."""

    def __init__(self, cost: Cost) -> None:
        super().__init__()
        self.levels: list[tuple[float, OverloadLevel]] = []
        self.dropped_at_level: OverloadLevel | None = None
        self._cost = cost

    def _watch(self, engine: Engine, house: House) -> None:
        super()._watch(engine, house)
        tick, began = engine._tick, self.loop.time()
        house.port.tick = lambda *_, **__: None  # type: ignore[method-assign] # nobody times out

        def work(number: int) -> None:
            tick(number)
            level = engine._effort.level
            self.loop.stall(self._cost(self.loop.time() - began, level))
            if self.dropped_at_level is None and engine._counters["ticks_dropped"]:
                self.dropped_at_level = level

        def note(event: object) -> None:
            if isinstance(event, Overloaded):
                self.levels.append((self.loop.time() - began, event.level))

        engine._tick = work  # type: ignore[method-assign, assignment]
        engine._emit = note


def growing(seconds: float, most: float) -> Cost:
    """Load that grows to `most` of the time a tick has, and is gone after `seconds`."""

    def cost(at: float, level: OverloadLevel) -> float:
        share = most * at / seconds if at < seconds else 0.02
        return 0.02 * share * SAVED[level]

    return cost


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    assert await made.close() == []


def test_quality_goes_before_ticks_do(caplog: pytest.LogCaptureFixture) -> None:
    """A load that would take 350 % of the time: every level is reached, and no tick is dropped."""
    ticker = LoadedTicker(growing(40, 3.5))
    engine = ticker.run(40)
    assert [level for _, level in ticker.levels] == list(OverloadLevel)[1:]
    assert engine.statistics().counters.get("ticks_dropped", 0) == 0
    assert engine.statistics().gauges["overload_level"] == OverloadLevel.FULL
    assert len([r for r in caplog.records if "overload level" in r.getMessage()]) == 4


def test_frames_are_dropped_only_when_nothing_is_left() -> None:
    """Above what all levels together save, the ticker drops ticks, with everything shed before."""
    ticker = LoadedTicker(growing(40, 6.0))
    ticker.run(40)
    assert ticker.dropped_at_level is OverloadLevel.FULL


def test_it_recovers() -> None:
    """When the load is gone, level after level comes back, and stays."""
    ticker = LoadedTicker(growing(40, 3.5))
    engine = ticker.run(100)
    assert [level for at, level in ticker.levels if at > 40] == list(OverloadLevel)[3::-1]
    assert engine.statistics().gauges["overload_level"] == 0
    assert engine.statistics().gauges["tick_busy_share"] == pytest.approx(0.02, abs=0.005)


def test_it_does_not_flap() -> None:
    """Five minutes of a noisy load around the limit: a handful of changes, none down and up."""
    chance = random.Random(7)
    ticker = LoadedTicker(lambda _, level: 0.02 * chance.uniform(0.7, 1.0) * SAVED[level])
    engine = ticker.run(300)
    assert len(ticker.levels) <= 6
    assert engine.statistics().counters.get("ticks_dropped", 0) == 0


def test_a_hopeless_mixer_still_lets_others_run() -> None:
    """With ticks that never end in time, what else waits for the loop has its turn all the same."""
    ticker = LoadedTicker(lambda _at, _level: 0.03)
    turns: list[float] = []
    for tenth in range(10, 20):
        ticker.loop.call_at(5000.0 + tenth / 10, lambda: turns.append(ticker.loop.time()))
    ticker.run(3.0)
    assert len(turns) == 10
    assert all(turn - 5000.0 - tenth / 10 < 0.3 for tenth, turn in enumerate(turns, 10))


def test_an_idle_engine_is_calm() -> None:
    """With nobody there time counts as calm, and the share is nothing."""
    ticker = Ticker(is_empty=True)
    engine = ticker.run(10)
    assert engine.statistics().gauges["tick_busy_share"] == pytest.approx(0, abs=1e-4)


async def test_a_full_mixer_takes_nobody_new(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is connected may offer again; one more is told to come later; rooms hear of it."""
    caplog.set_level(logging.ERROR)
    house.engine.apply(spec("r", "ann", "bob"))
    await house.join(1, "ann")
    for _ in range(2):
        house.engine._effort._strain = _Second(Strain(1.2, 1.0))  # type: ignore[assignment]
        house.engine._judge()
    house.engine.apply(spec("s", "cyd"))
    with pytest.raises(NoCapacity, match="moment"):
        house.answer(house.caller(2), "bob")
    await house.join(3, "ann")
    assert house.counter("offers_refused") == 1
    assert house.changes("ann")[-1] == (PeerState.LIVE, None)
    levels = [event.level for event in house.events if isinstance(event, Overloaded)]
    assert levels == [OverloadLevel.THIN, OverloadLevel.FULL]
    qualities = {seat.room.quality for seat in house.engine._seats.values()}
    assert qualities == {replace(QUALITIES[OverloadLevel.FULL], robust_complexity=BUSY)}


async def test_peers_are_described(house: House) -> None:
    """Who is there, how loud, and what came of them; nobody in a room that is not there."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann = await house.join(1, "ann")
    bob = await house.join(2, "bob")
    await house.run(0.5, ann)
    ann.sequence += 3
    await house.run(0.5, ann)
    assert sounding(bob.heard) > 40
    first, second = house.engine.peers(RoomId("r"))
    assert (first.peer, first.state, second.peer) == (PeerId("ann"), PeerState.LIVE, PeerId("bob"))
    assert (first.received, first.lost, first.level_dbov) == (50, 3, -20)
    assert first.reception.concealed == 3
    assert 0 <= first.transport.jitter_in_s < 0.1
    assert (second.received, second.level_dbov, second.transport.round_trip_s) == (0, -127, None)
    assert house.engine.peers(RoomId("nowhere")) == ()


class _Second:
    """A strain meter whose second is always over."""

    busy_share = 1.2

    def __init__(self, strain: Strain) -> None:
        self._strain = strain

    def second(self, _now: float) -> Strain:
        return self._strain
