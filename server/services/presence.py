"""Who is in which room, on which socket, and with which connection to the mixer."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, assert_never

from mixer.core.speccheck import MAX_FOR_ME
from mixer.types import (
    ArrivalsSpec,
    GoneReason,
    Overloaded,
    PeerChanged,
    PeerState,
    PlaneEvent,
    Played,
    RoomId,
    RoomSpec,
    Talking,
)
from server.domain.controls import PLAIN, Controls
from server.domain.grants import Role
from server.domain.identity import UserId
from server.domain.lines import Line, Lines
from server.domain.people import STATUS_TIMEOUT_S, Person, Roster, Status
from server.domain.room import Room
from server.errors import NotFound, RoomFull, RoomLocked, TooMany
from server.ports import PlaneLost
from server.rpc.codec import Notification, encode
from server.services.announcements import Announcements
from server.services.reconcile import Reconciler

RESTART_FIRST_MS = 300  # a mixer process is back after about that
RESTART_SPREAD_MS = 20  # between one anchor's offer and the next: a handshake costs about 5 ms
FAILED_RETRY_MS = 1000
MAX_KICKED = 1000


class Farewell(Enum):
    """Why the server ends a socket."""

    LEFT = "left"
    REPLACED = "replaced by a newer connection"
    REVOKED = "removed from the room"
    KICKED = "taken out of the room"
    ROOM_GONE = "the room is gone"
    STOPPING = "the server stops"


class Client(Protocol):
    """One person's socket, as seen from the rooms."""

    def push(self, text: str) -> None:
        """Send an encoded notification. Never blocks, never raises; a slow client is dropped."""

    def end(self, why: Farewell) -> None:
        """Close the socket. Never blocks, never raises."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who joins; `resumes` is the media session they came back for."""

    user: UserId
    role: Role
    display_name: str = ""
    resumes: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a join went."""

    session: str
    resumed: bool


class Presence:
    """Rosters of the rooms that have somebody in them; nothing here waits."""

    def __init__(
        self, mixer: Reconciler[RoomSpec], monotonic: Callable[[], float], resume_s: float
    ) -> None:
        self._mixer = mixer
        self._monotonic = monotonic
        self.resume_s = resume_s
        self._rooms: dict[RoomId, Room] = {}  # those on air
        self._rosters: dict[RoomId, Roster] = {}
        self._lines: dict[RoomId, Lines] = {}
        self._arrivals: dict[RoomId, ArrivalsSpec] = {}
        self._controls: dict[RoomId, dict[UserId, Controls]] = {}  # also of those not there now
        self._kicked: dict[RoomId, dict[UserId, None]] = {}  # MAX_KICKED of a room, the last
        self._clients: dict[tuple[RoomId, UserId], Client] = {}
        self._swept_at = monotonic()
        self.announcements = Announcements(self._tell, self.listing)

    def count(self, room: RoomId) -> int:
        """Return how many anchors are in the room."""
        return len(self._rosters.get(room, ()))

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
            self._put(room, replace(person, controls=controls))

    def is_in(self, room: RoomId, user: UserId) -> bool:
        """Whether that person is in the room, by browser or plain RTP."""
        return self._roster(room).get(user) is not None or user in self.lines(room).people

    def tell(self, room: RoomId, told: Notification, only: UserId | None = None) -> None:
        """Tell everybody in the room, or one person."""
        text = encode(told)
        if only is None:
            self._tell(room, text)
        elif (client := self._clients.get((room, only))) is not None:
            client.push(text)

    def tell_all(self, told: Notification) -> None:
        """Tell everybody in every room."""
        for room in self._rosters:
            self.tell(room, told)

    def lines(self, room: RoomId) -> Lines:
        """Return the room's plain RTP."""
        return self._lines.get(room, _NO_LINES)

    def set_lines(self, room: RoomId, lines: Lines) -> None:
        """Make the room's plain RTP so; how others wanted to hear who went is forgotten."""
        for user in self.lines(room).people.keys() - lines.people.keys():
            if room in self._rosters:
                self._rosters[room] = self._rosters[room].without(user)
        self._lines[room] = lines
        self._want(room)
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
            self._tell(room.id, encode(Notification("roomChanged", room.notice())))

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

        The media connection is kept if it still lives and the person knows its session. Raises
        RoomFull, RoomLocked.
        """
        kicked = self._kicked.get(room.id, {})
        returns = bool(arrival.resumes) and arrival.user not in kicked
        self.check_space(room, arrival.user, returns=returns)
        kicked.pop(arrival.user, None)
        now = self._monotonic()
        before = self._roster(room.id).get(arrival.user)
        if before is not None and before.has_media and before.session == arrival.resumes:
            name = arrival.display_name or before.display_name
            person, resumed = replace(before, seen_at=now, lost_at=None, display_name=name), True
        else:
            session = secrets.token_hex(16)
            name = arrival.display_name
            controls = self.controls(room.id).get(arrival.user, PLAIN)
            person = Person(arrival.user, arrival.role, session, now, name, controls=controls)
            resumed = False
        former = self._clients.get((room.id, arrival.user))
        self._clients[room.id, arrival.user] = client
        if former is not None:
            former.end(Farewell.REPLACED)
        self._put(room.id, person)
        return Entry(person.session, resumed)

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
            self._put(room, seen)

    def mute(self, room: RoomId, user: UserId, *, muted: bool) -> None:
        """Take a person's voice out of the mix, or back in."""
        person = self._roster(room).get(user)
        if person is not None and person.muted != muted:
            self._put(room, replace(person, muted=muted))

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
            self._put(room, changed)

    def media_answered(self, room: RoomId, user: UserId) -> None:
        """Note that the mixer has answered the person's offer."""
        person = self._roster(room).get(user)
        if person is not None:
            self._put(room, replace(person, has_media=True))

    def leave(self, room: RoomId, user: UserId, why: Farewell = Farewell.LEFT) -> None:
        """Take a person out now; nothing happens if they are not there."""
        client = self._clients.pop((room, user), None)
        if client is not None:
            client.end(why)
        roster = self._roster(room)
        if roster.get(user) is None:
            return
        if why is Farewell.KICKED:
            kicked = self._kicked.setdefault(room, {})
            kicked[user] = None
            if len(kicked) > MAX_KICKED:
                del kicked[next(iter(kicked))]
        self._set(room, roster.without(user))

    def lose(self, room: RoomId, user: UserId, client: Client) -> None:
        """Note that a socket is gone: the person is kept for a resume if their media lives."""
        if not self.is_current(room, user, client):
            return
        del self._clients[room, user]
        person = self._roster(room).get(user)
        if person is not None and person.has_media:
            self._put(room, replace(person, lost_at=self._monotonic()))
        else:
            self.leave(room, user)

    def close_room(self, room: RoomId, reason: str) -> None:
        """Tell everybody that the room is gone, and end their sockets."""
        self._tell(room, encode(Notification("roomClosed", {"reason": reason})))
        for user in self._roster(room).people:
            client = self._clients.pop((room, user), None)
            if client is not None:
                client.end(Farewell.ROOM_GONE)
        self._rooms.pop(room, None)
        self._rosters.pop(room, None)
        self._lines.pop(room, None)
        self._arrivals.pop(room, None)
        self._controls.pop(room, None)
        self._kicked.pop(room, None)
        self.announcements.forget(room)

    def handle(self, event: PlaneEvent | PlaneLost) -> None:
        """Take what the mixer says."""
        match event:
            case PlaneLost(rooms):
                self._plane_lost(rooms)
            case Talking(room, levels):
                if room in self._rosters:
                    self.announcements.talking(room, {str(peer): db for peer, db in levels.items()})
            case PeerChanged(room, peer, state, reason):
                person = self._roster(room).get(UserId(peer))
                if person is not None:
                    self._peer_changed(room, person, state, reason)
                elif (line := self.lines(room).people.get(UserId(peer))) is not None:
                    self._line_changed(room, line, is_live=state is PeerState.LIVE)
            case Played():
                pass  # the announcer's
            case Overloaded():
                pass  # its log and its numbers say so; people hear the calls they are in
            case _:
                assert_never(event)

    def sweep(self) -> None:
        """Let go of those whose time for a resume is over, and unlist those who went quiet."""
        now, before = self._monotonic(), self._swept_at
        self._swept_at = now
        for room, roster in list(self._rosters.items()):
            for user in roster.overdue(now, self.resume_s):
                self.leave(room, user)
            if any(
                before < person.seen_at + STATUS_TIMEOUT_S <= now
                for person in roster.people.values()
            ):
                self.announcements.people_changed(room)

    def _plane_lost(self, rooms: frozenset[RoomId] | None) -> None:
        for room, lines in list(self._lines.items()):
            for line in lines.people.values():
                if rooms is None or room in rooms:
                    self._line_changed(room, line, is_live=False)
        retry_after_ms = RESTART_FIRST_MS
        for room, roster in self._rosters.items():
            if rooms is not None and room not in rooms:
                continue
            for person in roster.people.values():
                if person.has_media:
                    self._put(room, replace(person, has_media=False, status=Status.IDLE))
                self._reconnect(room, person.user, "media_restarted", retry_after_ms)
                retry_after_ms += RESTART_SPREAD_MS

    def _peer_changed(
        self, room: RoomId, person: Person, state: PeerState, reason: GoneReason | None
    ) -> None:
        if state is PeerState.LIVE:
            self._put(room, replace(person, has_media=True, status=Status.ON_AIR))
        if state is not PeerState.GONE:
            return
        if reason in (GoneReason.REPLACED, GoneReason.REMOVED):
            return  # our own doing, or another connection of theirs lives
        if person.lost_at is not None:
            self.leave(room, person.user)  # neither socket nor media: nothing to resume
            return
        self._put(room, replace(person, has_media=False, status=Status.IDLE))
        if reason is GoneReason.TIMEOUT:
            self._reconnect(room, person.user, "media_lost", 0)
        elif reason is GoneReason.FAILED:
            self._reconnect(room, person.user, "media_failed", FAILED_RETRY_MS)

    def _line_changed(self, room: RoomId, line: Line, *, is_live: bool) -> None:
        if line.is_live != is_live:
            changed = replace(line, is_live=is_live)
            self._lines[room] = self._lines[room].with_person(changed)
            if room in self._rosters:
                self.announcements.people_changed(room)

    def _want(self, room: RoomId) -> None:
        """Tell the mixer how the room shall be."""
        lines = self.lines(room)
        spec = self._roster(room).room_spec(self._rooms[room], self._mixer.next_version())
        self._mixer.want(
            replace(
                spec,
                forwarders=tuple(lines.forwarders.values()),
                rtp=lines.participants(),
                arrivals=self.arrivals(room),
            )
        )

    def _reconnect(self, room: RoomId, user: UserId, reason: str, retry_after_ms: int) -> None:
        params = {"reason": reason, "retryAfterMs": retry_after_ms}
        self.tell(room, Notification("reconnect", params), user)

    def _roster(self, room: RoomId) -> Roster:
        return self._rosters.get(room, _EMPTY)

    def _put(self, room: RoomId, person: Person) -> None:
        self._set(room, self._roster(room).with_person(person))

    def _set(self, room: RoomId, roster: Roster) -> None:
        before = self._roster(room)
        if roster.people:
            self._rosters[room] = roster
            self.announcements.people_changed(room)
        else:
            self._rosters.pop(room, None)
            self.announcements.forget(room)
        buses = self._rooms[room].buses
        if roster.anchors(buses) != before.anchors(buses):
            self._want(room)

    def _tell(self, room: RoomId, text: str) -> None:
        for user in self._roster(room).people:
            client = self._clients.get((room, user))
            if client is not None:
                client.push(text)


_EMPTY = Roster()
_NO_LINES = Lines()
