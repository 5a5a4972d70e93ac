"""Who is connected to a room and not on its stage: waiting to be let in, or listening."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mixer.types import RoomId
from server.domain.grants import Right, Role, effective_rights
from server.domain.identity import UserId
from server.domain.people import Status
from server.errors import TooMany
from server.services.farewell import Client, Farewell

MAX_OUTSIDE: Final = 500  # of one room: a socket each, and nothing else
MAX_HELD: Final = 20  # publishers outside one room: each is a connection to the mixer
MAX_SHOWN: Final = 100  # to those who let in: nobody looks at more, and a frame has an end


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody outside; `since` is monotonic seconds, `hand` set while it is raised.

    `is_listening` tells who is there to listen, and who waits to come in. Who `publishes` has no
    socket but a media connection, which is held unheard; `status` is of that. Who lost the socket
    at `lost_at` (monotonic seconds) has their place kept for a while, and is not to be seen.
    """

    user: UserId
    role: Role
    client: Client
    since: float
    display_name: str = ""
    is_listening: bool = False
    explicit: frozenset[Right] | None = None
    deltas: bool = False
    hand: int | None = None
    publishes: bool = False
    status: Status = Status.IDLE
    lost_at: float | None = None

    @property
    def rights(self) -> frozenset[Right]:
        """What they may do."""
        return effective_rights(self.role, self.explicit)


class Lobby:
    """Those outside every room, in the order they came; `changed(room)` is told of each change."""

    def __init__(self, changed: Callable[[RoomId], None]) -> None:
        self._changed = changed
        self._rooms: dict[RoomId, dict[UserId, Waiter]] = {}

    def people(self, room: RoomId) -> Mapping[UserId, Waiter]:
        """Return everybody outside the room."""
        there = self._rooms.get(room, {}).values()
        return {one.user: one for one in there if one.lost_at is None}

    def get(self, room: RoomId, user: UserId) -> Waiter | None:
        """Return one of them, None if they are not there."""
        waiter = self._rooms.get(room, {}).get(user)
        return None if waiter is None or waiter.lost_at is not None else waiter

    def keeps_place(self, room: RoomId, user: UserId) -> bool:
        """Whether that person is outside, or was until a moment ago."""
        return user in self._rooms.get(room, {})

    def held(self, room: RoomId) -> tuple[UserId, ...]:
        """Return the publishers outside the room."""
        return tuple(one.user for one in self._rooms.get(room, {}).values() if one.publishes)

    def is_current(self, room: RoomId, user: UserId, client: Client) -> bool:
        """Whether that person is outside with that very socket."""
        waiter = self.get(room, user)
        return waiter is not None and waiter.client is client

    def enter(self, room: RoomId, waiter: Waiter) -> None:
        """Let somebody wait or listen; who was there under the same id goes.

        They keep that one's place in the queue, and a hand that was up when the socket was lost.
        Raises TooMany.
        """
        there = self._rooms.setdefault(room, {})
        former = there.get(waiter.user)
        if former is None:
            self._make_space(room)
        if waiter.publishes and waiter.user not in (held := self.held(room)):
            _check_held(held)
        if former is not None and former.is_listening is waiter.is_listening:
            hand = None if former.lost_at is None else former.hand
            waiter = replace(waiter, since=former.since, hand=hand)
        there[waiter.user] = waiter
        is_there = former is not None and former.lost_at is None
        if former is not None and is_there and former.client is not waiter.client:
            former.client.end(Farewell.REPLACED)
        self._changed(room)

    def lose(self, room: RoomId, user: UserId, now: float) -> None:
        """Keep somebody's place whose socket is gone."""
        waiter = self.get(room, user)
        if waiter is not None:
            self._rooms[room][user] = replace(waiter, lost_at=now)
            self._changed(room)

    def note_status(self, room: RoomId, user: UserId, status: Status) -> None:
        """Note how a publisher's connection is."""
        waiter = self.get(room, user)
        if waiter is not None and waiter.publishes:
            self._rooms[room][user] = replace(waiter, status=status)

    def raise_hand(self, room: RoomId, user: UserId, number: int | None) -> None:
        """Raise a listener's hand, or take it down (None)."""
        waiter = self.get(room, user)
        if waiter is not None and (waiter.hand is None) != (number is None):
            self._rooms[room][user] = replace(waiter, hand=number)
            self._changed(room)

    def take(self, room: RoomId, user: UserId) -> Waiter | None:
        """Take somebody out without a word; return who it was."""
        waiter = self._rooms.get(room, {}).pop(user, None)
        if waiter is not None:
            if not self._rooms[room]:
                del self._rooms[room]
            self._changed(room)
        return waiter

    def drop(self, room: RoomId, user: UserId, why: Farewell) -> None:
        """Send somebody away."""
        waiter = self.take(room, user)
        if waiter is not None and waiter.lost_at is None:
            waiter.client.end(why)

    def close(self, room: RoomId, text: str) -> None:
        """Tell everybody that, and send them away: the room is gone."""
        self.tell(room, text)
        for waiter in self.people(room).values():
            waiter.client.end(Farewell.ROOM_GONE)
        self._rooms.pop(room, None)

    def tell(self, room: RoomId, text: str) -> None:
        """Tell everybody outside the room."""
        for waiter in self.people(room).values():
            waiter.client.push(text)

    def sweep(self, before: float, lost_before: float) -> None:
        """Send away who has waited since `before`, forget whose socket is gone since then."""
        for room, there in list(self._rooms.items()):
            for waiter in list(there.values()):
                is_lost = waiter.lost_at is not None and waiter.lost_at <= lost_before
                if is_lost or (not waiter.is_listening and waiter.since <= before):
                    self.drop(room, waiter.user, Farewell.WAITED)

    def _make_space(self, room: RoomId) -> None:
        """Let whose socket is gone go first. Raises TooMany."""
        there = self._rooms[room]
        if len(there) < MAX_OUTSIDE:
            return
        lost = next((one.user for one in there.values() if one.lost_at is not None), None)
        if lost is None:
            raise TooMany(f"At most {MAX_OUTSIDE} people can wait or listen with a socket")
        del there[lost]

    def listing(self, room: RoomId) -> dict[str, object]:
        """Return the params of `lobby`: for those who let in."""
        there = self.people(room).values()
        waiting = [one for one in there if not one.is_listening]
        hands = sorted(
            (one for one in there if one.is_listening and one.hand is not None),
            key=lambda one: one.hand or 0,
        )
        return {
            "waiting": [_entry(one) for one in waiting[:MAX_SHOWN]],
            "hands": [_entry(one) for one in hands[:MAX_SHOWN]],
            "listening": len(there) - len(waiting),
        }


def _check_held(held: tuple[UserId, ...]) -> None:
    if len(held) >= MAX_HELD:
        raise TooMany(f"At most {MAX_HELD} publishers of a room can wait to be let in")


def _entry(waiter: Waiter) -> dict[str, object]:
    return {
        "userId": waiter.user,
        "role": waiter.role.value,
        "displayName": waiter.display_name,
        "hand": waiter.hand,
    }
