"""Sessions of listeners that outlive their tokens: in the store, so that a restart ends none."""

from collections.abc import Collection, Iterator
from typing import Final

from mixer.types import RoomId
from server.domain.identity import UserId, room_id, user_id
from server.ports import StateStore
from server.services.clock import Clock
from server.services.listeners import GONE_S, Listener, Listeners

PREFIX: Final = "/rooms/"
# What ends so soon may end while the server is away: an upgrade takes seconds, a repair minutes.
NEAR_S: Final = 600.0
MOST_AT_ONCE: Final = 100  # records of one commit

_Who = tuple[RoomId, UserId]


class Sessions:
    """Who goes on listening with a token that is over, or soon will be.

    Nothing is written for others, and of these once when it begins and once when it ends: a player
    that goes on for days costs no more. After a restart they have a minute to come back, as if they
    had asked for something at that moment. The records go with their room.
    """

    def __init__(self, store: StateStore, clock: Clock, listeners: Listeners) -> None:
        self._store = store
        self._clock = clock
        self._listeners = listeners
        self._begun: set[_Who] = set()
        self._stored: set[_Who] = set()
        self._awaited: frozenset[_Who] = frozenset()
        self._awaited_until_s = 0.0

    def __len__(self) -> int:
        return len(self._stored)

    async def load(self, rooms: Collection[RoomId]) -> None:
        """Read those of the rooms that there are. Raises StoreLost."""
        for record in (await self._store.scan(PREFIX)).records:
            name, _, part = record.key.removeprefix(PREFIX).partition("/")
            kind, _, person = part.partition("/")
            room, user = room_id(name), user_id(person)
            if kind == "listening" and room is not None and user is not None and room in rooms:
                self._stored.add((room, user))
        self._awaited = frozenset(self._stored)
        self._awaited_until_s = self._clock.monotonic() + GONE_S

    def is_under_way(self, room: RoomId, user: UserId) -> bool:
        """Whether somebody listens now, or did when the server stopped and may come back."""
        return self._listeners.is_here(room, user) or self._is_awaited((room, user))

    def note(self, listener: Listener, expires_at: int) -> None:
        """Note that somebody listens with a token that is good until then (Unix seconds)."""
        who = (listener.room, listener.user)
        if expires_at - self._clock.unix() < NEAR_S and who not in self._stored:
            self._begun.add(who)

    async def settle(self) -> None:
        """Store who began, and forget who is gone. Raises StoreLost."""
        self._begun = {who for who in self._begun if self._listeners.is_here(*who)}
        for some in _some(self._begun):
            await self._store.commit(put={_key(who): b"1" for who in some})
            self._stored.update(some)
            self._begun.difference_update(some)
        over = {who for who in self._stored if not self.is_under_way(*who)}
        for some in _some(over):
            await self._store.commit(delete=[_key(who) for who in some])
            self._stored.difference_update(some)

    def _is_awaited(self, who: _Who) -> bool:
        return who in self._awaited and self._clock.monotonic() < self._awaited_until_s


def _key(who: _Who) -> str:
    room, user = who
    return f"{PREFIX}{room}/listening/{user}"


def _some(whole: set[_Who]) -> Iterator[list[_Who]]:
    """Cut into what one commit takes."""
    rows = list(whole)
    for start in range(0, len(rows), MOST_AT_ONCE):
        yield rows[start : start + MOST_AT_ONCE]
