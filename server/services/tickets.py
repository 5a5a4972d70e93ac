"""The tickets of the rooms: what people may come back with, past the lock and the lobby."""

import secrets
from collections.abc import Callable
from typing import Final

from mixer.types import RoomId
from server.domain.identity import UserId

MAX_TICKETS: Final = 1000  # of a room's people who are not there any more
TICKET_BYTES: Final = 16


class Tickets:
    """Hex digits, each good once: only the one that was given last lets its person back.

    Kept are those of people who went, "" for those who may not come back. A ticket that is not
    known is good too, since it may be of our life before: but for the kicked, whose good ones end
    with `kick_mark(room, user)`.
    """

    def __init__(self) -> None:
        self.kick_mark: Callable[[RoomId, UserId], str] = _never_kicked
        self._kept: dict[RoomId, dict[UserId, str]] = {}

    def new(self, room: RoomId, user: UserId) -> str:
        """Return a ticket that is good in our next life too, unless they are kicked meanwhile."""
        return secrets.token_hex(TICKET_BYTES) + self.kick_mark(room, user)

    def expect(self, room: RoomId, user: UserId) -> str:
        """Return a ticket with which somebody passes the lock and the lobby, once."""
        ticket = self.new(room, user)
        self.keep(room, user, ticket)
        return ticket

    def keep(self, room: RoomId, user: UserId, ticket: str) -> None:
        """Keep what somebody may come back with who went."""
        kept = self._kept.setdefault(room, {})
        kept.pop(user, None)
        kept[user] = ticket
        if len(kept) > MAX_TICKETS:
            del kept[next(iter(kept))]

    def last(self, room: RoomId, user: UserId) -> str | None:
        """Return what is kept of somebody, None if nothing is."""
        return self._kept.get(room, {}).get(user)

    def let_back(self, room: RoomId, user: UserId, ticket: str) -> bool:
        """Whether that is the ticket they were given last (and they were not kicked)."""
        mark = self.kick_mark(room, user)
        if mark and ticket[2 * TICKET_BYTES :] != mark:
            return False
        return bool(ticket) and self._kept.get(room, {}).get(user, ticket) == ticket

    def drop(self, room: RoomId, user: UserId) -> None:
        """Forget what is kept of somebody: they are there."""
        self._kept.get(room, {}).pop(user, None)

    def forget_room(self, room: RoomId) -> None:
        """Forget all of a room that is gone."""
        self._kept.pop(room, None)


def _never_kicked(_room: RoomId, _user: UserId) -> str:
    """Nobody remembers kicks of former lives."""
    return ""
