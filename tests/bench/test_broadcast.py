"""The broadcasts that are measured: that ours and FFmpeg's do the same work."""

import asyncio
import time

import numpy as np
import pytest

from bench.stations import FfmpegStation, OurStation, Station
from mixer.types import tick_at

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(960) / 48_000)).astype(np.int16)


async def feed(station: Station, rooms: int, count: int) -> None:
    """Two rooms' ticks, faster than time goes on."""
    first = tick_at(time.monotonic())
    for tick in range(first, first + count):
        for room in range(rooms):
            station.write(room, tick, TONE)
        await asyncio.sleep(0)


async def test_ffmpeg_makes_two_encrypted_renditions_of_each_room() -> None:
    """Ten seconds of samples are segments of both bit rates, which cannot be read as they are."""
    station = FfmpegStation("fast")
    try:
        await station.start(2)
        await feed(station, 2, 500)
        async with asyncio.timeout(30):
            await station.wait_segments(2 * 2 * 4)
        assert len(station.pids()) == 2
        assert not station.readable()
    finally:
        await station.stop()
    assert station.segments() == 0


async def test_our_rooms_are_played_part_by_part() -> None:
    """A listener gets parts as they are made, of a process with all rooms in it."""
    station = OurStation()
    try:
        await station.start(2)
        await feed(station, 2, 10)
        await station.listen(0, time.monotonic() + 0.1)
        assert len(station.pids()) == 1
    finally:
        await station.stop()
    assert station.heard >= 1
