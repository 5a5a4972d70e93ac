"""How many people fit, from what codec and encryption take here and now."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mixer.errors import MixerError
from mixer.opus import Decoder, Encoder, version
from mixer.rtc.speed import srtp_s
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S
from server.compose.doctor.finding import Finding, Verdict

FRAMES: Final = 150
ROUNDS: Final = 3
# Of a core: the rest is for bursts of joins, and for a machine that has other things to do.
USED: Final = 0.5
FEW: Final = 10  # people per core: less than that is not worth starting
USEFUL: Final = ("avx2", "avx", "sse4_1", "asimd", "neon")


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of one core for one frame of 20 ms, or the packet that it travels in."""

    encode_s: float
    decode_s: float
    protect_s: float = 0.0
    unprotect_s: float = 0.0

    def people(self, cores: int, crowd: "Crowd") -> int:
        """Return how many people fit in rooms of that kind."""
        return int(cores * USED * TICK_S / crowd.cost_s(self))


@dataclass(frozen=True, slots=True)
class Crowd:
    """A voice room of `people` of whom `speaking` speak, everybody on links without loss.

    Who speaks is decoded and has a mix without their own voice, the others share one; everybody is
    sent a packet. `overhead` is what a person costs in all, in times of that: sockets and our own
    Python are the rest. Where codec and encryption took 63 µs together, that was 0.26 % of a core
    with three of forty speaking, 1.00 % where all twenty did (bench/results/0.1-cpu).
    """

    people: int
    speaking: int
    overhead: float

    def cost_s(self, speed: Speed) -> float:
        """Return the seconds of a core that one person costs each tick."""
        mixes = self.speaking + (self.speaking < self.people)
        work_s = (
            mixes * speed.encode_s
            + self.speaking * (speed.decode_s + speed.unprotect_s)
            + self.people * speed.protect_s
        )
        return self.overhead * work_s / self.people


FEW_SPEAK: Final = Crowd(40, 3, 8.3)
ALL_SPEAK: Final = Crowd(20, 20, 3.2)


def measure(clock: Callable[[], float] = time.process_time) -> Speed:
    """Encode and decode three seconds of something like speech, then encrypt some packets.

    The fastest of three rounds counts; it takes a tenth of a second of an idle core.

    Raises:
        MixerError: libopus is not there, or does not work.
    """
    seconds = np.arange(FRAMES * FRAME_SAMPLES) / SAMPLE_RATE
    pitch = 2 * np.pi * (140 * seconds + 6 * np.sin(2 * np.pi * 3 * seconds))
    harmonics = sum(np.sin(number * pitch) / number for number in range(1, 20))
    loudness = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * seconds)
    noise = np.random.default_rng(1).normal(0, 0.02, len(seconds))
    pcm = np.clip(6000 * (harmonics * loudness + noise), -32_768, 32_767)
    frames = pcm.astype(np.int16).reshape(FRAMES, FRAME_SAMPLES)
    encoder, decoder = Encoder(), Decoder()
    encode_s, decode_s = [], []
    for _ in range(ROUNDS):
        began = clock()
        payloads = [encoder.encode(frame) for frame in frames]
        between = clock()
        for payload in payloads:
            decoder.decode(payload)
        encode_s.append((between - began) / FRAMES)
        decode_s.append((clock() - between) / FRAMES)
    return Speed(min(encode_s), min(decode_s), *srtp_s(clock))


def check_codec(cores: int, mixers: int) -> Iterator[Finding]:
    """Measure the codec and say how many people fit on the mixers there are cores for."""
    try:
        name, speed = version(), measure()
    except MixerError as error:
        yield Finding("codec", Verdict.FAIL, str(error), "pip install av, or apt install libopus0")
        return
    yield Finding(
        "codec",
        Verdict.OK,
        f"{name}: {1e6 * speed.encode_s:.0f} µs to encode 20 ms,"
        f" {1e6 * speed.decode_s:.0f} µs to decode; SRTP {1e6 * speed.protect_s:.1f} µs out,"
        f" {1e6 * speed.unprotect_s:.1f} µs in",
    )
    used = min(cores, mixers)
    usual, all_speak = speed.people(used, FEW_SPEAK), speed.people(used, ALL_SPEAK)
    few = usual < FEW * used
    yield Finding(
        "people",
        Verdict.WARN if few else Verdict.OK,
        f"about {usual} fit in rooms of forty with three speaking,"
        f" {all_speak} in rooms of twenty where all do ({used} of {cores} cores, half of each left"
        " free; voice rooms, links without loss)",
        "look for what else is busy here" if few else "",
    )


def check_cpu(path: Path = Path("/proc/cpuinfo")) -> Finding:
    """Look whether the processor has what libopus and numpy are fast by."""
    try:
        text = path.read_text()
    except OSError:
        return Finding("processor", Verdict.WARN, "this system does not tell its flags")
    words = {
        word
        for line in text.splitlines()
        if line.lower().startswith(("flags", "features"))
        for word in line.split()
    }
    useful = [flag for flag in USEFUL if flag in words]
    if useful:
        return Finding("processor", Verdict.OK, ", ".join(useful))
    return Finding(
        "processor", Verdict.WARN, "no vector instructions that we know",
        "in a virtual machine let it see the host's processor (cpu host-passthrough)",
    )  # fmt: skip
