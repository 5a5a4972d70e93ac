"""An engine with callers in memory, and one whose ticker runs in virtual time."""

import asyncio
from typing import Any

from mixer.engine import Engine
from mixer.opus import Application, Encoder
from mixer.types import (
    TICK_S,
    AnchorSpec,
    GoneReason,
    PeerChanged,
    PeerId,
    PeerState,
    PlaneEvent,
    RoomId,
    RoomSpec,
    tick_at,
)
from tests.support.callers import Caller, Rig
from tests.support.virtual_time import VirtualLoop, run_virtually
from tests.support.webrtc_client import tone

ENCODER = Encoder(application=Application.AUDIO, complexity=5)
VOICE = [ENCODER.encode(tone(440)(number)) for number in range(100)]


def spec(room: str, *people: str, version: int = 1, muted: str = "", **more: Any) -> RoomSpec:
    anchors = tuple(AnchorSpec(PeerId(name), name in muted.split()) for name in people)
    return RoomSpec(RoomId(room), version, anchors, **more)


class House(Rig):
    """An engine on a rig."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[PlaneEvent] = []
        self.engine = Engine(
            emit=self.events.append,
            tap=None,
            clock=self.clock,
            unix_clock=lambda: self.clock() + 1e9,
        )
        self.port = self.open_port(self.engine)
        self.engine.attach(self.port)

    async def join(self, number: int, name: str, room: str = "r", **options: Any) -> Caller:
        """Connect a person."""
        caller = self.caller(number, **options)
        caller.accept(self.answer(caller, name, room))
        caller.send(caller.check())
        self.exchange()
        handshake = self.tasks(caller.handshake(), name="handshake")
        await self.settle()
        await handshake
        return caller

    def answer(self, caller: Caller, name: str, room: str = "r") -> str:
        return self.engine.accept_offer(
            RoomId(room),
            PeerId(name),
            caller.offer(),
            addresses=("192.0.2.99",),
            udp_port=10_000,
        )

    async def run(self, seconds: float, *speakers: Caller, level_dbov: int = -20) -> None:
        """Tick; the speakers send a packet before each."""
        for number in range(round(seconds / TICK_S)):
            for caller in speakers:
                caller.send(caller.rtp(VOICE[number % 100], level_dbov=level_dbov))
            self.clock.advance(TICK_S)
            self.engine._tick(tick_at(self.clock()))
            self.exchange()
            await asyncio.sleep(0)

    def changes(self, name: str) -> list[tuple[PeerState, GoneReason | None]]:
        return [
            (event.state, event.reason)
            for event in self.events
            if isinstance(event, PeerChanged) and event.peer == name
        ]

    def counter(self, name: str) -> int:
        return self.engine.statistics().counters.get(name, 0)


def sounding(packets: list[bytes]) -> int:
    """How many packets hold sound: comfort is one byte behind a header of 20."""
    return sum(len(packet) > 21 for packet in packets)


class Ticker:
    """An engine that runs in virtual time, with or without somebody who is connecting."""

    def __init__(self, *, is_empty: bool = False, rows_a_tick: int = 0) -> None:
        self._rows_a_tick = rows_a_tick
        self.loop = VirtualLoop()
        self.ticks: list[tuple[int, float]] = []
        self.polls: list[float] = []
        self._is_empty = is_empty

    def run(self, seconds: float, *, stalls: dict[float, float] | None = None) -> Engine:
        """Run for some virtual seconds; `stalls` are when (from the start) and how long."""
        return run_virtually(self._run(seconds, stalls or {}), self.loop)

    async def _run(self, seconds: float, stalls: dict[float, float]) -> Engine:
        house = House()
        engine = house.engine = Engine(
            emit=house.events.append, tap=None, clock=self.loop.time, unix_clock=self.loop.time
        )
        house.port = house.open_port(engine)
        engine.attach(house.port)
        self._watch(engine, house)
        engine.apply(spec("r", "ann"))
        if not self._is_empty:
            house.answer(house.caller(), "ann")
            house.port._connecting.clear()
        for at, length in stalls.items():
            self.loop.call_later(at, self.loop.stall, length)
        ticker = asyncio.create_task(engine.run())
        await asyncio.sleep(seconds)  # sleep: virtual time
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)
        house.port._spawn = house.tasks
        assert await house.close() == []
        return engine

    def _watch(self, engine: Engine, house: House) -> None:
        tick, poll = engine._tick, house.port.poll

        def count(tick_number: int) -> None:
            self.ticks.append((tick_number, self.loop.time()))
            house.port._rows_this_tick += self._rows_a_tick
            tick(tick_number)

        def count_poll(**now: float) -> None:
            self.polls.append(self.loop.time())
            poll(**now)

        engine._tick = count  # type: ignore[method-assign, assignment]
        house.port.poll = count_poll  # type: ignore[method-assign]

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.ticks]

    @property
    def is_gapless(self) -> bool:
        return self.numbers == list(range(self.numbers[0], self.numbers[-1] + 1))
