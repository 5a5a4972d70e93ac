"""A `MediaPlane` of several mixers, each of which mixes some of the rooms."""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from mixer.errors import MixerError, PeerGone
from mixer.types import (
    GoneReason,
    Overloaded,
    OverloadLevel,
    PeerChanged,
    PeerId,
    PeerState,
    PeerStatistics,
    PlaneEvent,
    PlaneStatistics,
    Played,
    PlayerSpec,
    RoomId,
    RoomSpec,
)
from server.domain.placement import Load, choose, refuge, wants_another
from server.errors import PlaneUnavailable, SetupMistake
from server.media.events import EventQueue, room_of
from server.ports import MixingPlane, PlaneLost
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

WATCH_S = 1.0  # between two looks at what the mixers have to do
IDLE_SHARE = 0.01
IDLE_LOOKS = 5  # of so many, a mixer with nobody on it has one
# A room whose mixer dies twice within this time may be the reason: it is carried to no third one.
SUSPECT_S = 300.0
LINES_HOME = 0  # the mixer that has the port of plain RTP, for rooms with people on it


class Mixer(MixingPlane, Protocol):
    """A plane that can be started, and may be away for a while.

    While it is away it keeps what is applied, and still gives the statistics it has itself.
    """

    @property
    def name(self) -> str:
        """What statistics and logs call it."""

    @property
    def is_up(self) -> bool:
        """It serves."""

    async def start(self, supervisor: Supervisor) -> None:
        """Start it and wait until it serves. Raises SetupMistake if it cannot."""

    async def close(self) -> None:
        """End it, and the reader of its events."""


