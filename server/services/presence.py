"""Who is in which room, on which socket, and with which connection to the mixer."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from mixer.core.speccheck import MAX_FOR_ME
from mixer.types import (
    AnchorSpec,
    ArrivalsSpec,
    RecordTaps,
    RoomId,
    RoomSpec,
)
from server.domain.controls import PLAIN, Controls
from server.domain.grants import Right, Role
from server.domain.identity import UserId
from server.domain.lines import Line, Lines
from server.domain.people import STATUS_TIMEOUT_S, Person, Roster, Status, unheard
from server.domain.room import Room
from server.errors import NotFound, RoomFull, RoomLocked, TooMany
from server.rpc.codec import Notification, encode
from server.services.announcements import Announcements
from server.services.farewell import Client, Farewell
from server.services.happenings import Happened, differences, nobody_hears
from server.services.lobby import Lobby, Waiter
from server.services.reconcile import Reconciler
from server.services.tickets import Tickets

__all__ = ["Arrival", "Client", "Entry", "Farewell", "Presence"]

LOBBY_S = 600  # whoever runs the room has come by then, or does not
MOVE_S = 15.0  # a page that knows how is in the other room within two


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who joins; `resumes` is the ticket they come back with.

    `explicit` replaces the role's rights if it is not None; with `deltas` they are told changes of
    the list of people instead of the list. Who `publishes` does so by WHIP.
    """

    user: UserId
    role: Role
    display_name: str = ""
    resumes: str = ""
    explicit: frozenset[Right] | None = None
    deltas: bool = False
    publishes: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """How a join went; `ticket` is good for coming back once."""

    ticket: str
    resumed: bool
    deltas: bool = False


