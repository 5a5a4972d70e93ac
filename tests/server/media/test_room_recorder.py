"""A recording from the tap in a mixer to the files of the broadcast process."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from hls.recording import shelf
from hls.recording.core.manifest import Manifest, TakeEnd
from hls.recording.recorder import Recorder
from hls.types import (
    BroadcastSpec,
    Caption,
    CaptionFate,
    CaptionsSpec,
    KeySpec,
    RecordingSpec,
    RecordingState,
)
from mixer.types import PeerId, RoomId, RtpCodec, Tapped, TappedFrame, TappedPacket, tick_at
from server.media import room_recorder as module
from server.media.audio_tap import AudioTap
from server.media.broadcast_plane import WorkerBroadcastPlane
from server.media.room_recorder import RoomRecorder
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport
from server.supervise import Supervisor

ROOM, ANN = RoomId("room"), PeerId("ann")
KEY = KeySpec(0, b"k" * 16, b"i" * 16, "enc.key")
PACKET = bytes.fromhex("f8fffe")


def a_tick(tick: int) -> Tapped:
    packet = TappedPacket(
        ANN, 1, tick & 0xFFFF, tick * 960 & 0xFFFFFFFF, tick / 50, PACKET, False, RtpCodec.OPUS
    )
    return Tapped(PACKET, None, [packet], [TappedFrame(ANN, np.full(960, 7, np.int16))])


async def until(folder: Path, is_there: Callable[[Manifest], bool]) -> Manifest:
    """Wait for a manifest of which that is true."""
    while True:
        manifest = await asyncio.to_thread(shelf.load, folder)
        if manifest is not None and is_there(manifest):
            return manifest


@pytest.mark.slow
async def test_a_recording_goes_on_after_the_process_died(tmp_path: Path) -> None:
    """Also of a room that is not on air: the take is mended, and the next begins.

    What is said there to be read is in it.
    """
    folder = tmp_path / "monday"
    plane = WorkerBroadcastPlane(tmp_path / "audio.sock")
    spec = BroadcastSpec(
        ROOM,
        1,
        (KEY,),
        tick_at(time.monotonic()),
        1_700_000_000.0,
        on_air=False,
        captions=(CaptionsSpec("en-cc", "en"),),
        recording=RecordingSpec("monday", str(folder), exact=True),
    )
    with capture_logs():
        async with Supervisor() as supervisor:
            await plane.start(supervisor)
            await plane.apply(spec)
            tap = AudioTap(tmp_path / "audio.sock")
            _ = supervisor.spawn(tap.run(), name="tap")
            begin = tick_at(time.monotonic())
            for tick in range(begin, begin + 10):
                tap.record(ROOM, tick, a_tick(tick))
            start = spec.base_unix_s + (begin - spec.base_tick) * 0.02 + 0.5
            said = Caption("en", "Hello", start, start + 2)
            assert await plane.caption(ROOM, said) is CaptionFate.SHOWN
            paths = {"mix.ogg", "tracks/1-ann.ogg", "exact/1-ann.flac", "mix.en.vtt"}
            await until(folder, lambda said: {file.path for file in said.files} == paths)
            assert plane.pid is not None
            os.kill(plane.pid, signal.SIGKILL)
            manifest = await until(folder, lambda said: len(said.takes) == 2)
            assert manifest.takes[0].end is TakeEnd.INTERRUPTED
            await plane.wait_up()
            await plane.apply(replace(spec, version=2, recording=None))
            manifest = await until(folder, lambda said: said.ended_unix_s is not None)
            assert manifest.state is RecordingState.FINISHED
            assert manifest.takes[1].end is TakeEnd.STOPPED
            assert await plane.caption(ROOM, said) is CaptionFate.UNKNOWN
            assert plane.captioned(ROOM) is None
            statistics = await plane.statistics()
            assert statistics.gauges["room_recordings_running"] == 0
            await plane.close()


async def test_what_is_nothing_tapped_is_counted() -> None:
    """A malformed frame changes nothing but a number."""
    recorder = RoomRecorder(UnixTransport(), lambda: 1)
    recorder.hear(FrameKind.TAPPED, b"junk")
    assert recorder.statistics()["room_recording_ticks_malformed_total"] == 1


async def test_who_closes_it_has_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a slow disk is waited for nobody looks after recordings, and none begins."""
    monkeypatch.setattr(module, "POLL_S", 0.0)
    hangs, real = threading.Event(), Recorder.close

    def close(recorder: Recorder, now_tick: int) -> None:
        hangs.wait()
        real(recorder, now_tick, 5.0)

    monkeypatch.setattr(Recorder, "close", close)
    recorder = RoomRecorder(UnixTransport(), lambda: 500)
    spec = BroadcastSpec(ROOM, 1, (KEY,), 0, 1e9, recording=RecordingSpec("a", str(tmp_path / "a")))
    recorder.apply(spec)
    async with asyncio.timeout(10), Supervisor() as supervisor:
        running = supervisor.spawn(recorder.run(), name="recordings")
        closing = supervisor.spawn(recorder.close(), name="close")
        try:
            async with asyncio.timeout(2):
                await running
            other = RecordingSpec("b", str(tmp_path / "b"))
            recorder.apply(replace(spec, version=2, recording=other))
        finally:
            hangs.set()
        await closing
    assert shelf.load(tmp_path / "a") is not None
    assert not (tmp_path / "b").exists()


async def test_a_report_that_finds_no_way_is_counted(tmp_path: Path) -> None:
    """While the control process does not read, nobody waits; it is told the next time."""
    recorder = RoomRecorder(UnixTransport(), lambda: 500)  # connected to nothing
    spec = BroadcastSpec(ROOM, 1, (KEY,), 0, 1e9, recording=RecordingSpec("a", str(tmp_path / "a")))
    recorder.apply(spec)
    async with asyncio.timeout(10), Supervisor() as supervisor:
        _ = supervisor.spawn(recorder.run(), name="recordings")
        while not recorder.statistics().get("room_recording_reports_delayed_total"):
            await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.01)
    await recorder.close()
    assert shelf.load(tmp_path / "a") is not None
