"""A `BroadcastPlane` in a process of its own."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from hls.types import BroadcastSpec, RecordingReport
from mixer.types import PlaneStatistics, RoomId
from server.errors import PlaneUnavailable
from server.media import wire
from server.media.child import ChildSpec, Patience, program
from server.media.link import Link, SpecForm
from server.media.segment_cache import SegmentCache
from server.media.single_flight import SingleFlight
from server.media.threads import ENVIRONMENT
from server.rpc.dispatch import Dispatcher
from server.rpc.framing import FrameKind
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

PLAYLIST_FRESH_S = 0.1  # a twentieth of a segment: nobody sees it, and a crowd costs ten a second
PLAYLIST_STALE_S = 6.0  # served while the process is away: three segments, as far as players wait

_FORM: SpecForm[BroadcastSpec] = SpecForm(
    params=wire.broadcast_params, is_over=lambda spec: not spec.on_air and spec.recording is None
)


def _nobody_hears(_report: RecordingReport) -> None:
    """Nobody wants to know how recordings are."""


@dataclass(frozen=True, slots=True)
class _Playlist:
    at: float
    text: str | None


class WorkerBroadcastPlane:
    """A broadcast process: started again when it dies or hangs, and told all broadcasts again.

    Meanwhile the last playlist is served for six seconds, and segments that were fetched before.
    """

    def __init__(
        self,
        audio_socket: Path,
        *,
        command: Sequence[str] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Prepare a process that hears the mixers at `audio_socket`; `start` starts it."""
        child = ChildSpec(
            name="broadcast",
            verb="broadcast",
            settings={"audio_socket": str(audio_socket)},
            environment=ENVIRONMENT,
            command=command or program(),
            patience=patience or Patience(),
        )
        self.reported: Callable[[RecordingReport], None] = _nobody_hears
        self._link = Link(child, _FORM, add_methods=self._add_methods, take_frame=self._take_blob)
        self._segments = SegmentCache()
        self._playlists: dict[str, _Playlist] = {}
        self._blobs: dict[int, bytes | None] = {}  # asked for; bounded by the calls under way
        self._blob_numbers = itertools.count(1)
        self._asking: SingleFlight[str, str | None] | None = None
        self._fetching: SingleFlight[tuple[str, str], bytes | None] | None = None

    async def start(self, supervisor: Supervisor) -> None:
        """Start the process and wait until it serves. Raises SetupMistake if it cannot."""
        self._asking = SingleFlight(supervisor.spawn, name="playlist")
        self._fetching = SingleFlight(supervisor.spawn, name="segment")
        await self._link.start(supervisor)

    async def close(self) -> None:
        """End the process."""
        await self._link.close()

    @property
    def is_up(self) -> bool:
        """The process serves."""
        return self._link.is_up

    async def wait_up(self) -> None:
        """Wait until it serves."""
        await self._link.wait_up()

    @property
    def pid(self) -> int | None:
        """The process, None between two."""
        return self._link.pid

    async def apply(self, spec: BroadcastSpec) -> None:
        """See BroadcastPlane. Raises BadSpec."""
        known = self._link.spec(spec.room)
        if known is not None and spec.version <= known.version:
            return
        if not spec.on_air or known is None or known.base_tick != spec.base_tick:
            self._segments.forget(spec.room)  # a new stream begins; its names begin anew
        self._playlists.pop(spec.room, None)
        await self._link.apply(spec)

    async def playlist(self, room: RoomId) -> str | None:
        """See BroadcastPlane; at most 100 ms old. Raises PlaneUnavailable."""
        if not self._is_on_air(room):
            return None
        assert self._asking is not None, "start() comes first"
        now = asyncio.get_running_loop().time()
        held = self._playlists.get(room)
        if held is not None and now - held.at < PLAYLIST_FRESH_S:
            return held.text
        try:
            return await self._asking.do(room, lambda: self._ask_playlist(room))
        except PlaneUnavailable:
            if held is not None and now - held.at < PLAYLIST_STALE_S:
                return held.text
            raise

    async def fetch(self, room: RoomId, name: str) -> bytes | None:
        """See BroadcastPlane. Raises PlaneUnavailable."""
        if not self._is_on_air(room):
            return None
        assert self._fetching is not None, "start() comes first"
        held = self._segments.get(room, name)
        if held is not None:
            return held
        return await self._fetching.do((room, name), lambda: self._ask_segment(room, name))

    async def statistics(self) -> PlaneStatistics:
        """Return the process's statistics and our own; while it is away only our own."""
        counters = {
            "broadcast_restarts": self._link.restarts,
            "segment_cache_hits": self._segments.hits,
            "segment_cache_misses": self._segments.misses,
        }
        gauges = {
            "broadcast_up": float(self.is_up),
            "segment_cache_bytes": float(self._segments.held_bytes),
        }
        try:
            theirs = await self._link.ask(wire.STATISTICS, "statistics")
        except PlaneUnavailable:
            return PlaneStatistics(counters, gauges)
        return theirs.joined(PlaneStatistics(counters, gauges))

    async def _ask_playlist(self, room: str) -> str | None:
        spec = self._link.spec(room)
        text = await self._link.ask(wire.TEXT_OR_NONE, "playlist", {"room": room})
        if self._link.spec(room) is spec:  # else it may still be of the spec before
            self._playlists[room] = _Playlist(asyncio.get_running_loop().time(), text)
        return text

    async def _ask_segment(self, room: str, name: str) -> bytes | None:
        spec, number = self._link.spec(room), next(self._blob_numbers)
        self._blobs[number] = None
        try:
            found = await self._link.ask(
                wire.FLAG, "fetch", {"room": room, "name": name, "blob": number}
            )
        finally:
            data = self._blobs.pop(number)
        if not found:
            return None
        if data is None:
            log.error("blob_missing", room=room, name=name)
            raise PlaneUnavailable
        if self._link.spec(room) is spec:
            self._segments.put(room, name, data)
        return data

    def _add_methods(self, dispatcher: Dispatcher) -> None:
        dispatcher.add("recording", wire.Recording, self._take_report)

    async def _take_report(self, params: wire.Recording) -> object:
        self.reported(params.report)
        return None

    def _is_on_air(self, room: str) -> bool:
        spec = self._link.spec(room)
        return spec is not None and spec.on_air

    def _take_blob(self, kind: FrameKind, body: bytes) -> None:
        number, data = wire.read_blob(kind, body)
        if number in self._blobs:  # else its caller has given up
            self._blobs[number] = data
