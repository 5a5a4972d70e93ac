"""A broadcast plane that makes real segments, on the clock of a test."""

from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, PlaylistKind
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

    async def playlist(self, room: str) -> str | None:
        return self.broadcaster.playlist(room, "", PlaylistKind.LOW_LATENCY, self._clock.tick())

    async def fetch(self, room: str, name: str) -> bytes | None:
        return self.broadcaster.fetch(room, "", name, self._clock.tick())
