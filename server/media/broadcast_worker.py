"""The broadcast process: the mixers' audio in, playlists and segments out."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from hls.background import Background
from hls.disk import DiskWindow
from hls.pipeline import Broadcaster
from hls.types import CaptionFate, Position
from hls.upload.spool import SpoolWriter
from mixer.types import TICK_S, PlaneStatistics, tick_at
from server.media import wire, worker, worker_log
from server.media.loop_keeper import LoopKeeper
from server.media.progress import Progress
from server.media.room_recorder import RoomRecorder
from server.media.upload_spooler import Spooler
from server.memory import resident_bytes
from server.rpc.codec import Notification, Params, encode
from server.rpc.dispatch import Dispatcher
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport, listen
from server.supervise import Supervisor

MAX_READERS = 64  # at once of what is on disk


class BroadcastService:
    """The broadcaster's methods for the control process, and its ear for the mixers."""

    def __init__(self, broadcaster: Broadcaster, transport: UnixTransport) -> None:
        self.dispatcher = Dispatcher(wire.refusal)
        self._broadcaster = broadcaster
        self._transport = transport
        self._counters: Counter[str] = Counter()
        self._mixers: set[UnixTransport] = set()
        self._readers = asyncio.Semaphore(MAX_READERS)
        self._progress = Progress(broadcaster, self._tell, _now_tick)
        self.recorder = RoomRecorder(transport, _now_tick)
        self.spooler: Spooler | None = None  # of what is to be uploaded
        self.loops: LoopKeeper | None = None  # of hold music
        self.dispatcher.add("apply", wire.ApplyBroadcast, self._apply)
        self.dispatcher.add("end", wire.EndBroadcast, self._end)
        self.dispatcher.add("markEnd", wire.EndBroadcast, self._mark_end)
        self.dispatcher.add("follow", wire.Follow, self._follow)
        self.dispatcher.add("playlist", wire.AskPlaylist, self._playlist)
        self.dispatcher.add("fetch", wire.AskSegment, self._fetch)
        self.dispatcher.add("sound", wire.AskSound, self._sound)
        self.dispatcher.add("loudness", wire.AskLoudness, self._loudness)
        self.dispatcher.add("talk", wire.Talk, self._talk)
        self.dispatcher.add("caption", wire.Captioned, self._caption)
        self.dispatcher.add("statistics", None, self._statistics)

    def accept_mixer(self) -> UnixTransport:
        """Return the transport of one more mixer."""
        return UnixTransport(self._hear, on_open=self._mixers.add, on_close=self._mixers.discard)

    def close(self) -> None:
        """Hang up on all mixers, tell of no more parts."""
        self._progress.close()
        for mixer in list(self._mixers):
            mixer.abort()

    def _hear(self, kind: FrameKind, body: bytes) -> None:
        if kind is FrameKind.TAPPED:
            self.recorder.hear(kind, body)
            return
        try:
            audio = wire.read_audio(kind, body)
        except wire.WireError:
            self._counters["audio_malformed"] += 1
        else:
            self._broadcaster.write(audio.room, audio.bus, audio.tick, audio.pcm, _now_tick())

    async def _apply(self, params: wire.ApplyBroadcast) -> object:
        spec = params.spec()
        if not spec.on_air:
            await self._end(wire.EndBroadcast(room=spec.room))
            if self.spooler is not None:
                await self.spooler.finish(spec.room)
        elif self.spooler is not None:
            self.spooler.hear(spec)
        self._broadcaster.apply(spec, _now_tick())
        if self.loops is not None and spec.hold:
            self.loops.look()
        self.recorder.apply(spec)
        return None

    async def _end(self, params: wire.EndBroadcast) -> object:
        """End a stream with all that was said until now; what is on its way is waited for."""
        tick = self._broadcaster.end_tick(params.room, _now_tick())
        if tick is None:
            return None
        await _until(tick)
        self._broadcaster.end(params.room, _now_tick())
        position = self._broadcaster.position(params.room, _now_tick())
        return None if position is None else asdict(position)

    async def _mark_end(self, params: wire.EndBroadcast) -> object:
        """Wait until the playlists of a stream that was ended have their end mark."""
        tick = self._broadcaster.marked_tick(params.room)
        if tick is not None:
            await _until(tick)
        return None

    async def _follow(self, params: wire.Follow) -> object:
        position = self._progress.follow(params.room)
        return None if position is None else asdict(position)

    async def _playlist(self, params: wire.AskPlaylist) -> object:
        position = self._progress.follow(params.room)
        if position is None:
            return None
        text = self._broadcaster.playlist(
            params.room, params.rendition, params.kind, _now_tick(), skip=params.skip
        )
        return None if text is None else {"text": text, "position": asdict(position)}

    async def _fetch(self, params: wire.AskSegment) -> object:
        unread = self._broadcaster.unread(params.room, params.rendition, params.name)
        if unread is not None:
            if self._readers.locked():  # the disk hangs: what is in memory goes on
                return False
            async with self._readers:
                await asyncio.to_thread(unread)
        data = self._broadcaster.fetch(params.room, params.rendition, params.name, _now_tick())
        if data is None:
            return False
        await self._transport.send_frame(FrameKind.BLOB, wire.blob_body(params.blob, data))
        return True

    async def _sound(self, params: wire.AskSound) -> object:
        part = self._broadcaster.sound(params.room, params.position, _now_tick())
        if part is None:
            return False
        await self._transport.send_frame(FrameKind.BLOB, wire.blob_body(params.blob, part.encode()))
        return True

    async def _talk(self, params: wire.Talk) -> object:
        self._broadcaster.talk(params.room, params.names, _now_tick())
        return None

    async def _caption(self, params: wire.Captioned) -> object:
        fate = self._broadcaster.caption(params.room, params.caption, _now_tick())
        if fate is CaptionFate.FULL:  # refused; it may be sent once more
            return fate.value
        is_recorded = self.recorder.caption(params.room, params.caption)
        if fate is CaptionFate.UNKNOWN and is_recorded:
            fate = CaptionFate.SHOWN  # to those who listen later
        return fate.value

    async def _loudness(self, params: wire.AskLoudness) -> object:
        readings = self._broadcaster.loudness(params.room, _now_tick())
        return {bus: asdict(reading) for bus, reading in readings.items()}

    def _tell(self, room: str, position: Position) -> None:
        """Tell the control process; while it reads too slowly the next part tells as well."""
        text = encode(Notification("progress", {"room": room, "position": asdict(position)}))
        if not self._transport.offer_frame(FrameKind.JSON, text.encode()):
            self._counters["progress_lost"] += 1

    async def _statistics(self, _params: Params) -> object:
        counters, gauges = Counter(self._counters), {"broadcast_mixers": float(len(self._mixers))}
        gauges["broadcast_followed_rooms"] = float(len(self._progress))
        gauges["resident_bytes"] = float(resident_bytes() or 0)
        figures = {**self._broadcaster.statistics(), **self.recorder.statistics()}
        if self.spooler is not None:
            counters.update(self.spooler.spool.counters)
        if self.loops is not None:
            counters.update(self.loops.counters)
        for name, value in figures.items():
            if name.endswith("_total"):
                counters[name.removesuffix("_total")] = value
            else:
                gauges[name] = float(value)
        return wire.statistics_result(PlaneStatistics(counters, gauges))


