"""A room that is recorded, tick by tick, and what readers say of its files."""

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hls.recording.core.heard import Heard, HeardFrame, HeardPacket
from hls.recording.scribe import Moment, Order, Scribe
from hls.types import RecordedPerson, RecordingSpec
from mixer.opus import Application, Encoder

FIRST = 50_000  # the tick at which recordings begin
UNIX_S = 1_700_000_000.0
PERIODS = 50  # ticks after which a tone repeats


def moment(tick: int) -> Moment:
    return Moment(tick, UNIX_S + (tick - FIRST) * 0.02)


@cache
def tone(hertz: int) -> tuple[NDArray[np.int16], ...]:
    """Return a second of a tone of whole hertz, [960, 1] each; it repeats without a step."""
    phase = 2 * np.pi * hertz * np.arange(PERIODS * 960) / 48_000
    pcm = (8000 * np.sin(phase)).astype(np.int16)
    return tuple(pcm.reshape(PERIODS, 960, 1))


@cache
def packets(hertz: int) -> tuple[bytes, ...]:
    """Return the same as a clear mix's packets, from the encoder's second second on."""
    encoder = Encoder(application=Application.RESTRICTED_LOWDELAY)
    for frame in tone(hertz):
        encoder.encode(frame)
    return tuple(encoder.encode(frame) for frame in tone(hertz))


def tick_of(tick: int, *people: str) -> Heard:
    """Return what a room makes of a tick in which some speak: each a tone of their own."""
    heard = Heard(tick)
    for name in people:
        hertz = pitch(name)
        at = tick % PERIODS
        heard.frames.append(HeardFrame(name, tone(hertz)[at]))
        heard.packets.append(
            HeardPacket(
                name,
                1,
                tick & 0xFFFF,
                tick * 960 & 0xFFFFFFFF,
                tick * 960 + 960,
                packets(hertz)[at],
            )
        )
    if people:
        heard.mix_packet = packets(pitch(people[0]))[tick % PERIODS]
        heard.mix_pcm = sum_of(heard.frames)
    return heard


def pitch(name: str) -> int:
    return 400 + 100 * (ord(name[0]) - ord("a"))


def sum_of(frames: Sequence[HeardFrame]) -> NDArray[np.int16]:
    total: NDArray[np.int16] = np.sum([frame.pcm for frame in frames], axis=0).astype(np.int16)
    return total


def people(*names: str, muted: str = "") -> tuple[RecordedPerson, ...]:
    return tuple(RecordedPerson(name, name.title(), name == muted) for name in names)


class RecordedHall:
    """A scribe on a clock that moves a tick at a time, told every second to make things safe."""

    def __init__(self, folder: Path, *, first: int = FIRST, **settings: Any) -> None:
        settings.setdefault("people", people("ann", "bob"))
        self.spec = RecordingSpec("monday", str(folder), **settings)
        self.scribe = Scribe(Order("hall", 1, self.spec))
        self.tick, self.folder = first, folder
        self.scribe.begin(moment(first))

    def run(self, ticks: int, *speakers: str) -> None:
        for _ in range(ticks):
            if speakers:
                self.scribe.hear(tick_of(self.tick, *speakers))
            self.tick += 1
            if self.tick % 50 == 0:
                self.scribe.advance(moment(self.tick))

    def die(self) -> None:
        """Let go of what the kernel takes from a process that dies."""
        self.scribe._let_go()

    def finish(self) -> None:
        self.scribe.finish(moment(self.tick))


def probe(path: Path) -> dict[str, Any]:
    """Return what ffprobe says of a file; what it complains of fails."""
    run = subprocess.run(
        [
            "ffprobe",
            "-v",
            "warning",
            "-of",
            "json",
            "-show_format",
            "-show_streams",
            "-show_chapters",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def decode(path: Path) -> NDArray[np.int16]:
    """Return a file's sound by FFmpeg, at 48 kHz: int16[n, channels]."""
    channels = probe(path)["streams"][0]["channels"]
    run = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ar", "48000", "-"],
        capture_output=True,
        check=True,
    )
    assert run.stderr == b""
    return np.frombuffer(run.stdout, "<i2").reshape(-1, channels).astype(np.int16)


def level(pcm: NDArray[np.int16]) -> int:
    return int(np.abs(pcm.astype(np.int32)).max(initial=0))
