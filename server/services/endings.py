"""The last of the broadcasts that are over, so that players come to an end instead of an error."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog

from hls.core.playlist import ended, names
from hls.errors import HlsError
from hls.types import BroadcastSpec, PlaylistKind
from mixer.types import RoomId
from server.domain.identity import UserId
from server.domain.media import Media
from server.domain.playlist_text import PlaylistText
from server.domain.reload import PlaylistAsk
from server.domain.room import Room
from server.domain.stream import Stream
from server.errors import ServerError
from server.ports import BroadcastPlane

log = structlog.get_logger(__name__)

KEPT_S: Final = 60.0  # a player asks every two seconds; one that was asleep may not come again
MAX_KEPT: Final = 32  # rooms; the oldest goes
MAX_BYTES: Final = 2_000_000  # of one: who is further back in a long window finds the end only
GATHER_S: Final = 2.0  # a room is not kept alive for its players
_KINDS: Final = (PlaylistKind.LOW_LATENCY, PlaylistKind.CLASSIC)


@dataclass(slots=True)
class Ending:
    """Playlists with their end mark, what they name, and the keys, until `until` (monotonic).

    Once the room is gone as well, `made` is the room's, and `revoked` whose tokens it refused.
    """

    stream: Stream
    until: float
    default: str
    texts: dict[tuple[str, PlaylistKind], PlaylistText] = field(default_factory=dict)
    media: dict[tuple[str, str], Media] = field(default_factory=dict)
    made: str = ""
    revoked: frozenset[UserId] = frozenset()

    def text(self, ask: PlaylistAsk) -> PlaylistText | None:
        """Return a playlist of the end."""
        return self.texts.get((ask.rendition or self.default, ask.kind))

    def fetch(self, rendition: str, name: str) -> Media | None:
        """Return what a playlist of the end names."""
        return self.media.get((rendition or self.default, name))


class Endings:
    """Broadcasts whose room is gone."""

    def __init__(self, broadcast: BroadcastPlane, monotonic: Callable[[], float]) -> None:
        self._broadcast = broadcast
        self._monotonic = monotonic
        self._kept: dict[RoomId, Ending] = {}

    def get(self, room: RoomId) -> Ending | None:
        """Return what is left of a room's broadcast."""
        self.sweep()
        return self._kept.get(room)

    async def keep(self, room: RoomId, stream: Stream) -> None:
        """Keep what players need to come to the end; nothing if it cannot be had at once."""
        spec = self._broadcast.spec(room)
        if spec is None:
            return
        default = spec.renditions[0].name
        ending = Ending(stream, self._monotonic() + KEPT_S, default)
        try:
            async with asyncio.timeout(GATHER_S):
                await self._broadcast.end(room)
                await self._gather(room, spec, ending)
        except (ServerError, HlsError, TimeoutError) as error:
            # What there is by then is the end: what is older may be missing, as in a long window.
            log.info("broadcast_ends_in_haste", room=room, reason=str(error) or "it took too long")
        if (default, PlaylistKind.CLASSIC) not in ending.texts:
            return
        self._kept.pop(room, None)
        self._kept[room] = ending
        self.sweep()

    def sweep(self) -> None:
        """Forget those whose time is over, and the oldest if there are too many."""
        now = self._monotonic()
        for room, ending in list(self._kept.items()):
            if ending.until <= now or len(self._kept) > MAX_KEPT:
                del self._kept[room]

    def close(self, room: Room, stream: Stream, revoked: Iterable[UserId]) -> None:
        """Let what is left of a room that is gone be for nobody whom the room refused."""
        ending = self._kept.get(room.id)
        if ending is not None and ending.stream.secret == stream.secret:
            ending.made, ending.revoked = room.made, frozenset(revoked)

    async def _gather(self, room: RoomId, spec: BroadcastSpec, ending: Ending) -> None:
        for rendition in spec.names:
            for kind in _KINDS:
                text = await self._broadcast.playlist(room, PlaylistAsk(rendition, kind))
                if text is not None:
                    ending.texts[rendition, kind] = PlaylistText(ended(text.text))
        for kind in (PlaylistKind.MULTIVARIANT, PlaylistKind.CLASSIC_MULTIVARIANT):
            whole = await self._broadcast.playlist(room, PlaylistAsk(kind=kind))
            if whole is not None:  # it lists no segments, so it has no end
                ending.texts[ending.default, kind] = whole
        left = MAX_BYTES
        for name in _wanted(ending):
            media = await self._broadcast.fetch(room, *name)
            if media is None:
                continue
            left -= len(media.data)
            if left < 0:
                return
            ending.media[name] = media


def _wanted(ending: Ending) -> list[tuple[str, str]]:
    """Return what the playlists name, what is nearest to their end first."""
    lists = [
        [(rendition, name) for name in reversed(names(text.text))]
        for (rendition, kind), text in ending.texts.items()
        if not kind.is_multivariant
    ]
    found = [name for listed in lists for name in listed if name[1].startswith("init-")]
    longest = max(map(len, lists), default=0)
    found += [listed[n] for n in range(longest) for listed in lists if n < len(listed)]
    return list(dict.fromkeys(found))
