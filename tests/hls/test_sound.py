"""A broadcast's parts in the clear, for who sends them on; and the MP3 that is made of them."""

import numpy as np

from hls.mp3 import Mp3Encoder
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, KeySpec, Position
from tests.support.webrtc_client import tone

BASE = 1000


def on_air() -> tuple[Broadcaster, int]:
    """Return a broadcaster with five seconds of a tone in its room, and the tick by now."""
    broadcaster = Broadcaster()
    key = KeySpec(0, bytes(16), bytes(16), "/key")
    broadcaster.apply(BroadcastSpec("demo", 1, (key,), BASE, 1.7e9), BASE)
    source = tone(700.0)
    for tick in range(BASE, BASE + 250):
        broadcaster.write("demo", "floor", tick, source(tick - BASE).astype(np.int16), tick)
    return broadcaster, BASE + 250


def test_parts() -> None:
    """Complete parts of the default rendition are given, with their format; no others."""
    broadcaster, now = on_air()
    due = broadcaster.position("demo", now)
    assert due is not None
    before = Position(due.msn, due.part - 1) if due.part else Position(due.msn - 1, 5)
    part = broadcaster.sound("demo", before, now)
    assert part is not None
    assert (len(part.frames), part.audio.bit_rate, part.audio.channels) == (15, 128_000, 1)
    assert any(frame != part.silent_frame for frame in part.frames)
    silent = broadcaster.sound("demo", Position(0, 0), now)
    assert silent is not None
    assert silent == silent.silenced()
    for wanted in (due, Position(0, 6), Position(0, -1), Position(-1, 0)):
        assert broadcaster.sound("demo", wanted, now) is None
    assert broadcaster.sound("demo", before, now + 96 * 40) is None  # no longer in memory
    assert broadcaster.sound("nowhere", before, now) is None


def test_mp3() -> None:
    """MP3 comes at its bit rate, in frames that begin with their sync word."""
    broadcaster, now = on_air()
    first = broadcaster.sound("demo", Position(5, 0), now)
    assert first is not None
    encoder, data = Mp3Encoder(first.audio), b""
    for number in range(12):
        part = broadcaster.sound("demo", Position(*divmod(30 + number, 6)), now)
        assert part is not None
        data += encoder.encode(part.frames)
    assert data[:2] in (b"\xff\xfb", b"\xff\xfa")
    assert abs(len(data) - 12 * 0.32 * 16_000) < 1500
