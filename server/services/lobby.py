"""Who is connected to a room and not on its stage: waiting to be let in, or listening."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mixer.types import RoomId
from server.domain.grants import Right, Role, effective_rights
from server.domain.identity import UserId
from server.errors import TooMany
from server.services.farewell import Client, Farewell

MAX_OUTSIDE: Final = 500  # of one room: a socket each, and nothing else
MAX_SHOWN: Final = 100  # to those who let in: nobody looks at more, and a frame has an end


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody outside; `since` is monotonic seconds, `hand` set while it is raised.

    `is_listening` tells who is there to listen, and who waits to come in.
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
        return self._rooms.get(room, {})

    def get(self, room: RoomId, user: UserId) -> Waiter | None:
        """Return one of them, None if they are not there."""
        return self.people(room).get(user)

    def is_current(self, room: RoomId, user: UserId, client: Client) -> bool:
        """Whether that person is outside with that very socket."""
        waiter = self.get(room, user)
        return waiter is not None and waiter.client is client

    def enter(self, room: RoomId, waiter: Waiter) -> None:
        """Let somebody wait or listen; who was there under the same id goes. Raises TooMany."""
        there = self._rooms.setdefault(room, {})
        former = there.get(waiter.user)
        if former is None and len(there) >= MAX_OUTSIDE:
            raise TooMany(f"At most {MAX_OUTSIDE} people can wait or listen with a socket")
        there[waiter.user] = waiter
        if former is not None and former.client is not waiter.client:
            former.client.end(Farewell.REPLACED)
        self._changed(room)

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
        if waiter is not None:
            waiter.client.end(why)

    def close(self, room: RoomId, text: str) -> None:
        """Tell everybody that, and send them away: the room is gone."""
        self.tell(room, text)
        for waiter in self._rooms.pop(room, {}).values():
            waiter.client.end(Farewell.ROOM_GONE)

    def tell(self, room: RoomId, text: str) -> None:
        """Tell everybody outside the room."""
        for waiter in self.people(room).values():
            waiter.client.push(text)

    def sweep(self, before: float) -> None:
        """Send away who has waited since `before` (monotonic seconds)."""
        for room, there in list(self._rooms.items()):
            for waiter in list(there.values()):
                if not waiter.is_listening and waiter.since <= before:
                    self.drop(room, waiter.user, Farewell.WAITED)

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


def _entry(waiter: Waiter) -> dict[str, object]:
    return {
        "userId": waiter.user,
        "role": waiter.role.value,
        "displayName": waiter.display_name,
        "hand": waiter.hand,
    }
