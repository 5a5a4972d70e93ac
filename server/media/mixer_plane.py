"""A `MediaPlane` in a process of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mixer.types import (
    PeerId,
    PeerStatistics,
    PlaneEvent,
    PlaneSettings,
    PlaneStatistics,
    PlayerSpec,
    RoomId,
    RoomSpec,
)
from server.errors import PlaneUnavailable
from server.media import wire
from server.media.child import ChildSpec, Patience, program
from server.media.events import EventQueue
from server.media.link import Link, SpecForm
from server.media.recordings import RecordingFolder
from server.ports import PlaneLost
from server.rpc.dispatch import Dispatcher
from server.rpc.framing import FrameKind
from server.supervise import Supervisor

LAST_RECORDS_S = 0.5  # for what its recorders hold: 16 kB each, and they are asked in vain rarely
STATISTICS_S = 0.5  # a mixer that hangs must not keep the others' numbers from being seen


@dataclass(frozen=True, slots=True)
class Recording:
    """Where rooms' arrivals are recorded: of every room up to a size, or (0) when asked for."""

    folder: Path
    limit_bytes: int


_FORM: SpecForm[RoomSpec] = SpecForm(params=wire.room_params, is_over=lambda spec: spec.closed)


class WorkerPlane:
    """A mixer process: started again when it dies or hangs, and told all rooms again.

    `apply` succeeds while it is away (the spec is kept); offers fail fast with PlaneUnavailable.
    """

    def __init__(  # noqa: PLR0913 - what a process is started with
        self,
        settings: PlaneSettings,
        *,
        name: str = "mixer",
        audio_socket: Path | None = None,
        recording: Recording | None = None,
        command: Sequence[str] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Prepare a mixer that sends what is on air to `audio_socket`; `start` starts it.

        What arrives in its rooms can be recorded if `recording` says where. `name` is what logs and
        statistics call its process.
        """
        child = ChildSpec(
            name=name,
            verb="mixer",
            settings={
                "plane": asdict(settings),
                "audio_socket": str(audio_socket) if audio_socket else None,
                "record_bytes": recording.limit_bytes if recording else 0,
            },
            command=command or program(),
            patience=patience or Patience(),
        )
        self.name = name
        self._events = EventQueue()
        self._folder = RecordingFolder(recording.folder) if recording else None
        self._link = Link(
            child,
            _FORM,
            add_methods=self._add_methods,
            take_frame=self._take_frame,
            lost=self._events.put_lost,
        )

    async def start(self, supervisor: Supervisor) -> None:
        """Start the process and wait until it serves. Raises SetupMistake if it cannot."""
        if self._folder is not None:
            _ = supervisor.spawn(self._folder.run(), name="recordings")
        await self._link.start(supervisor)

    async def close(self) -> None:
        """End the process, and the reader of `events()`. What it had recorded is written before."""
        with contextlib.suppress(PlaneUnavailable, TimeoutError):
            async with asyncio.timeout(LAST_RECORDS_S):
                await self._link.ask(wire.NOTHING, "endRecordings")
        await self._link.close()
        self._events.close()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the mixer can do beyond mixing; empty before `start`."""
        return self._link.greeting.capabilities

    @property
    def udp_port(self) -> int:
        """The bound UDP port."""
        return self._link.greeting.udp_port

    @property
    def tcp_port(self) -> int:
        """The bound TCP port, 0 if there is none."""
        return self._link.greeting.tcp_port

    @property
    def is_up(self) -> bool:
        """The mixer serves."""
        return self._link.is_up

    async def wait_up(self) -> None:
        """Wait until it serves."""
        await self._link.wait_up()

    @property
    def pid(self) -> int | None:
        """The mixer's process, None between two."""
        return self._link.pid

    async def apply(self, spec: RoomSpec) -> None:
        """See MediaPlane."""
        await self._link.apply(spec)

    async def accept_offer(
        self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False
    ) -> str:
        """See MediaPlane."""
        params = {"room": room, "peer": peer, "sdp": sdp, "listener": listener}
        return await self._link.ask(wire.TEXT, "acceptOffer", params)

    async def drop_peer(self, room: RoomId, peer: PeerId) -> None:
        """See MediaPlane."""
        await self._link.ask(wire.NOTHING, "dropPeer", {"room": room, "peer": peer})

    async def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        """See MediaPlane."""
        await self._link.ask(
            wire.NOTHING, "addCandidate", {"room": room, "peer": peer, "candidate": candidate}
        )

    async def statistics(self) -> Mapping[str, PlaneStatistics]:
        """Return the mixer's statistics and our own; while it is away only our own."""
        own = PlaneStatistics(
            {"mixer_restarts": self._link.restarts, "mixer_events_dropped": self._events.dropped},
            {"mixer_up": float(self.is_up)},
        )
        if self._folder is not None:
            own = own.joined(PlaneStatistics(dict(self._folder.counters)))
        try:
            async with asyncio.timeout(STATISTICS_S):
                mixer = await self._link.ask(wire.STATISTICS, "statistics")
        except (PlaneUnavailable, TimeoutError):
            return {self.name: own}
        return {self.name: mixer.joined(own)}

    async def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """See MediaPlane."""
        return await self._link.ask(wire.PEERS, "peers", {"room": room})

    async def play(self, room: RoomId, spec: PlayerSpec) -> None:
        """See PlayerPlane."""
        await self._link.ask(wire.NOTHING, "play", wire.play_params(room, spec))

    def feed(self, room: RoomId, name: str, pcm: bytes) -> bool:
        """See PlayerPlane."""
        return self._link.offer_frame(FrameKind.SOUND, wire.sound_body(room, name, pcm))

    async def stop(self, room: RoomId, name: str) -> None:
        """See PlayerPlane."""
        await self._link.ask(wire.NOTHING, "stop", {"room": room, "name": name})

    async def set_volume(self, room: RoomId, name: str, gain_db: float) -> None:
        """See PlayerPlane."""
        await self._link.ask(
            wire.NOTHING, "setVolume", {"room": room, "name": name, "gain_db": gain_db}
        )

    def events(self) -> AsyncIterator[PlaneEvent | PlaneLost]:
        """See MediaPlane; for one reader."""
        return self._events.read()

    def _add_methods(self, dispatcher: Dispatcher) -> None:
        dispatcher.add("event", wire.Event, self._take_event)

    def _take_frame(self, kind: FrameKind, body: bytes) -> None:
        if self._folder is not None:
            self._folder.take(*wire.read_recording(kind, body))

    async def _take_event(self, params: wire.Event) -> object:
        self._events.put(params.event)
        return None
