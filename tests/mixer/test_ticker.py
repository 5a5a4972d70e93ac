"""When the ticker ticks, in virtual time."""

import asyncio

import pytest

from mixer.engine import IDLE_POLL_S, MAX_CATCH_UP_TICKS, Engine
from mixer.rtc.port import BUSY_ROWS
from mixer.types import (
    TICK_S,
)
from tests.support.house import House, Ticker, spec
from tests.support.virtual_time import run_virtually


def test_a_tick_comes_every_20_ms() -> None:
    """At its time, none twice and none left out."""
    ticker = Ticker()
    engine = ticker.run(2.01)
    assert len(ticker.ticks) == 100
    assert ticker.is_gapless
    assert all(0 <= at - number * TICK_S < 0.002 for number, at in ticker.ticks)
    assert engine.statistics().gauges["tick_lateness_p99_seconds"] <= 0.002


def test_the_socket_is_read_before_each_tick() -> None:
    """Arrival times are the kernel's: more often would win nothing."""
    ticker = Ticker()
    ticker.run(1.01)
    assert len(ticker.polls) == pytest.approx(len(ticker.ticks), abs=2)


def test_a_busy_socket_is_read_between_two_ticks_too() -> None:
    """What would overflow a stock receive buffer in a tick does not in half of one."""
    ticker = Ticker(rows_a_tick=BUSY_ROWS)
    ticker.run(1.01)
    assert len(ticker.polls) == pytest.approx(2 * len(ticker.ticks), abs=2)


def test_a_short_stall_is_caught_up() -> None:
    """80 ms late: the missed ticks are made up at once, and every one of them is made."""
    ticker = Ticker()
    engine = ticker.run(1.01, stalls={0.505: 0.08})
    assert ticker.is_gapless
    assert engine.statistics().counters.get("ticks_dropped", 0) == 0
    assert engine.statistics().counters["ticks_late"] == 1


def test_after_a_long_stall_ticks_are_dropped() -> None:
    """A suspended machine wakes up to the present: what nobody can hear any more is not made."""
    ticker = Ticker()
    engine = ticker.run(4.0, stalls={0.505: 2.0})
    dropped = engine.statistics().counters["ticks_dropped"]
    assert dropped == pytest.approx(2.0 / TICK_S - MAX_CATCH_UP_TICKS, abs=1)
    assert ticker.numbers[-1] - ticker.numbers[0] + 1 == len(ticker.ticks) + dropped
    assert engine.statistics().gauges["tick_lateness_worst_seconds"] == pytest.approx(2, abs=0.03)


def test_nobody_there_costs_nothing() -> None:
    """No tick; the socket is emptied now and then."""
    ticker = Ticker(is_empty=True)
    ticker.run(60.0)
    assert ticker.ticks == []
    assert len(ticker.polls) == pytest.approx(60 / IDLE_POLL_S, abs=1)


def test_the_first_offer_wakes_the_ticker() -> None:
    """It does not wait for the idle poll."""
    ticker = Ticker(is_empty=True)

    async def main() -> list[int]:
        house = House()
        engine = Engine(
            emit=house.events.append,
            tap=None,
            clock=ticker.loop.time,
            unix_clock=ticker.loop.time,
        )
        house.engine, house.port = engine, house.open_port(engine)
        engine.attach(house.port)
        ticker._watch(engine, house)
        engine.apply(spec("r", "ann"))
        running = asyncio.create_task(engine.run())
        await asyncio.sleep(0.3)  # sleep: virtual time
        house.answer(house.caller(), "ann")
        await asyncio.sleep(0.1)  # sleep: virtual time
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await house.close()
        return ticker.numbers

    assert len(run_virtually(main(), ticker.loop)) == pytest.approx(5, abs=1)
    assert len(ticker.polls) > 20  # a handshake is pending: the socket is read every 2 ms
