"""The rooms of the configuration: there from the start, for good, and as it says."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog

from mixer.types import RoomId
from server.domain.configured_room import ConfiguredRoom
from server.domain.room import RoomState
from server.errors import RoomExists, RoomNotFound, SigningUnavailable, StoreLost
from server.ports import StateStore
from server.services.rooms import PREFIX, Rooms, Wanted

log = structlog.get_logger(__name__)


class PermanentRooms:
    """Makes rooms what the configuration says, whenever that says something else than before.

    What was changed by REST since stays until then. A room that the configuration names no more
    stays as well, as any other.
    """

    def __init__(self, store: StateStore, rooms: Rooms) -> None:
        self._store = store
        self._rooms = rooms
        self._applied: tuple[ConfiguredRoom, ...] = ()

    async def follow(self, wanted: Sequence[ConfiguredRoom]) -> None:
        """Make the rooms so if they are not; what cannot be done now is done the next time."""
        if tuple(wanted) == self._applied:
            return
        try:
            await self.apply(wanted)
        except (RoomNotFound, StoreLost, SigningUnavailable) as error:
            log.warning("permanent_rooms_wait", reason=str(error))

    async def apply(self, wanted: Sequence[ConfiguredRoom]) -> None:
        """Make the rooms so. Raises RoomNotFound, StoreLost, SigningUnavailable.

        One whose records cannot be read is logged and left alone.
        """
        self._rooms.permanent = frozenset(RoomId(one.id) for one in wanted)
        for one in wanted:
            await self._settle(one)
        stored = (await self._store.scan(PREFIX)).records
        over = [
            record.key
            for record in stored
            if (parts := record.key.removeprefix(PREFIX).split("/"))[1:] == ["configured"]
            and parts[0] not in self._rooms.permanent
        ]
        await self._store.commit(delete=over)
        before, self._applied = {one.id for one in self._applied}, tuple(wanted)
        if self._rooms.permanent != before:
            log.info("permanent_rooms", rooms=sorted(self._rooms.permanent))

    async def _settle(self, one: ConfiguredRoom) -> None:
        room, key = RoomId(one.id), f"{PREFIX}{one.id}/configured"
        text = one.model_dump_json().encode()
        record = await self._store.get(key)
        try:
            self._rooms.get(room)
        except RoomNotFound:
            if self._rooms.state(room) is not RoomState.GONE:  # it is being removed
                raise
            try:
                await self._rooms.create(Wanted(id=room, **_said(one)))
            except RoomExists:
                log.error("permanent_room_unreadable", room=room)  # noqa: TRY400 - nothing broke
                return
        else:
            if record is not None and record.value == text:
                return
            await self._rooms.change(room, lambda before: replace(before, **_said(one)))
        await self._store.commit(put={key: text})


def _said(one: ConfiguredRoom) -> dict[str, Any]:
    """Return what the configuration says of a room, by the names that rooms have for it."""
    return {
        "expires_in_s": None,
        "pin": one.pin,
        "max_anchors": one.max_anchors,
        "name": one.name,
        "profile": one.profile,
        "loudest": one.loudest,
        "automix": one.automix,
        "buses": one.buses,
        "broadcast": one.broadcast,
        "radio": one.radio,
        "upload": one.upload,
        "locked": one.locked,
        "air": one.air,
        "record": one.record,
    }
