"""The last of the broadcasts that are over, so that players come to an end instead of an error."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from hls.core.playlist import ended, names
from mixer.types import RoomId
from server.domain.stream import Stream
from server.errors import ServerError
from server.ports import BroadcastPlane

log = structlog.get_logger(__name__)

KEPT_S: Final = 60.0  # a player asks every two seconds; one that was asleep may not come again
MAX_KEPT: Final = 32  # rooms, of half a megabyte each; the oldest goes
GATHER_S: Final = 1.0  # a room is not kept alive for its players


@dataclass(slots=True)
class Ending:
    """A playlist with its end mark, what it names, and its key, until `until` (monotonic)."""

    text: str
    stream: Stream
    until: float
    media: dict[str, bytes] = field(default_factory=dict)


class Endings:
    """Broadcasts whose room is gone."""

    def __init__(self, broadcast: BroadcastPlane, monotonic: Callable[[], float]) -> None:
        self._broadcast = broadcast
        self._monotonic = monotonic
        self._kept: dict[RoomId, Ending] = {}

    def get(self, room: RoomId) -> Ending | None:
        """Return what is left of a room's broadcast."""
        self._forget_old()
        return self._kept.get(room)

    async def keep(self, room: RoomId, stream: Stream) -> None:
        """Keep what players need to come to the end; nothing if it cannot be had at once."""
        try:
            async with asyncio.timeout(GATHER_S):
                text = await self._broadcast.playlist(room)
                if text is None:
                    return
                ending = Ending(ended(text), stream, self._monotonic() + KEPT_S)
                for name in names(text):
                    data = await self._broadcast.fetch(room, name)
                    if data is not None:
                        ending.media[name] = data
        except (ServerError, TimeoutError) as error:
            log.info("broadcast_ends_unmarked", room=room, reason=str(error))
            return
        self._kept.pop(room, None)
        self._kept[room] = ending
        self._forget_old()

    def _forget_old(self) -> None:
        now = self._monotonic()
        for room, ending in list(self._kept.items()):
            if ending.until <= now or len(self._kept) > MAX_KEPT:
                del self._kept[room]
