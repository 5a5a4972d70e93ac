"""The broadcast process, with a tap in the place of a mixer."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from hls.errors import BadSpec
from hls.types import BroadcastSpec, KeySpec
from mixer.types import RoomId, tick_at
from server.errors import PlaneUnavailable
from server.media.audio_tap import AudioTap
from server.media.broadcast_plane import WorkerBroadcastPlane
from server.supervise import Supervisor

pytestmark = pytest.mark.slow  # starts real processes

ROOM = RoomId("room")
KEY = KeySpec(0, b"k" * 16, b"i" * 16, "enc.key")


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """Owner of the process and of the tap."""
    with capture_logs():
        async with Supervisor() as root:
            yield root


@pytest.fixture
async def plane(supervisor: Supervisor, tmp_path: Path) -> AsyncIterator[WorkerBroadcastPlane]:
    """A broadcast process that serves."""
    plane = WorkerBroadcastPlane(tmp_path / "audio.sock")
    await plane.start(supervisor)
    yield plane
    await plane.close()


def on_air_for(seconds: float, version: int = 1) -> BroadcastSpec:
    """A broadcast that has gone on for some time."""
    base = tick_at(time.monotonic() - seconds)
    return BroadcastSpec(ROOM, version, (KEY,), base, 1_700_000_000.0)


async def playlist(plane: WorkerBroadcastPlane) -> str:
    """The room's playlist, which there must be."""
    text = await plane.playlist(ROOM)
    assert text is not None
    return text


async def test_a_room_on_air_has_a_playlist_and_what_it_names(
    plane: WorkerBroadcastPlane,
) -> None:
    """Every address in the playlist can be fetched; the second time from memory."""
    assert await plane.playlist(ROOM) is None
    await plane.apply(on_air_for(30))
    names = [line for line in (await playlist(plane)).splitlines() if line.endswith(".m4s")]
    segments = await asyncio.gather(*(plane.fetch(ROOM, name) for name in names * 3))
    assert len(names) == 8
    assert all(data is not None and len(data) % 16 == 0 for data in segments)
    assert [await plane.fetch(ROOM, name) for name in names * 3] == segments
    counters = (await plane.statistics()).counters
    assert (counters["segments_silent"], counters["segment_cache_hits"]) == (8, 24)
    assert await plane.fetch(ROOM, "../etc/passwd") is None


async def test_a_room_off_air_has_nothing(plane: WorkerBroadcastPlane) -> None:
    """Neither playlist nor segments, those in memory included."""
    await plane.apply(on_air_for(30))
    name = (await playlist(plane)).splitlines()[-1]
    assert await plane.fetch(ROOM, name) is not None
    await plane.apply(replace(on_air_for(30, version=2), on_air=False))
    assert await plane.playlist(ROOM) is None
    assert await plane.fetch(ROOM, name) is None
    assert (await plane.statistics()).gauges["segment_cache_bytes"] == 0


async def test_a_bad_spec_is_refused_and_the_one_before_holds(
    plane: WorkerBroadcastPlane,
) -> None:
    """The refusal names the field; the room stays on air."""
    await plane.apply(on_air_for(30))
    with pytest.raises(BadSpec, match="16 bytes") as caught:
        await plane.apply(replace(on_air_for(30, version=2), keys=(replace(KEY, key=b"short"),)))
    assert caught.value.field == "key"
    assert (await playlist(plane)).startswith("#EXTM3U")


async def test_what_a_mixer_sends_is_heard(
    plane: WorkerBroadcastPlane, supervisor: Supervisor, tmp_path: Path
) -> None:
    """Ticks of a tap arrive; those of unknown rooms are counted."""
    await plane.apply(on_air_for(30))
    tap = AudioTap(tmp_path / "audio.sock")
    _ = supervisor.spawn(tap.run(), name="tap")
    pcm = np.full(960, 1000, np.int16)
    tap.write(ROOM, "floor", tick_at(time.monotonic()), pcm)
    tap.write(RoomId("unknown"), "floor", tick_at(time.monotonic()), pcm)
    while (counters := (await plane.statistics()).counters).get("ticks_unknown_room", 0) < 1:
        pass
    assert sum(counters.get(f"ticks_{fate}", 0) for fate in ("accepted", "late")) == 1


async def test_one_mixers_end_disturbs_no_other(
    plane: WorkerBroadcastPlane, supervisor: Supervisor, tmp_path: Path
) -> None:
    """When one is lost the others' rooms go on, and its own when another one has them."""
    other = RoomId("other")
    await plane.apply(on_air_for(30))
    await plane.apply(replace(on_air_for(30), room=other))
    first, second = supervisor.scope("first"), supervisor.scope("second")

    def mixer(scope: Supervisor) -> AudioTap:
        tap = AudioTap(tmp_path / "audio.sock")
        _ = scope.spawn(tap.run(), name="tap")
        return tap

    async def until(mixers: int, ticks: int) -> None:
        while True:
            told = await plane.statistics()
            arrived = sum(told.counters.get(f"ticks_{fate}", 0) for fate in ("accepted", "late"))
            if (told.gauges["broadcast_mixers"], arrived) == (mixers, ticks):
                return

    ours, theirs = mixer(first), mixer(second)
    pcm, tick = np.full(960, 1000, np.int16), tick_at(time.monotonic())
    ours.write(ROOM, "floor", tick, pcm)
    theirs.write(other, "floor", tick, pcm)
    await until(2, 2)
    await first.close()
    await until(1, 2)
    theirs.write(other, "floor", tick + 1, pcm)
    await until(1, 3)
    theirs.write(
        ROOM, "floor", tick + 2, pcm
    )  # placed again: the same stream, from another process
    await until(1, 4)
    assert (await playlist(plane)).startswith("#EXTM3U")


async def test_a_killed_process_comes_back_with_its_rooms(plane: WorkerBroadcastPlane) -> None:
    """Kill -9: the last playlist and held segments are served meanwhile; then it goes on."""
    await plane.apply(on_air_for(30))
    before = await playlist(plane)
    name = before.splitlines()[-1]
    held = await plane.fetch(ROOM, name)
    assert plane.pid is not None
    os.kill(plane.pid, signal.SIGKILL)
    while plane.is_up:  # noqa: ASYNC110 - ends with another process
        await asyncio.sleep(0)
    assert await playlist(plane) == before
    assert await plane.fetch(ROOM, name) == held
    with pytest.raises(PlaneUnavailable):
        await plane.fetch(ROOM, "seg-0-1.m4s")
    await plane.wait_up()
    assert (await plane.statistics()).gauges["rooms"] == 1
    assert (await plane.statistics()).counters["broadcast_restarts"] == 1
