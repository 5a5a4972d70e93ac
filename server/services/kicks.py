"""Who was taken out of a room without being banned: what they held until then lets nobody back."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from mixer.types import RoomId
from server.domain.identity import UserId, room_id, user_id
from server.ports import StateStore
from server.services.clock import Clock

PREFIX: Final = "/rooms/"
MAX_KICKS: Final = 1000  # of one room; the oldest is forgotten first
MAX_RECORD_BYTES: Final = 32
MARK_CHARS: Final = 8  # hex digits: two kicks of one person are never told apart by a clock


@dataclass(frozen=True, slots=True)
class Kick:
    """A person's last one, kept until then (Unix seconds); their tickets since bear `mark`."""

    mark: str
    until: int


class Kicks:
    """The store has them first, so that a kick outlives the process that did it.

    They are kept for `kept_s`, as long as a resume token of before may live.
    """

    def __init__(self, store: StateStore, clock: Clock, kept_s: int) -> None:
        self._store = store
        self._clock = clock
        self._kept_s = kept_s
        self._rooms: dict[RoomId, dict[UserId, Kick]] = {}

    async def load(self, rooms: Collection[RoomId]) -> None:
        """Read those of the rooms that there are. Raises StoreLost."""
        for record in (await self._store.scan(PREFIX)).records:
            name, _, part = record.key.removeprefix(PREFIX).partition("/")
            kind, _, person = part.partition("/")
            room, user, kick = room_id(name), user_id(person), _decode(record.value)
            if kind != "kicked" or room is None or user is None or kick is None:
                continue
            if room in rooms:
                self._rooms.setdefault(room, {})[user] = kick

    def mark(self, room: RoomId, user: UserId) -> str:
        """Return what a ticket must end with that is to be good; empty if they were not kicked."""
        kick = self._rooms.get(room, {}).get(user)
        return "" if kick is None else kick.mark

    async def add(self, room: RoomId, user: UserId) -> None:
        """Note that somebody is taken out. Raises StoreLost."""
        others = [one for one in self._rooms.get(room, {}) if one != user]
        over = others[: max(0, len(others) + 1 - MAX_KICKS)]
        kick = Kick(secrets.token_hex(MARK_CHARS // 2), int(self._clock.unix()) + self._kept_s + 1)
        await self._store.commit(
            put={_key(room, user): f"{kick.until} {kick.mark}".encode()},
            delete=[_key(room, one) for one in over],
        )
        there = self._rooms.setdefault(room, {})
        for one in (*over, user):
            there.pop(one, None)
        there[user] = kick

    async def drop(self, room: RoomId, user: UserId) -> None:
        """Forget one, as of a room that is gone. Raises StoreLost."""
        await self._store.commit(delete=[_key(room, user)])
        self.forget_room(room)

    def forget_room(self, room: RoomId) -> None:
        """Forget a room's; its records go with the room."""
        self._rooms.pop(room, None)

    async def forget(self) -> None:
        """Forget those whose time is over. Raises StoreLost."""
        now = self._clock.unix()
        over = [
            (room, user)
            for room, there in self._rooms.items()
            for user, kick in there.items()
            if kick.until <= now
        ]
        if over:
            await self._store.commit(delete=[_key(room, user) for room, user in over])
        for room, user in over:
            there = self._rooms.get(room, {})
            if user in there and there[user].until <= now:
                del there[user]


def _decode(value: bytes) -> Kick | None:
    until, _, mark = value[:MAX_RECORD_BYTES].decode("ascii", "replace").partition(" ")
    is_ours = until.isdecimal() and len(mark) == MARK_CHARS
    return Kick(mark, int(until)) if is_ours else None


def _key(room: RoomId, user: UserId) -> str:
    return f"{PREFIX}{room}/kicked/{user}"