def main(arguments: Sequence[str]) -> None:
    """Run the broadcast process: `roomtone worker broadcast <settings>`."""
    worker_log.configure()
    settings = worker.read_settings(wire.BroadcastSettings, arguments)

    @asynccontextmanager
    async def open_service(
        supervisor: Supervisor, transport: UnixTransport
    ) -> AsyncIterator[worker.Service]:
        folder = settings.window_folder
        disk = None if folder is None else DiskWindow(Path(folder), run=Background("window"))
        broadcaster = Broadcaster(disk=disk)
        service = BroadcastService(broadcaster, transport)
        if settings.spool is not None:
            spool = settings.spool
            writer = await asyncio.to_thread(SpoolWriter, Path(spool.folder), spool.max_bytes)
            service.spooler = Spooler(
                broadcaster, writer, _now_tick, are_keys_sent=spool.are_keys_sent
            )
            _ = supervisor.keep_running(service.spooler.run, name="upload spool")
        service.loops = LoopKeeper(broadcaster, Path(settings.audio_socket).parent, _now_tick)
        _ = supervisor.keep_running(service.loops.run, name="hold music")
        _ = supervisor.spawn(service.recorder.run(), name="recordings")
        async with await listen(Path(settings.audio_socket), service.accept_mixer):
            try:
                yield worker.Service(service.dispatcher, wire.Ready())
            finally:
                service.close()
                await service.recorder.close()

    worker.run(settings.control_fd, open_service)


async def _until(tick: int) -> None:
    await asyncio.sleep(max(0.0, tick * TICK_S - time.monotonic()))


def _now_tick() -> int:
    return tick_at(time.monotonic())
