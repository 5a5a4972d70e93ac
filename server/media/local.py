"""A `MediaPlane` in this process: the mixer without a border."""

from collections.abc import AsyncIterator, Mapping
from typing import Self

import numpy as np

from mixer.plane import Plane
from mixer.types import (
    FRAME_SAMPLES,
    PeerId,
    PeerStatistics,
    PlaneEvent,
    PlaneSettings,
    PlaneStatistics,
    PlayerSpec,
    RoomId,
    RoomSpec,
    Spawn,
    Tap,
)
from server.errors import PlaneUnavailable
from server.media.events import EventQueue
from server.ports import PlaneLost


class LocalPlane:
    """The mixer on the running loop; `async with` starts and stops it.

    For tests and tools: beside other Python threads or a busy loop its audio suffers.
    """

    def __init__(self, settings: PlaneSettings, *, spawn: Spawn, tap: Tap | None = None) -> None:
        self._events = EventQueue()
        self._plane = Plane(settings, emit=self._events.put, tap=tap, spawn=spawn)
        self._is_open = False

    async def __aenter__(self) -> Self:
        await self._plane.start()
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        await self._plane.close()
        self._events.close()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the mixer can do beyond mixing."""
        return self._plane.capabilities

    @property
    def udp_port(self) -> int:
        """The bound UDP port."""
        return self._plane.udp_port

    @property
    def tcp_port(self) -> int:
        """The bound TCP port, 0 if there is none."""
        return self._plane.tcp_port

    async def apply(self, spec: RoomSpec) -> None:
        """See MediaPlane."""
        self._open_plane().apply(spec)

    async def accept_offer(
        self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False
    ) -> str:
        """See MediaPlane."""
        return await self._open_plane().accept_offer(room, peer, sdp, listener=listener)

    async def drop_peer(self, room: RoomId, peer: PeerId) -> None:
        """See MediaPlane."""
        self._open_plane().drop_peer(room, peer)

    async def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        """See MediaPlane."""
        self._open_plane().add_candidate(room, peer, candidate)

    async def statistics(self) -> Mapping[str, PlaneStatistics]:
        """See MediaPlane."""
        return {"mixer": self._open_plane().statistics()}

    async def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """See MediaPlane."""
        return self._open_plane().peers(room)

    async def play(self, room: RoomId, spec: PlayerSpec) -> None:
        """See PlayerPlane."""
        self._open_plane().play(room, spec)

    def feed(self, room: RoomId, name: str, pcm: bytes) -> bool:
        """See PlayerPlane."""
        frames = np.frombuffer(pcm, "<i2").reshape(-1, FRAME_SAMPLES)
        if self._is_open:
            self._plane.feed(room, name, frames.astype(np.int16, copy=False))
        return self._is_open

    async def stop(self, room: RoomId, name: str) -> None:
        """See PlayerPlane."""
        self._open_plane().stop(room, name)

    async def set_volume(self, room: RoomId, name: str, gain_db: float) -> None:
        """See PlayerPlane."""
        self._open_plane().set_volume(room, name, gain_db)

    def events(self) -> AsyncIterator[PlaneEvent | PlaneLost]:
        """See MediaPlane; for one reader."""
        return self._events.read()

    def _open_plane(self) -> Plane:
        if not self._is_open:
            raise PlaneUnavailable
        return self._plane
