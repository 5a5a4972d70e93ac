"""Recordings of what arrives in a room: begun and ended by the admin, for `roomtone replay`."""

import secrets
from datetime import UTC, datetime

import structlog

from mixer.types import ArrivalsSpec, RoomId
from server.domain.room import rfc3339
from server.domain.webhook import Kind
from server.errors import AlreadyRecorded, NotFound
from server.services.clock import Clock
from server.services.happenings import Happened, nobody_hears
from server.services.presence import Presence
from server.services.rooms import Rooms

log = structlog.get_logger(__name__)


class ArrivalsKeeper:
    """Who is recorded now. It is not stored: a restart of the server ends all recordings.

    With `is_every_room` the operator records all of them anyway.
    """

    def __init__(
        self, rooms: Rooms, presence: Presence, clock: Clock, *, is_every_room: bool
    ) -> None:
        self._rooms = rooms
        self._presence = presence
        self._clock = clock
        self._is_every_room = is_every_room
        self._told: dict[RoomId, ArrivalsSpec] = {}  # of those that began, until their end is told
        self.happened: Happened = nobody_hears

    def start(self, room: RoomId, seconds: float, limit_bytes: int) -> ArrivalsSpec:
        """Record the room's calls for so long, each up to a size; ends what was recorded before.

        Raises RoomNotFound, AlreadyRecorded.
        """
        self._rooms.get(room)
        if self._is_every_room:
            raise AlreadyRecorded
        wish = ArrivalsSpec(secrets.token_hex(4), limit_bytes, self._clock.unix() + seconds)
        self._presence.set_arrivals(room, wish)
        log.warning("recording_arrivals", room=room, seconds=seconds, what="everybody's voice")
        self.sweep()  # one that was under way is over
        self._told[room] = wish
        until = rfc3339(datetime.fromtimestamp(wish.until_unix_s, UTC))
        self.happened(Kind.CAPTURE_STARTED, room, {"roomId": room, "until": until})
        return wish

    def stop(self, room: RoomId) -> None:
        """End the recording. Raises RoomNotFound, NotFound."""
        if self.current(room) is None:
            raise NotFound("Nothing is recorded in this room on request")
        self._presence.set_arrivals(room, None)
        log.warning("recording_arrivals_ended", room=room)
        self.sweep()

    def sweep(self) -> None:
        """Tell of the recordings whose time is over, or whose room is."""
        now = self._clock.unix()
        for room, told in list(self._told.items()):
            if self._presence.arrivals(room) != told or told.until_unix_s <= now:
                del self._told[room]
                self.happened(Kind.CAPTURE_ENDED, room, {"roomId": room})

    def current(self, room: RoomId) -> ArrivalsSpec | None:
        """Return what is wished of the room, None once its time is over. Raises RoomNotFound."""
        self._rooms.get(room)
        wish = self._presence.arrivals(room)
        return wish if wish is not None and wish.until_unix_s > self._clock.unix() else None