class Presence:
    """Rosters of the rooms that have somebody in them; nothing here waits."""

    def __init__(
        self,
        mixer: Reconciler[RoomSpec],
        monotonic: Callable[[], float],
        resume_s: float,
        lobby_s: float = LOBBY_S,
    ) -> None:
        self._mixer = mixer
        self._monotonic = monotonic
        self.resume_s = resume_s
        self._lobby_s = lobby_s
        self._rooms: dict[RoomId, Room] = {}  # those on air
        self._rosters: dict[RoomId, Roster] = {}
        self._lines: dict[RoomId, Lines] = {}
        self._arrivals: dict[RoomId, ArrivalsSpec] = {}
        self._taps: dict[RoomId, RecordTaps] = {}
        self._controls: dict[RoomId, dict[UserId, Controls]] = {}  # also of those not there now
        self.tickets = Tickets()
        self._clients: dict[tuple[RoomId, UserId], Client] = {}
        self._began_at = self._swept_at = monotonic()
        self.happened: Happened = nobody_hears
        self._deltas: set[tuple[RoomId, UserId]] = set()  # who is told changes only
        self._hands = 0
        self._leaving: dict[tuple[RoomId, UserId], float] = {}  # monotonic s: is moved elsewhere
        self.when_changed: Callable[[RoomId], None] = _nobody_looks
        self.when_filled: Callable[[RoomId], None] = _nobody_looks  # or when it is empty again
        self.when_lobby_ends: Callable[[Room], None] = _nobody_waits
        self.announcements = Announcements(self._tell_people, self.listing, self._tell_lobby)
        self.lobby = Lobby(self._lobby_changed)
        self._held: dict[RoomId, tuple[UserId, ...]] = {}  # as the mixer knows them

    def count(self, room: RoomId) -> int:
        """Return how many anchors are in the room."""
        return len(self._rosters.get(room, ()))

    @property
    def now(self) -> float:
        """The time by which people are kept, in monotonic seconds."""
        return self._monotonic()

    @property
    def total(self) -> int:
        """How many anchors there are in all rooms."""
        return sum(len(roster) for roster in self._rosters.values())

    def by_role(self) -> dict[str, int]:
        """Return how many people of each role there are in all rooms."""
        people = (person for roster in self._rosters.values() for person in roster.people.values())
        counts = Counter(person.role.value for person in people)
        return {role.value: counts[role.value] for role in Role}

    def listing(self, room: RoomId) -> list[dict[str, object]]:
        """Return the room's `roomStatus`."""
        on_lines = [line.entry() for line in self.lines(room).people.values()]
        return self._roster(room).listing(self._monotonic()) + on_lines

    def people(self, room: RoomId) -> list[Person]:
        """Return those with a connection of their own, in the order they came."""
        return list(self._roster(room).people.values())

    def person(self, room: RoomId, user: UserId) -> Person | None:
        """Return one of them, None if they are not there."""
        return self._roster(room).get(user)

    def controls(self, room: RoomId) -> Mapping[UserId, Controls]:
        """Return what was decided about people, also of those who are not there, oldest first."""
        return self._controls.get(room, {})

    def set_controls(self, room: RoomId, user: UserId, controls: Controls) -> None:
        """Mix a person so, now or as soon as they come."""
        decided = self._controls.setdefault(room, {})
        decided.pop(user, None)
        if controls != PLAIN:
            decided[user] = controls
        person = self._roster(room).get(user)
        if person is not None and person.controls != controls:
            self.put(room, person.decided(controls))

    def is_occupied(self, room: RoomId) -> bool:
        """Whether anybody is in the room; by plain RTP while their packets come."""
        lines = self.lines(room).people.values()
        return bool(self._roster(room).people) or any(line.is_live for line in lines)

    def is_in(self, room: RoomId, user: UserId) -> bool:
        """Whether that person is in the room, by browser or plain RTP."""
        return self._roster(room).get(user) is not None or user in self.lines(room).people

    def tell(self, room: RoomId, told: Notification, only: UserId | None = None) -> None:
        """Tell everybody in the room, or one person."""
        text = encode(told)
        if only is None:
            self._tell(room, text)
        else:
            self.hand(room, only, text)

    def tell_everybody(self, room: RoomId, told: Notification) -> None:
        """Tell everybody in the room and those outside it, who wait or listen."""
        text = encode(told)
        self._tell(room, text)
        self.lobby.tell(room, text)

    def tell_all(self, told: Notification) -> None:
        """Tell everybody in every room."""
        for room in self._rosters:
            self.tell(room, told)

    def all_lines(self) -> list[tuple[RoomId, Line]]:
        """Return everybody on plain RTP in every room."""
        return [(room, one) for room, there in self._lines.items() for one in there.people.values()]

    def lines(self, room: RoomId) -> Lines:
        """Return the room's plain RTP."""
        return self._lines.get(room, _NO_LINES)

    def set_lines(self, room: RoomId, lines: Lines) -> None:
        """Make the room's plain RTP so; how others wanted to hear who went is forgotten."""
        for user in self.lines(room).people.keys() - lines.people.keys():
            if room in self._rosters:
                self._rosters[room] = self._rosters[room].without(user)
        was_occupied = self.is_occupied(room)
        self._lines[room] = lines
        self._want(room)
        self.when_changed(room)
        self._look_who_is_there(room, was_occupied=was_occupied)
        if room in self._rosters:
            self.announcements.people_changed(room)

    def note_line(self, room: RoomId, line: Line, *, is_live: bool) -> None:
        """Note whether somebody on plain RTP can be heard from."""
        if line.is_live != is_live:
            changed, was_occupied = replace(line, is_live=is_live), self.is_occupied(room)
            self._lines[room] = self._lines[room].with_person(changed)
            self._look_who_is_there(room, was_occupied=was_occupied)
            if room in self._rosters:
                self.announcements.people_changed(room)

    def arrivals(self, room: RoomId) -> ArrivalsSpec | None:
        """Return the recording that is wished of the room."""
        return self._arrivals.get(room)

    def set_arrivals(self, room: RoomId, wish: ArrivalsSpec | None) -> None:
        """Wish for a recording of the room, or for none."""
        if wish is None:
            self._arrivals.pop(room, None)
        else:
            self._arrivals[room] = wish
        self._want(room)

    def set_taps(self, room: RoomId, taps: RecordTaps | None) -> None:
        """Hand on what a recording of the room needs, or nothing."""
        if self._taps.get(room) != taps:
            self._taps.pop(room, None)
            if taps is not None:
                self._taps[room] = taps
            if room in self._rooms:
                self._want(room)

    def is_current(self, room: RoomId, user: UserId, client: Client) -> bool:
        """Whether that socket is the one the person is in the room with."""
        return self._clients.get((room, user)) is client

    def open_room(self, room: Room) -> None:
        """Put a room on air; nobody is in it yet."""
        self._rooms[room.id] = room
        self._want(room.id)

    def change_room(self, room: Room) -> None:
        """Make a room so, and tell those in it what they can see of that."""
        before, self._rooms[room.id] = self._rooms[room.id], room
        self._want(room.id)
        if room.notice() != before.notice():
            text = encode(Notification("roomChanged", room.notice()))
            self._tell(room.id, text)
            self.lobby.tell(room.id, text)
        if before.lobby and not room.lobby:
            self.when_lobby_ends(room)

    def check_space(self, room: Room, user: UserId, *, returns: bool = False) -> None:
        """Raise RoomFull or RoomLocked if `user` could not come in now.

        Who `returns` was in before: the lock is not meant for them.
        """
        limit, roster = room.max_anchors, self._roster(room.id)
        if room.locked and not returns and roster.get(user) is None:
            raise RoomLocked(room.id)
        if limit is not None and not roster.has_space(user, limit):
            raise RoomFull(room.id, limit)

    def enter(self, room: Room, arrival: Arrival, client: Client) -> Entry:
        """Let a person in; whoever was there under the same id is told and goes.

        The media connection is kept if it still lives and the person shows the ticket they were
        given last, which is worthless from then on. Raises RoomFull, RoomLocked.
        """
        returns = self.tickets.let_back(room.id, arrival.user, arrival.resumes)
        if not (returns and self._is_owed(room.id, arrival.user)):
            self.check_space(room, arrival.user, returns=returns)
        self.tickets.drop(room.id, arrival.user)
        now, ticket = self._monotonic(), self.tickets.new(room.id, arrival.user)
        before = self._roster(room.id).get(arrival.user)
        if before is not None and before.has_media and before.ticket == arrival.resumes:
            name = arrival.display_name or before.display_name
            person = replace(before, ticket=ticket, seen_at=now, lost_at=None, display_name=name)
            resumed = True
        else:
            controls = self.controls(room.id).get(arrival.user, PLAIN)
            person = Person(
                arrival.user,
                arrival.role,
                ticket,
                now,
                arrival.display_name,
                explicit=arrival.explicit,
                publishes=arrival.publishes,
            ).decided(controls)
            resumed = False
        waiter = self.lobby.take(room.id, arrival.user)
        if waiter is not None and waiter.publishes and waiter.client is client:
            person = replace(person, has_media=True, status=waiter.status)
        self._leaving.pop((room.id, arrival.user), None)
        self._deltas.discard((room.id, arrival.user))
        if arrival.deltas:
            self._deltas.add((room.id, arrival.user))
        former = self._clients.get((room.id, arrival.user))
        self._clients[room.id, arrival.user] = client
        if former is not None:
            former.end(Farewell.REPLACED)
        self.put(room.id, person)
        if Right.ADMIT in person.rights:
            self.announcements.lobby_changed(room.id)  # they have not seen it yet
        return Entry(ticket, resumed, arrival.deltas)

    def step_down(self, room: RoomId, user: UserId) -> None:
        """Take somebody off the stage who may go on listening with the same socket."""
        client = self._clients.pop((room, user), None)
        person = self._roster(room).get(user)
        if person is None:
            return
        deltas = (room, user) in self._deltas
        self._deltas.discard((room, user))
        self._set(room, self._roster(room).without(user))
        if client is not None:
            now = self._monotonic()
            waiter = Waiter(
                user,
                Role.LISTENER,
                client,
                now,
                person.display_name,
                is_listening=True,
                deltas=deltas,
                publishes=person.publishes,
                status=person.status,
            )
            try:
                self.lobby.enter(room, waiter)
            except TooMany:
                client.end(Farewell.DENIED)

    def holds(self, room: RoomId, user: UserId, ticket: str) -> bool:
        """Whether that is the ticket the person was given last, here or not."""
        person = self._roster(room).get(user)
        last = self.tickets.last(room, user) if person is None else person.ticket
        return bool(ticket) and ticket == last

    def see_off(self, room: RoomId, user: UserId) -> None:
        """Take a person out who has somewhere to go, as soon as they had time to."""
        self._leaving[room, user] = self._monotonic() + MOVE_S

    def raise_hand(self, room: RoomId, user: UserId, *, up: bool) -> None:
        """Raise a person's hand, or take it down; the others see it in order."""
        self._hands += 1
        number = self._hands if up else None
        person = self._roster(room).get(user)
        if person is None:
            self.lobby.raise_hand(room, user, number)
        elif (person.hand is None) != (number is None):
            self.put(room, replace(person, hand=number))

    def hand(self, room: RoomId, user: UserId, text: str) -> None:
        """Hand an encoded notification to somebody connected to the room."""
        client = self._clients.get((room, user))
        if client is None and (waiter := self.lobby.get(room, user)) is not None:
            client = waiter.client
        if client is not None:
            client.push(text)

    def rights(self, room: RoomId, user: UserId) -> frozenset[Right]:
        """Return what somebody connected to the room may do; nothing if they are not."""
        one = self._roster(room).get(user) or self.lobby.get(room, user)
        return frozenset() if one is None else one.rights

    def told_people(self, room: RoomId) -> dict[str, object]:
        """Return the list of people as those with deltas know it, and its version."""
        return self.announcements.told(room)

    def occupied(self) -> list[RoomId]:
        """Return the rooms that have somebody in them."""
        return list(self._rosters)

    def see(self, room: RoomId, user: UserId, status: Status | None) -> None:
        """Note a sign of life, and what the person says they do."""
        person = self._roster(room).get(user)
        if person is None:
            return
        now = self._monotonic()
        seen = replace(person, seen_at=now, status=status or person.status)
        if seen.status is person.status and person.is_listed(now):
            self._rosters[room] = self._rosters[room].with_person(seen)  # nothing to tell
        else:
            self.put(room, seen)

    def put(self, room: RoomId, person: Person) -> None:
        """Make somebody who is in the room so, and tell whom it concerns."""
        before, buses = self._roster(room).get(person.user), self._rooms[room].buses
        # The others are as they were, and there may be a thousand of them.
        is_heard = before is None or _anchors(before, buses) != _anchors(person, buses)
        self._set(room, self._roster(room).with_person(person), is_heard=is_heard)

    def mute(self, room: RoomId, user: UserId, *, muted: bool) -> None:
        """Take a person's voice out of the mix, or back in."""
        person = self._roster(room).get(user)
        if person is not None and person.muted != muted:
            self.put(room, replace(person, muted=muted))

    def hear(self, room: RoomId, user: UserId, other: UserId, gain_db: float | None) -> None:
        """Mix `other` so for `user` alone: dB, None is not at all, 0 as everybody hears them.

        It is forgotten when either of them leaves. Raises NotFound, TooMany.
        """
        person = self._roster(room).get(user)
        if person is None:
            return
        there = self._roster(room).get(other) is not None or other in self.lines(room).people
        if other == user or not there:
            raise NotFound("There is no such other person in the room")
        changed = person.hearing(other, gain_db)
        if len(changed.for_me) > MAX_FOR_ME:
            raise TooMany(f"At most {MAX_FOR_ME} people can have a volume of your own")
        if changed.for_me != person.for_me:
            self.put(room, changed)

    def media_answered(self, room: RoomId, user: UserId) -> None:
        """Note that the mixer has answered the person's offer."""
        person = self._roster(room).get(user)
        if person is not None:
            self.put(room, replace(person, has_media=True))

    def leave(self, room: RoomId, user: UserId, why: Farewell = Farewell.LEFT) -> None:
        """Take a person out now; nothing happens if they are not there."""
        self.lobby.drop(room, user, why)
        self._deltas.discard((room, user))
        client = self._clients.pop((room, user), None)
        if client is not None:
            client.end(why)
        roster = self._roster(room)
        person = roster.get(user)
        if person is None:
            return
        self._leaving.pop((room, user), None)
        self.tickets.keep(room, user, "" if why is Farewell.KICKED else person.ticket)
        self._set(room, roster.without(user))

    def lose(self, room: RoomId, user: UserId, client: Client) -> None:
        """Note that a socket is gone: the person is kept for a resume if their media lives."""
        if self.lobby.is_current(room, user, client):
            self.lobby.lose(room, user, self._monotonic())
        if not self.is_current(room, user, client):
            return
        del self._clients[room, user]
        person = self._roster(room).get(user)
        if person is not None and person.has_media:
            self.put(room, replace(person, lost_at=self._monotonic()))
        else:
            self.leave(room, user)

    def close_room(self, room: RoomId, reason: str) -> None:
        """Tell everybody that the room is gone, and end their sockets."""
        text = encode(Notification("roomClosed", {"reason": reason}))
        self._tell(room, text)
        self.lobby.close(room, text)
        roster = self._roster(room)
        for user in roster.people:
            client = self._clients.pop((room, user), None)
            if client is not None:
                client.end(Farewell.ROOM_GONE)
            self._deltas.discard((room, user))
            self._leaving.pop((room, user), None)
        for event in differences(room, roster, _EMPTY):
            self.happened(*event)
        self._rooms.pop(room, None)
        self._rosters.pop(room, None)
        self._lines.pop(room, None)
        self._arrivals.pop(room, None)
        self._taps.pop(room, None)
        self._controls.pop(room, None)
        self.tickets.forget_room(room)
        self._held.pop(room, None)
        self.announcements.forget(room)

    def sweep(self) -> None:
        """Let go of those whose time for a resume is over, and unlist those who went quiet."""
        now, before = self._monotonic(), self._swept_at
        self._swept_at = now
        self.lobby.sweep(now - self._lobby_s, now - self.resume_s)
        for (room, user), at in list(self._leaving.items()):
            if now >= at:
                del self._leaving[room, user]
                self.leave(room, user, Farewell.MOVED)
        for room, roster in list(self._rosters.items()):
            for user in roster.overdue(now, self.resume_s):
                self.leave(room, user)
            if any(
                before < person.seen_at + STATUS_TIMEOUT_S <= now
                for person in roster.people.values()
            ):
                self.announcements.people_changed(room)

    def _is_owed(self, room: RoomId, user: UserId) -> bool:
        """Whether a seat of our life before may be theirs.

        Nobody knows which were taken when it ended, so somebody else may have got it meanwhile:
        for that minute both are let in.
        """
        last = self.tickets.last(room, user)
        is_known = self._roster(room).get(user) is not None or last is not None
        return not is_known and self._monotonic() - self._began_at < self.resume_s

    def _lobby_changed(self, room: RoomId) -> None:
        held = self.lobby.held(room)
        if held != self._held.get(room, ()):
            self._held[room] = held
            self._want(room)
        self.announcements.lobby_changed(room)

    def _want(self, room: RoomId) -> None:
        """Tell the mixer how the room shall be."""
        self._mixer.want_as_made(room, lambda: self._spec(room))

    def _spec(self, room: RoomId) -> RoomSpec:
        lines = self.lines(room)
        spec = self._roster(room).room_spec(self._rooms[room], self._mixer.next_version())
        return replace(
            spec,
            anchors=(*spec.anchors, *(unheard(user) for user in self.lobby.held(room))),
            forwarders=lines.forwarders_on(self._rooms[room].buses),
            rtp=lines.participants(),
            arrivals=self.arrivals(room),
            record=self._taps.get(room),
        )

    def _roster(self, room: RoomId) -> Roster:
        return self._rosters.get(room, _EMPTY)

    def _set(self, room: RoomId, roster: Roster, *, is_heard: bool = True) -> None:
        before, was_occupied = self._roster(room), self.is_occupied(room)
        if roster.people:
            self._rosters[room] = roster
            self.announcements.people_changed(room)
        else:
            self._rosters.pop(room, None)
            self.announcements.forget(room)
        if is_heard:
            self._want(room)
        for event in differences(room, before, roster):
            self.happened(*event)
        self.when_changed(room)
        self._look_who_is_there(room, was_occupied=was_occupied)

    def _look_who_is_there(self, room: RoomId, *, was_occupied: bool) -> None:
        if self.is_occupied(room) != was_occupied:
            self.when_filled(room)

    def _tell_people(self, room: RoomId, make: Callable[[], str], deltas: bool) -> None:  # noqa: FBT001 - the callback's form
        """Tell those who want the list of people so; the text is made if there are any."""
        text = ""
        for user in self._roster(room).people:
            client = self._clients.get((room, user))
            if client is not None and ((room, user) in self._deltas) is deltas:
                text = text or make()
                client.push(text)

    def _tell_lobby(self, room: RoomId) -> None:
        """Tell those who let in who is outside."""
        text = ""
        for user, person in self._roster(room).people.items():
            client = self._clients.get((room, user))
            if client is not None and Right.ADMIT in person.rights:
                text = text or encode(Notification("lobby", self.lobby.listing(room)))
                client.push(text)

    def _tell(self, room: RoomId, text: str) -> None:
        for user in self._roster(room).people:
            client = self._clients.get((room, user))
            if client is not None:
                client.push(text)


def _anchors(person: Person, buses: Collection[str]) -> tuple[AnchorSpec, ...]:
    return Roster({person.user: person}).anchors(buses)


def _nobody_looks(_room: RoomId) -> None:
    """Nobody wants to know who is in a room."""


_EMPTY = Roster()
_NO_LINES = Lines()


def _nobody_waits(_room: Room) -> None:
    """Nobody is to be let in."""
