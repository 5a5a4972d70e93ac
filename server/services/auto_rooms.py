"""Rooms that are made when somebody comes, if the operator wants that."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from mixer.types import RoomId
from server.domain.room import InviteRole, Room
from server.errors import RoomExists, RoomNotFound, TooMany
from server.services.access import Showing
from server.services.rooms import Rooms, Wanted


@dataclass(frozen=True, slots=True)
class AutoPolicy:
    """Which ids (a pattern with `*` and `?`; "" is none), how many, for strangers too, how made."""

    pattern: str = ""
    limit: int = 20
    is_open: bool = False
    max_anchors: int = 3
    lifetime_s: int | None = None


class AutoRooms:
    """Finds rooms, and makes those that the policy says."""

    def __init__(self, rooms: Rooms, policy: AutoPolicy) -> None:
        self._rooms = rooms
        self._policy = policy
        self._making = asyncio.Lock()  # between the count and the room nobody else makes one

    def is_open(self, room: RoomId) -> bool:
        """Whether anybody may come to a room of that id, without an invite."""
        return self._policy.is_open and self._fits(room)

    async def find(self, room: RoomId, shown: Showing, role: InviteRole) -> tuple[Room, Showing]:
        """Return a room, made now if it may be, and what the caller shows for it.

        Raises RoomNotFound, TooMany, StoreLost.
        """
        try:
            found = self._rooms.get(room)
        except RoomNotFound:
            if not self._fits(room) or not (shown.is_admin or self._policy.is_open):
                raise
            found = await self._make(room)
        if self.is_open(room) and not (shown.is_admin or shown.invite or shown.token):
            shown = replace(shown, invite=found.invites.get(role))
        return found, shown

    def _fits(self, room: RoomId) -> bool:
        return bool(self._policy.pattern) and fnmatchcase(room, self._policy.pattern)

    async def _make(self, room: RoomId) -> Room:
        policy = self._policy
        wanted = Wanted(
            id=room, pin="", max_anchors=policy.max_anchors, expires_in_s=policy.lifetime_s
        )
        async with self._making:
            with suppress(RoomNotFound):
                return self._rooms.get(room)  # somebody else came at the same moment
            if sum(self._fits(one.id) for one in self._rooms.each()) >= policy.limit:
                raise TooMany(f"At most {policy.limit} rooms are made by themselves")
            try:
                return await self._rooms.create(wanted)
            except RoomExists:  # made by somebody who was asked to
                return self._rooms.get(room)
