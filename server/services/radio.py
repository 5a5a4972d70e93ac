"""The rooms as internet radio: AAC as it is broadcast, or MP3 of an encoder that runs meanwhile."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

import structlog

from mixer.types import RoomId
from server.backoff import delays_s
from server.domain import icy
from server.domain.identity import UserId
from server.errors import NotReady, OutputFailed
from server.ports import SoundProcess, SoundProcesses
from server.services.clock import Clock
from server.services.fan import Fan, Tap
from server.services.feeds import LINGER_S, Feeds, HeardPart
from server.services.places import Places
from server.services.rooms import Rooms
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

STEADY_S = 60.0  # an encoder that lived so long: the next failure is a new one


class RadioFormat(StrEnum):
    """What is sent; the value is the end of the address."""

    AAC = "aac"
    MP3 = "mp3"


@dataclass(frozen=True, slots=True)
class Hearer:
    """Who listens to which room, and from where."""

    room: RoomId
    user: UserId
    address: str


def retry_delays_s() -> Iterator[float]:
    """Yield how long to wait after each failure: listeners have a burst to live on meanwhile."""
    return delays_s(first_s=0.1, limit_s=5.0)


class RadioTap:
    """One listener's sound; `patience` is what sending a piece of it has, meanwhile."""

    def __init__(self, tap: Tap[HeardPart] | Tap[bytes]) -> None:
        self.patience: asyncio.Timeout | None = None
        self._tap = tap

    def cut(self) -> None:
        """Come to the end now: its listener may hear no more."""
        self._tap.cut()
        if self.patience is not None:
            with suppress(RuntimeError):  # it has just run out by itself
                self.patience.reschedule(0.0)

    async def next(self) -> bytes | None:
        """Return the next piece of the stream, None at its end."""
        piece = await self._tap.next()
        return piece.adts if isinstance(piece, HeardPart) else piece


@dataclass(slots=True)
class _Station:
    """A room's MP3 encoder."""

    fan: Fan[bytes]
    readers: int = 0
    idle_since_s: float = 0.0


