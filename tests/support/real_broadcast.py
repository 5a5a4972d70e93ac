"""A broadcast plane that makes real segments, on the clock of a test."""

from hls.core.soundpart import SoundPart
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, Caption, CaptionFate
from mixer.types import RoomId
from server.domain.media import Media
from server.domain.playlist_text import PlaylistText
from server.domain.reload import Parts, PlaylistAsk
from server.services.clock import Clock
from tests.support.planes import FakeBroadcast


class RealBroadcast(FakeBroadcast):
    """A Broadcaster without a process of its own."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.broadcaster = Broadcaster()

    async def apply(self, spec: BroadcastSpec) -> None:
        await super().apply(spec)
        self.broadcaster.apply(spec, self._clock.tick())

    async def playlist(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | None:
        text = self.broadcaster.playlist(
            room, ask.rendition, ask.kind, self._clock.tick(), skip=ask.skip
        )
        return None if text is None else PlaylistText(text)

    async def fetch(self, room: RoomId, rendition: str, name: str) -> Media | None:
        data = self.broadcaster.fetch(room, rendition, name, self._clock.tick())
        return None if data is None else Media(data)

    async def caption(self, room: RoomId, caption: Caption) -> CaptionFate:
        return self.broadcaster.caption(room, caption, self._clock.tick())

    async def sound(self, room: RoomId, part: int) -> SoundPart | None:
        spec = self.spec(room)
        if spec is None:
            return None
        position = Parts(spec).position(part)
        return self.broadcaster.sound(room, position, self._clock.tick())