class Fleet:
    """Places each room on one of several mixers, by what they have to do.

    A room stays where it is while somebody is in it. The first `first` mixers are started at once,
    each other one when those that run have enough to do. When a mixer dies, the rooms with people
    in them go to others that have the time; what else it had it is told again when it is back.
    A room with people on plain RTP is on the first mixer, which has the port they send to.
    """

    def __init__(self, mixers: Sequence[Mixer], *, first: int = 1) -> None:
        self._mixers = tuple(mixers)
        self._first = first
        self._running: list[int] = []  # numbers of those that were started
        self._waiting = list(range(len(self._mixers)))
        self._specs: dict[RoomId, RoomSpec] = {}  # as they were wanted
        self._homes: dict[RoomId, int] = {}
        self._expected: Counter[int] = Counter()  # people in the rooms of each mixer
        self._playing: defaultdict[RoomId, set[str]] = defaultdict(set)
        self._listening: defaultdict[RoomId, set[PeerId]] = defaultdict(set)
        self._fled_at: dict[RoomId, float] = {}  # when a room last had to leave a dead mixer
        self._measured: dict[int, Load] = {}
        # A mixer may have a room twice, with another in between: its versions are our own.
        self._versions = itertools.count(1)
        self._events = EventQueue()
        self._supervisor: Supervisor | None = None
        self._scope: Supervisor | None = None

    async def start(self, supervisor: Supervisor) -> None:
        """Start the first mixers and wait until they serve. Raises SetupMistake."""
        self._supervisor = supervisor
        self._scope = supervisor.scope("mixers")
        for _ in range(self._first):
            await self._start_next()
        _ = self._scope.keep_running(self._watch, name="mixer loads")

    async def close(self) -> None:
        """End all mixers, and the reader of `events()`."""
        if self._scope is not None:
            await self._scope.close()
        await asyncio.gather(*(mixer.close() for mixer in self._mixers))
        self._events.close()

    @property
    def capabilities(self) -> frozenset[str]:
        """What every mixer that runs can do; empty before `start`."""
        able = [self._mixers[number].capabilities for number in self._running]
        return frozenset.intersection(*able) if able else frozenset()

    @property
    def is_up(self) -> bool:
        """At least one mixer serves."""
        return any(self._mixers[number].is_up for number in self._running)

    async def apply(self, spec: RoomSpec) -> None:
        """See MediaPlane."""
        room, known = spec.room, self._specs.get(spec.room)
        if known is not None and spec.version <= known.version:
            return
        before = self._homes.get(room)
        if spec.closed:
            self._note(room, None, None)
            if before is not None:
                await self._tell(before, spec)
            return
        home = self._place(spec, known, before)
        self._note(room, spec, home)
        try:
            await self._tell(home, spec)
        except MixerError:
            if self._specs.get(room) is spec:
                self._note(room, known, before)
            raise
        if before is not None and before != home:
            await self._take_away(before, room)
            was_used = bool(self._playing.pop(room, None))
            was_used |= bool(self._listening.pop(room, None))
            if known is not None and (known.anchors or was_used):  # they are told to connect anew
                self._events.put_lost(frozenset({room}))

    async def accept_offer(
        self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False
    ) -> str:
        """See MediaPlane."""
        home = self._homes.get(room)
        if home is None:
            raise PeerGone(f"there is no room {room}")
        if not listener:
            return await self._mixers[home].accept_offer(room, peer, sdp)
        was_listening = peer in self._listening[room]
        self._listening[room].add(peer)  # first: the room must stay where it is meanwhile
        try:
            answer = await self._mixers[home].accept_offer(room, peer, sdp, listener=True)
        except (MixerError, PlaneUnavailable):
            if not was_listening:
                self._forget_listener(room, peer)
            raise
        if self._homes.get(room) != home:
            raise PlaneUnavailable  # it moved meanwhile, and the connection is gone
        return answer

    async def drop_peer(self, room: RoomId, peer: PeerId) -> None:
        """See MediaPlane."""
        home = self._homes.get(room)
        if home is not None:
            await self._mixers[home].drop_peer(room, peer)

    async def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        """See MediaPlane."""
        home = self._homes.get(room)
        if home is not None:
            await self._mixers[home].add_candidate(room, peer, candidate)

    async def statistics(self) -> Mapping[str, PlaneStatistics]:
        """Return the statistics of each mixer that runs, by its name."""
        told = await asyncio.gather(*(self._mixers[n].statistics() for n in self._running))
        return {name: numbers for one in told for name, numbers in one.items()}

    async def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """See MediaPlane."""
        home = self._homes.get(room)
        return () if home is None else await self._mixers[home].peers(room)

    async def play(self, room: RoomId, spec: PlayerSpec) -> None:
        """See PlayerPlane."""
        home = self._homes.get(room)
        if home is None:
            raise PeerGone(f"there is no room {room}")
        await self._mixers[home].play(room, spec)
        if self._homes.get(room) != home:
            raise PlaneUnavailable  # it moved meanwhile, and what it played is gone
        self._playing[room].add(spec.name)

    def feed(self, room: RoomId, name: str, pcm: bytes) -> bool:
        """See PlayerPlane."""
        home = self._homes.get(room)
        return home is not None and self._mixers[home].feed(room, name, pcm)

    async def stop(self, room: RoomId, name: str) -> None:
        """See PlayerPlane."""
        home = self._homes.get(room)
        if home is not None:
            await self._mixers[home].stop(room, name)

    async def set_volume(self, room: RoomId, name: str, gain_db: float) -> None:
        """See PlayerPlane."""
        home = self._homes.get(room)
        if home is not None:
            await self._mixers[home].set_volume(room, name, gain_db)

    def events(self) -> AsyncIterator[PlaneEvent | PlaneLost]:
        """See MediaPlane; for one reader."""
        return self._events.read()

    # Where rooms are

    def home(self, room: RoomId) -> str | None:
        """Return the name of the mixer that has the room, None if none has."""
        number = self._homes.get(room)
        return None if number is None else self._mixers[number].name

    def _place(self, spec: RoomSpec, known: RoomSpec | None, home: int | None) -> int:
        if spec.rtp:
            return LINES_HOME
        is_used = spec.room in self._playing or spec.room in self._listening
        is_settled = known is not None and (_holds_people(known) or is_used)
        if home is not None and (is_settled or not _holds_people(spec)):
            return home
        chosen = choose(self._loads(), home)
        if chosen is not None:
            return chosen
        return self._running[0] if home is None else home  # it will be told when it is back

    def _loads(self) -> list[Load]:
        """Return what the mixers that serve have to do."""
        return [
            replace(self._measured.get(number, Load(number)), expected=self._expected[number])
            for number in self._running
            if self._mixers[number].is_up
        ]

    def _note(self, room: RoomId, spec: RoomSpec | None, home: int | None) -> None:
        """Remember what is wanted of a room and where it is; None forgets it."""
        before = self._specs.pop(room, None)
        if before is not None:
            self._expected[self._homes.pop(room)] -= len(before.anchors)
        if spec is None or home is None:
            self._fled_at.pop(room, None)
            self._playing.pop(room, None)
            self._listening.pop(room, None)
            return
        self._specs[room], self._homes[room] = spec, home
        self._expected[home] += len(spec.anchors)

    async def _tell(self, number: int, spec: RoomSpec) -> None:
        await self._mixers[number].apply(replace(spec, version=next(self._versions)))

    async def _take_away(self, number: int, room: RoomId) -> None:
        await self._tell(number, RoomSpec(room, 0, closed=True))

    # What the mixers do

    async def _start_next(self) -> None:
        assert self._supervisor is not None, "start() comes first"
        assert self._scope is not None, "start() comes first"
        number = self._waiting.pop(0)
        mixer = self._mixers[number]
        await mixer.start(self._supervisor)
        self._running.append(number)
        # Ends with the scope, or with the mixer's events.
        _ = self._scope.spawn(self._hear(number), name=f"events of {mixer.name}")

    async def _hear(self, number: int) -> None:
        async for event in self._mixers[number].events():
            if isinstance(event, PlaneLost):
                await self._lost(number)
                continue
            if isinstance(event, Played) and event.is_over:
                self._forget_player(event)
            if isinstance(event, PeerChanged) and _is_over(event):
                self._forget_listener(event.room, event.peer)
            if isinstance(event, Overloaded):
                load = self._measured.get(number, Load(number))
                is_full = event.level is OverloadLevel.FULL
                self._measured[number] = replace(load, is_full=is_full)
            room = room_of(event)
            if room is None or self._homes.get(room, number) == number:
                self._events.put(event)

    def _forget_player(self, event: Played) -> None:
        playing = self._playing.get(event.room, set())
        playing.discard(event.name)
        if not playing:
            self._playing.pop(event.room, None)

    def _forget_listener(self, room: RoomId, peer: PeerId) -> None:
        listening = self._listening.get(room, set())
        listening.discard(peer)
        if not listening:
            self._listening.pop(room, None)

    async def _lost(self, number: int) -> None:
        """Find another mixer for each room with people in it, and say what was lost."""
        self._measured.pop(number, None)
        lost = [room for room, home in self._homes.items() if home == number]
        for room in lost:
            self._playing.pop(room, None)
            self._listening.pop(room, None)
        fled = [room for room in lost if self._flee(room, number)]
        log.warning(
            "mixer_lost", process=self._mixers[number].name, rooms=len(lost), placed_again=len(fled)
        )
        if lost:
            self._events.put_lost(frozenset(lost))
        for room in fled:
            spec, home = self._specs.get(room), self._homes.get(room)
            if spec is not None and home is not None:  # else it was closed meanwhile
                await self._try_to_tell(home, spec)
            if home != number:
                await self._take_away(number, room)

    def _flee(self, room: RoomId, dead: int) -> bool:
        """Give a room of a dead mixer another home, if there is a better one and need for it."""
        now = asyncio.get_running_loop().time()
        spec, fled_at = self._specs[room], self._fled_at.get(room, -SUSPECT_S)
        if spec.rtp or not _holds_people(spec) or now - fled_at < SUSPECT_S:
            return False
        home = refuge([load for load in self._loads() if load.mixer != dead])
        if home is None:
            return False
        self._note(room, self._specs[room], home)
        self._fled_at[room] = now
        return True

    async def _try_to_tell(self, number: int, spec: RoomSpec) -> None:
        try:
            await self._tell(number, spec)
        except MixerError as error:  # the other rooms must be told as well
            log.error("room_not_placed", room=spec.room, reason=str(error))  # noqa: TRY400 - no bug

    async def _watch(self) -> None:
        """Look at the loads, and start one more mixer when it is time; for ever."""
        for look in itertools.count():
            await asyncio.sleep(WATCH_S)
            numbers = [n for n in self._running if self._is_used(n) or look % IDLE_LOOKS == 0]
            await asyncio.gather(*(self._measure(number) for number in numbers))
            if self._waiting and wants_another(self._loads()):
                try:
                    await self._start_next()
                except SetupMistake as mistake:  # the others go on without it
                    log.error("mixer_not_started", reason=str(mistake))  # noqa: TRY400 - no bug

    def _is_used(self, number: int) -> bool:
        """Whether a mixer has anybody on it, or was not idle when it was looked at last."""
        load = self._measured.get(number)
        was_idle = load is not None and not load.is_full and load.busy_share < IDLE_SHARE
        return bool(self._expected[number]) or not was_idle

    async def _measure(self, number: int) -> None:
        mixer = self._mixers[number]
        gauges = (await mixer.statistics())[mixer.name].gauges
        if "tick_busy_share" in gauges:
            self._measured[number] = Load(
                number,
                busy_share=gauges["tick_busy_share"],
                connected=round(
                    sum(gauges.get(f"peers_{s.value}", 0.0) for s in PeerState)
                    - gauges.get("listeners", 0.0)  # who are not expected either
                ),
                is_full=gauges.get("overload_level", 0.0) >= OverloadLevel.FULL,
            )
        else:  # it does not answer: the last one to send people to
            self._measured[number] = Load(number, is_full=True)


def _holds_people(spec: RoomSpec) -> bool:
    """Whether somebody would notice that the room moves to another mixer."""
    return bool(spec.anchors or spec.rtp)


def _is_over(event: PeerChanged) -> bool:
    """Whether nothing of that person is connected any more."""
    return event.state is PeerState.GONE and event.reason is not GoneReason.REPLACED
