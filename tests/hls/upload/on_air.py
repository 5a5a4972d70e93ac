"""Rooms on air that are spooled, on a clock that is a number."""

from dataclasses import replace
from pathlib import Path

from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, KeySpec, RenditionSpec
from hls.upload.core.journal import listed
from hls.upload.spool import Head, SpoolWriter
from tests.hls.listener import KEY, spec, tone

BASE = 1000
SEGMENT_TICKS = 96
NAME = "2023-11-14_22-13-20"
RENDITIONS = (RenditionSpec("128k", 128_000), RenditionSpec("64k", 64_000))
KEYS = (
    replace(KEY, uri="/hls/rooms/blue/1/enc.key"),
    KeySpec(2, b"another 16 bytes", bytes(range(1, 17)), "/hls/rooms/blue/2/enc.key", 8),
)


def on_air(now_tick: int = BASE, room: str = "blue") -> Broadcaster:
    """Return a broadcaster that put a room with two keys and two renditions on air."""
    broadcaster = Broadcaster(delay_ticks=0)
    broadcaster.apply(room_spec(room), now_tick)
    return broadcaster


def room_spec(room: str = "blue") -> BroadcastSpec:
    return replace(spec(room), keys=KEYS, renditions=RENDITIONS)


def speak(broadcaster: Broadcaster, first_tick: int, ticks: int, room: str = "blue") -> None:
    """Write a tone as a mixer does."""
    for offset, frame in enumerate(tone(ticks)):
        broadcaster.write(room, "floor", first_tick + offset, frame)


def spool(
    broadcaster: Broadcaster,
    folder: Path,
    first_msn: int,
    now_tick: int,
    *,
    max_bytes: int = 1 << 30,
    room: str = "blue",
) -> SpoolWriter:
    """Spool all that is complete; return the writer."""
    writer = SpoolWriter(folder, max_bytes)
    head = Head(room, NAME, tuple(one.name for one in RENDITIONS), "#EXTM3U\n# master\n")
    writer.begin(head)
    for rendition in head.renditions:
        window = broadcaster.finished(room, rendition, first_msn, now_tick)
        assert window is not None
        for entry in window.entries:
            data = broadcaster.fetch(room, rendition, entry.name, now_tick)
            init = broadcaster.fetch(room, rendition, entry.init, now_tick)
            assert data is not None
            assert init is not None
            writer.put_init(head.id, rendition, entry.init, init)
            writer.put(head.id, rendition, listed(entry, window.discontinuity_sequence), data)
    return writer
