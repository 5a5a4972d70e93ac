"""Media planes that mix nothing: they note what they were told and say what a test wants."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from hls.types import BroadcastSpec
from mixer.errors import PeerGone
from mixer.types import Histogram, PeerId, PlaneEvent, PlaneStatistics, RoomId, RoomSpec
from server.errors import PlaneUnavailable
from server.ports import PlaneLost

ANSWER = "v=0\r\nanswer\r\n"


class FakeMixer:
    """A MediaPlane. `is_away` makes it unavailable, `refusal` is raised by the next offers."""

    def __init__(self) -> None:
        self.specs: dict[RoomId, RoomSpec] = {}
        self.offers: list[tuple[RoomId, PeerId, str]] = []
        self.candidates: list[str] = []
        self.is_away = False
        self.late_share = 0.0
        self.refusal: Exception | None = None
        self._events: deque[PlaneEvent | PlaneLost] = deque()
        self._came = asyncio.Event()

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset()

    async def apply(self, spec: RoomSpec) -> None:
        self._check()
        before = self.specs.get(spec.room)
        if before is None or spec.version > before.version:
            self.specs[spec.room] = spec

    async def accept_offer(self, room: RoomId, peer: PeerId, sdp: str) -> str:
        self._check()
        if self.refusal is not None:
            raise self.refusal
        spec = self.specs.get(room)
        if spec is None or peer not in {anchor.peer for anchor in spec.anchors}:
            raise PeerGone(f"{peer} is not in {room}")
        self.offers.append((room, peer, sdp))
        return ANSWER

    async def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        self._check()
        self.candidates.append(candidate)

    async def statistics(self) -> PlaneStatistics:
        self._check()
        return PlaneStatistics(
            {"packets_total": 7},
            {"rooms": float(len(self.specs)), "ticks_late_share": self.late_share},
            {"tick_lateness_seconds": Histogram((0.001, 0.01), (5, 2, 1), 0.25)},
        )

    async def events(self) -> AsyncIterator[PlaneEvent | PlaneLost]:
        while True:
            while self._events:
                yield self._events.popleft()
            self._came.clear()
            await self._came.wait()

    def emit(self, event: PlaneEvent | PlaneLost) -> None:
        self._events.append(event)
        self._came.set()

    def _check(self) -> None:
        if self.is_away:
            raise PlaneUnavailable


class FakeBroadcast:
    """A BroadcastPlane: all rooms have the same playlist, once `playlist_text` is set."""

    def __init__(self) -> None:
        self.specs: dict[str, BroadcastSpec] = {}
        self.playlist_text: str | None = None
        self.media: dict[str, bytes] = {}

    async def apply(self, spec: BroadcastSpec) -> None:
        self.specs[spec.room] = spec

    async def playlist(self, room: RoomId) -> str | None:
        return self.playlist_text if room in self.specs else None

    async def fetch(self, room: RoomId, name: str) -> bytes | None:
        return self.media.get(name)

    async def statistics(self) -> PlaneStatistics:
        return PlaneStatistics({"segments_total": 3})
