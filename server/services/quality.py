"""Tells the people of a room how well each of them is connected."""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from mixer.errors import MixerError
from mixer.types import PeerId, PeerStatistics, RoomId
from server.domain.quality import Quality, changed, judge
from server.errors import ServerError
from server.rpc.codec import Notification
from server.services.presence import Presence

log = structlog.get_logger(__name__)

LOOK_S: Final = 5.0  # receivers report about that often (RFC 3550 §6.2)


class Describer(Protocol):
    """The part of a media plane that knows how connections are."""

    async def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """Return how the room's connections are."""


class QualityWatch:
    """Looks at the rooms with somebody in them, and tells what has changed there."""

    def __init__(self, mixer: Describer, presence: Presence) -> None:
        self._mixer = mixer
        self._presence = presence
        self._told: dict[RoomId, Mapping[str, Quality]] = {}

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look at every room once; one whose mixer is away has its turn again."""
        rooms = self._presence.occupied()
        for room in self._told.keys() - set(rooms):
            del self._told[room]
        for room in rooms:
            try:
                peers = await self._mixer.peers(room)
            except (MixerError, ServerError) as error:
                log.debug("quality_unknown", room=room, reason=str(error))
            else:
                self._tell(room, peers)

    def _tell(self, room: RoomId, peers: tuple[PeerStatistics, ...]) -> None:
        people = {PeerId(person.user) for person in self._presence.people(room)}
        now = {str(peer.peer): judge(peer) for peer in peers if peer.peer in people}
        news = changed(self._told.get(room, {}), now)
        self._told[room] = now
        if news:
            entries = {user: one.entry() for user, one in news.items()}
            self._presence.tell(room, Notification("quality", {"people": entries}))
