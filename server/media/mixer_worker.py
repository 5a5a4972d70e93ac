"""The mixer process: WebRTC and mixing in one thread."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from mixer.plane import Plane
from mixer.seats import Recordings
from mixer.types import PlaneEvent, PlaneStatistics
from server.media import wire, worker, worker_log
from server.media.audio_tap import AudioTap
from server.media.recordings import RecordingPipe
from server.media.threads import (
    ExtraThread,
    check_environment,
    check_single_thread,
    count_os_threads,
    count_python_threads,
)
from server.memory import resident_bytes
from server.rpc.codec import Notification, Params, encode
from server.rpc.dispatch import Dispatcher
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

THREAD_CHECK_S = 5.0


class MixerService:
    """The plane's methods for the control process, and its events on their way there."""

    def __init__(self, transport: UnixTransport, tap: AudioTap | None) -> None:
        self.dispatcher = Dispatcher(wire.refusal)
        self._transport = transport
        self._tap = tap
        self._counters: Counter[str] = Counter()

    def serve(self, plane: Plane) -> None:
        """Answer for `plane`."""
        self._plane = plane
        add = self.dispatcher.add
        add("apply", wire.ApplyRoom, self._apply)
        add("acceptOffer", wire.Offer, self._accept_offer)
        add("addCandidate", wire.Candidate, self._add_candidate)
        add("dropPeer", wire.DropPeer, self._drop_peer)
        add("statistics", None, self._statistics)
        add("peers", wire.AskPeers, self._peers)
        add("endRecordings", None, self._end_recordings)
        add("play", wire.Play, self._play)
        add("stop", wire.Stop, self._stop)
        add("setVolume", wire.Volume, self._set_volume)
        self._transport.take_frames(self._take_frame)

    def emit(self, event: PlaneEvent) -> None:
        """Tell the control process; while it reads too slowly events are lost, counted."""
        text = encode(Notification("event", wire.event_params(event)))
        if not self._transport.offer_frame(FrameKind.JSON, text.encode()):
            self._counters["events_lost"] += 1

    async def watch_threads(self) -> None:
        """Report a thread that should not be there, until cancelled."""
        while True:
            await asyncio.sleep(THREAD_CHECK_S)
            self._check_threads()

    async def _apply(self, params: wire.ApplyRoom) -> object:
        self._plane.apply(params.spec)
        return None

    async def _accept_offer(self, params: wire.Offer) -> object:
        return await self._plane.accept_offer(
            params.room, params.peer, params.sdp, listener=params.listener
        )

    async def _add_candidate(self, params: wire.Candidate) -> object:
        self._plane.add_candidate(params.room, params.peer, params.candidate)
        return None

    async def _drop_peer(self, params: wire.DropPeer) -> object:
        self._plane.drop_peer(params.room, params.peer)
        return None

    async def _statistics(self, _params: Params) -> object:
        self._check_threads()
        own = self._plane.statistics()
        counters = Counter(self._counters)
        if self._tap is not None:
            counters["audio_ticks_dropped"] = self._tap.dropped
            counters["audio_connections"] = self._tap.connections
        gauges = {
            "mixer_python_threads": float(count_python_threads()),
            "mixer_os_threads": float(count_os_threads()),
            "resident_bytes": float(resident_bytes() or 0),
            "mixer_tasks": float(len(asyncio.all_tasks())),
        }
        return wire.statistics_result(own.joined(PlaneStatistics(counters, gauges)))

    async def _peers(self, params: wire.AskPeers) -> object:
        return wire.peers_result(self._plane.peers(params.room))

    async def _end_recordings(self, _params: Params) -> object:
        self._plane.end_recordings()  # the answer goes out behind them
        return None

    async def _play(self, params: wire.Play) -> object:
        self._plane.play(params.room, params.spec)
        return None

    async def _stop(self, params: wire.Stop) -> object:
        self._plane.stop(params.room, params.name)
        return None

    async def _set_volume(self, params: wire.Volume) -> object:
        self._plane.set_volume(params.room, params.name, params.gain_db)
        return None

    def _take_frame(self, kind: FrameKind, body: bytes) -> None:
        sound = wire.read_sound(kind, body)
        self._plane.feed(sound.room, sound.name, sound.pcm)

    def _check_threads(self) -> None:
        try:
            check_single_thread()
        except ExtraThread:
            self._counters["mixer_thread_violations"] += 1
            log.exception("extra_thread")


def main(arguments: Sequence[str]) -> None:
    """Run the mixer process: `roomtone worker mixer <settings>`."""
    worker_log.configure()
    settings = worker.read_settings(wire.MixerSettings, arguments)

    @asynccontextmanager
    async def open_service(
        supervisor: Supervisor, transport: UnixTransport
    ) -> AsyncIterator[worker.Service]:
        check_environment()
        tap = AudioTap(Path(settings.audio_socket)) if settings.audio_socket else None
        service = MixerService(transport, tap)
        recordings = Recordings(RecordingPipe(transport), settings.record_bytes)
        plane = Plane(
            settings.plane,
            emit=service.emit,
            tap=tap,
            spawn=supervisor.spawn,
            recordings=recordings,
        )
        await plane.start()
        check_single_thread()
        service.serve(plane)
        _ = supervisor.spawn(service.watch_threads(), name="watch threads")
        if tap is not None:
            _ = supervisor.spawn(tap.run(), name="audio to the broadcast")
        try:
            yield worker.Service(
                service.dispatcher,
                wire.Ready(
                    capabilities=plane.capabilities,
                    udp_port=plane.udp_port,
                    tcp_port=plane.tcp_port,
                ),
            )
        finally:
            await plane.close()

    worker.run(settings.control_fd, open_service)