class Radio:
    """Everybody who listens to a room by a plain address; one MP3 encoder a room serves all.

    The encoder is a process of its own, there from the first MP3 listener until some seconds after
    the last. When it dies the next one goes on, and nobody else hears of it.
    """

    def __init__(
        self,
        rooms: Rooms,
        feeds: Feeds,
        processes: SoundProcesses,
        clock: Clock,
        places: Places,
    ) -> None:
        self.feeds = feeds
        self.places = places
        self.speaking: Callable[[RoomId], Iterable[str]] = _nobody_speaks
        self.counters: Counter[str] = Counter(radio_encoder_failures_total=0, radio_bytes_total=0)
        self.listeners: Counter[RadioFormat] = Counter()
        self.delays: Callable[[], Iterator[float]] = retry_delays_s
        self._rooms = rooms
        self._processes = processes
        self._clock = clock
        self._stations: dict[RoomId, _Station] = {}
        self._taps: defaultdict[tuple[RoomId, UserId], set[RadioTap]] = defaultdict(set)
        self._owner: Supervisor | None = None

    def serve(self, owner: Supervisor) -> None:
        """Run on tasks of this supervisor."""
        self._owner = owner
        self.feeds.serve(owner)

    def end(self) -> None:
        """Let every listener come to the end: the server stops."""
        self.feeds.end()
        for station in list(self._stations.values()):
            station.fan.end()

    def name(self, room: RoomId) -> str:
        """Return what a station is called. Raises RoomNotFound."""
        return self._rooms.get(room).name or room

    def title(self, room: RoomId) -> str:
        """Return what is heard now: who speaks, and the room. Raises RoomNotFound."""
        title = self._rooms.get(room).air.title or self.name(room)
        return icy.title(title, self.speaking(room))

    @contextmanager
    def open(self, hearer: Hearer, kind: RadioFormat) -> Iterator[RadioTap]:
        """Listen. Raises RoomNotFound, NotReady (no radio, or not now), RadioFull."""
        self.check(hearer.room)
        opened = self.feeds.open(hearer.room, burst=True)
        with (
            self.places.hold(hearer.room, hearer.address),
            opened if kind is RadioFormat.AAC else self._open_mp3(hearer.room) as sound,
        ):
            tap, whose = RadioTap(sound), (hearer.room, hearer.user)
            self.listeners[kind] += 1
            self._taps[whose].add(tap)
            try:
                yield tap
            finally:
                self.listeners[kind] -= 1
                self._taps[whose].discard(tap)
                if not self._taps[whose]:
                    del self._taps[whose]

    def revoke(self, room: RoomId, user: UserId) -> None:
        """End what a person hears: they may do so no more."""
        for tap in list(self._taps.get((room, user), ())):
            tap.cut()

    def check(self, room: RoomId) -> None:
        """Raise NotReady unless the room is on the radio. Raises RoomNotFound."""
        found = self._rooms.get(room)
        if not found.radio:
            raise NotReady("This room has no radio")
        if not (found.broadcast and self.feeds.is_on_air(room)):
            raise NotReady("This room is not being broadcast now")

    # MP3

    @contextmanager
    def _open_mp3(self, room: RoomId) -> Iterator[Tap[bytes]]:
        station = self._stations.get(room)
        if station is None or station.fan.is_over:
            station = self._start(room)
        station.readers += 1
        try:
            with station.fan.open(burst=True) as tap:
                yield tap
        finally:
            station.readers -= 1
            station.idle_since_s = self._clock.monotonic()

    def _start(self, room: RoomId) -> _Station:
        assert self._owner is not None, "serve() comes first"
        station = self._stations[room] = _Station(Fan(self.feeds.counters))
        # Ends without readers, when the room goes off the air, or with the server.
        _ = self._owner.spawn(self._run(room, station), name=f"radio {room}")
        return station

    async def _run(self, room: RoomId, station: _Station) -> None:
        waits = self.delays()
        try:
            with self.feeds.open(room, burst=True) as tap:
                while True:
                    began_s = self._clock.monotonic()
                    try:
                        await self._encode(station, tap)
                    except OutputFailed as error:
                        if self._clock.monotonic() - began_s >= STEADY_S:
                            waits = self.delays()
                        self.counters["radio_encoder_failures_total"] += 1
                        log.warning("radio_encoder_failed", room=room, reason=str(error))
                        await asyncio.sleep(next(waits))  # waits: the next one is no better at once
                    else:
                        return
        except NotReady:
            return
        finally:
            station.fan.end()
            if self._stations.get(room) is station:
                del self._stations[room]

    async def _encode(self, station: _Station, tap: Tap[HeardPart]) -> None:
        """Encode until nobody listens any more, or nothing comes. Raises OutputFailed."""
        assert self._owner is not None, "serve() comes first"
        process = await self._processes.encoder()
        # Ends with the process, in this call.
        reading = self._owner.spawn(_publish(process, station.fan), name="radio encoder")
        try:
            while self._is_wanted(station) and not reading.done():
                heard = await tap.next()
                if heard is None:
                    return
                process.feed(heard.first_frame, heard.part)
            if reading.done():
                raise OutputFailed(process.last_words)
        finally:
            await process.close()
            reading.cancel()

    def _is_wanted(self, station: _Station) -> bool:
        if station.fan.is_over:
            return False
        return station.readers > 0 or self._clock.monotonic() - station.idle_since_s < LINGER_S


async def _publish(process: SoundProcess, fan: Fan[bytes]) -> None:
    try:
        while True:
            piece = await process.read()
            if piece:
                fan.publish(piece)
    except OutputFailed as error:
        log.debug("radio_encoder_over", reason=str(error))


def _nobody_speaks(_room: RoomId) -> Iterable[str]:
    """Nobody is known to speak."""
    return ()
