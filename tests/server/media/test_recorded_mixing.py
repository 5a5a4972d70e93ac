"""From packets through a mixer and the wire to the files of a recording."""

import random
from pathlib import Path

import numpy as np
import pytest

from hls.recording import shelf
from hls.recording.core.manifest import FileKind
from hls.recording.scribe import Moment, Order, Scribe
from hls.types import MixFormat, RecordingSpec
from mixer.core.jitter import Arrival
from mixer.core.limiter import LOOKAHEAD_SAMPLES
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
from tests.hls.recording.room import decode

FIRST = 1000
SECONDS = 16


class Wire:
    """A tap that is a recorder at once."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        raise AssertionError("nothing is on air")

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        _, heard = read_tapped(FrameKind.TAPPED, tapped_body(room, tick, tapped))
        self._scribe.hear(heard)


class Speaker:
    """Speaks ten seconds of fifteen, by a clock of their own, over a network with jitter."""

    def __init__(self, number: int, ppm: float) -> None:
        self.anchor = Anchor(PeerId("abc"[number]), number)
        self._number, self._ppm, self._frame = number, ppm, 0
        self._random = random.Random(number)
        self._under_way: list[tuple[float, int]] = []
        encoder = Encoder(application=Application.VOIP, bitrate_bps=32_000, complexity=1)
        seconds = np.arange(100 * FRAME_SAMPLES) / 48_000
        tone = 5000 * np.sin(2 * np.pi * (200 + 77 * number) * seconds)
        sound = (tone * np.abs(np.sin(2 * np.pi * 3 * seconds))).astype(np.int16)
        self._packets = [encoder.encode(frame) for frame in sound.reshape(-1, FRAME_SAMPLES)]

    def send(self, now: float, room: Room) -> None:
        while (sent := self._end_of(self._frame)) <= now - 0.01:
            if (self._frame // 250 + self._number) % 3:
                self._under_way.append((sent + self._random.expovariate(160), self._frame))
            self._frame += 1
        self._under_way.sort()
        while self._under_way and self._under_way[0][0] <= now:
            arrival, number = self._under_way.pop(0)
            payload, stamp = self._packets[number % 100], number * FRAME_SAMPLES
            packet = Arrival(number & 0xFFFF, stamp, payload, arrival, silent=False)
            if self.anchor.arrived(packet, -20, now):
                room.wake(self.anchor)

    def _end_of(self, frame: int) -> float:
        return (FIRST + (frame + 1) / (1 + self._ppm * 1e-6)) * TICK_S


@pytest.mark.slow
def test_the_exact_files_of_people_with_drifting_clocks_are_the_mix(tmp_path: Path) -> None:
    """Whatever jitter buffers stretch and conceal: the sum of the files is the mix, no bit less."""
    scribe = Scribe(
        Order("hall", 1, RecordingSpec("x", str(tmp_path), mix=MixFormat.FLAC, exact=True))
    )
    scribe.begin(Moment(FIRST, 1e9))
    room = Room(RoomId("hall"), Wire(scribe))
    speakers = [Speaker(number, ppm) for number, ppm in enumerate((300.0, -300.0, 0.0))]
    for speaker in speakers:
        room.add(speaker.anchor)
    gains = zip(speakers, (0.0, -6.0, 3.0), strict=True)
    specs = tuple(AnchorSpec(one.anchor.peer, gain_db=gain_db) for one, gain_db in gains)
    taps = RecordTaps(mix_packets=False, mix_pcm=True, exact=True)
    room.configure(RoomSpec(room.id, 1, specs, record=taps))
    end = FIRST + SECONDS * 50
    for tick in range(FIRST, end):
        now = tick * TICK_S + 0.004
        for speaker in speakers:
            speaker.send(now, room)
        room.tick(tick, now)
        if tick % 50 == 49:
            scribe.advance(Moment(tick + 1, 1e9))
    scribe.finish(Moment(end, 1e9 + SECONDS))
    manifest = shelf.load(tmp_path)
    assert manifest is not None
    total = np.zeros(SECONDS * 48_000, np.int32)
    exact = [file for file in manifest.files if file.kind is FileKind.EXACT]
    assert len(exact) == 3
    for file in exact:
        pcm, begin = decode(tmp_path / file.path)[:, 0], round(file.offset_s * 48_000)
        total[begin : begin + len(pcm)] += pcm
    mix = decode(tmp_path / "mix.flac")[LOOKAHEAD_SAMPLES:, 0]
    assert np.abs(total).max() > 8000
    assert np.array_equal(total[: len(mix)], mix)
