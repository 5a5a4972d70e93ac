"""What recording a room costs: in the mixer per tick, and in the broadcast process.

Ten people, three of them speaking. Both kinds of ticks take turns in one process, so that what else
the machine does is on both sides: `python -m bench.record [--exact] [--seconds N]`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from hls.recording.scribe import Moment, Order, Scribe
from hls.types import RecordingSpec
from mixer.core.jitter import Arrival
from mixer.opus import Application, Encoder
from mixer.room.anchor import Anchor
from mixer.room.room import Room
from mixer.types import (
    FRAME_SAMPLES,
    TICK_S,
    AnchorSpec,
    Int16Frame,
    PeerId,
    RecordTaps,
    RoomId,
    RoomSpec,
    Tapped,
)
from server.media.tapped import read_tapped, tapped_body
from server.rpc.framing import FrameKind

PEOPLE, SPEAKING = 10, 3
TURN = 50  # ticks, then the other kind
FIRST = 1000


class _Tap:
    """Makes a frame of each tick, as the tap in a mixer process does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        """See Tap."""

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        """See Tap."""
        self.bodies.append(tapped_body(room, tick, tapped))


def _packets(hertz: float) -> list[bytes]:
    encoder = Encoder(application=Application.VOIP, bitrate_bps=32_000, complexity=5)
    seconds = np.arange(100 * FRAME_SAMPLES) / 48_000
    pcm = 6000 * np.sin(2 * np.pi * hertz * seconds) * np.abs(np.sin(2 * np.pi * 3 * seconds))
    return [encoder.encode(frame) for frame in pcm.astype(np.int16).reshape(-1, FRAME_SAMPLES)]


class _Room:
    """The same room with and without a recording, by turns."""

    def __init__(self, taps: RecordTaps | None) -> None:
        self.tap = _Tap()
        self.cost_s = 0.0
        self._room = Room(RoomId("room"), self.tap)
        self._anchors = [Anchor(PeerId(f"p{row}"), row) for row in range(PEOPLE)]
        for anchor in self._anchors:
            self._room.add(anchor)
            self._room.connect(anchor.peer)
        anchors = tuple(AnchorSpec(anchor.peer) for anchor in self._anchors)
        self._room.configure(RoomSpec(self._room.id, 1, anchors, record=taps))

    def tick(self, tick: int, packets: list[list[bytes]]) -> None:
        """Have three people say something and mix it."""
        now = tick * TICK_S + 0.004
        begin = time.process_time_ns()
        for anchor, payloads in zip(self._anchors, packets, strict=False):
            payload, number = payloads[tick % len(payloads)], tick & 0xFFFF
            packet = Arrival(number, tick * FRAME_SAMPLES & 0xFFFFFFFF, payload, now - 0.005, False)
            if anchor.arrived(packet, -20, now):
                self._room.wake(anchor)
        self._room.tick(tick, now)
        self.cost_s += (time.process_time_ns() - begin) / 1e9


def main() -> None:
    """Print microseconds per tick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exact", action="store_true", help="a FLAC file for each person too")
    parser.add_argument("--seconds", type=int, default=60, help="of sound (60)")
    wanted = parser.parse_args()
    packets = [_packets(200.0 + 90 * number) for number in range(SPEAKING)]
    rooms = [_Room(None), _Room(RecordTaps(exact=wanted.exact))]
    for turn in range(wanted.seconds * 50 // TURN):
        for room in rooms if turn % 2 else rooms[::-1]:
            for tick in range(FIRST + turn * TURN, FIRST + (turn + 1) * TURN):
                room.tick(tick, packets)
    ticks = wanted.seconds * 50
    plain, recorded = (1e6 * room.cost_s / ticks for room in rooms)
    print(f"mixer: {plain:.0f} us a tick, recorded {recorded:.0f} us: {recorded - plain:+.0f} us")
    read_s, write_s = _record(rooms[1].tap.bodies, exact=wanted.exact)
    print(f"broadcast process: {1e6 * read_s / ticks:.0f} us a tick to read what comes")
    share = 100 * write_s / wanted.seconds
    print(f"and {1e6 * write_s / ticks:.0f} us in the recording's thread: {share:.2f} % of a core")


def _record(bodies: list[bytes], *, exact: bool) -> tuple[float, float]:
    """Write what the taps gave; return the CPU seconds of reading and of writing."""
    read_s = write_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        spec = RecordingSpec("bench", str(Path(folder) / "bench"), exact=exact)
        scribe = Scribe(Order("room", 1, spec))
        scribe.begin(Moment(FIRST, 0.0))
        for number, body in enumerate(bodies):
            begin = time.process_time_ns()
            _, heard = read_tapped(FrameKind.TAPPED, body)
            between = time.process_time_ns()
            scribe.hear(heard)
            if number % 50 == 49:
                scribe.advance(Moment(heard.tick + 1, heard.tick * TICK_S))
            read_s += (between - begin) / 1e9
            write_s += (time.process_time_ns() - between) / 1e9
        scribe.finish(Moment(FIRST + len(bodies), 0.0))
    return read_s, write_s


if __name__ == "__main__":
    main()
