"""`python -m bench.uplink_quality`: how speech survives a bad way to the server, and at what delay.

No socket and no clock: synthetic speech is encoded as a browser does it, carried by the seeded
network emulator, and heard through the jitter buffer and the decoder on ticks that are numbers. The
*floor* of the method beside it is the same packets decoded with perfect knowledge of what is lost:
FEC or RED where the successor came, concealment elsewhere, nothing late. Both then pass the mix's
own encoder (CELT, 96 kb/s) once, as they would on their way to a listener.
"""

import argparse
import statistics
import subprocess
import tempfile
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from pesq import pesq
from pystoi import stoi
from scipy.signal import resample_poly  # type: ignore[attr-defined]  # named by a lazy __all__

from mixer.core.jitter import Arrival, Conceal, Continue, Idle, JitterBuffer, Play
from mixer.core.red import pack_red, split_red
from mixer.core.toc import has_fec
from mixer.opus import Application, Decoder, Encoder
from mixer.room.playout import Playout
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S, Int16Frame
from tests.support.netem import Network

SENTENCES = (
    "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore. "
    "Each person hears everybody but themselves, and the rain in Spain stays in the plain."
)
OPUS_TYPE = 111
EXPECTED_LOSS = (0, 1, 5, 10, 20)  # Chrome tells its encoder the reported loss in such steps


@dataclass(frozen=True, slots=True)
class Cell:
    """One network, and what the sender does about it."""

    name: str
    network: Network = field(default_factory=Network)
    expected_loss: int = 0
    red: int = 0
    """How many earlier frames each packet carries."""


CELLS = (
    Cell("clean"),
    Cell("5 % loss", Network(loss=0.05), 5),
    Cell("10 % loss", Network(loss=0.10), 10),
    Cell("20 % loss", Network(loss=0.20), 20),
    # With RED there is no FEC: the packet after a loss holds the lost one as it was.
    Cell("10 % loss, RED", Network(loss=0.10), red=1),
    Cell("10 % loss, RED of two", Network(loss=0.10), red=2),
    Cell("20 % loss, RED", Network(loss=0.20), red=1),
    Cell("10 % loss, RED and FEC", Network(loss=0.10), 10, red=1),
    Cell("5 % loss in bursts of 2", Network(burst_enter=0.026, burst_leave=0.5), 5),
    Cell("40 ms jitter", Network(spread_s=0.04)),
    Cell("5 % loss, 40 ms jitter", Network(loss=0.05, spread_s=0.04), 5),
    Cell("5 % loss, 40 ms jitter, RED", Network(loss=0.05, spread_s=0.04), red=1),
    Cell("5 % loss, queue of 10 ms mean", Network(loss=0.05, jitter_s=0.01), 5),
    Cell("300 ppm drift", Network(drift_ppm=300.0)),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one cell and seed."""

    pesq: float
    floor: float
    stoi: float
    delays_s: Sequence[float]
    """Of each packet played: from its arrival until it is heard, which is what the server adds."""


@cache
def speech() -> Int16Frame:
    """Return some sentences of synthetic speech, mono 48 kHz, in whole frames."""
    with tempfile.TemporaryDirectory() as folder:
        spoken, out = Path(folder) / "spoken.wav", Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-w", spoken, SENTENCES], check=True)
        subprocess.run(
            ["sox", "-D", spoken, "-r", "48000", "-c", "1", out, "gain", "-n", "-6"], check=True
        )
        with wave.open(str(out)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES]


@cache
def encoded(expected_loss: int) -> tuple[bytes, ...]:
    """Return the packets a browser sends: VOIP, 32 kb/s, FEC on."""
    encoder = Encoder(application=Application.VOIP, bitrate_bps=32_000, complexity=9)
    encoder.set_fec(enabled=True)
    encoder.set_expected_loss(max(step for step in EXPECTED_LOSS if step <= expected_loss))
    return tuple(encoder.encode(frame) for frame in speech().reshape(-1, FRAME_SAMPLES))


def arrivals(cell: Cell, seed: int) -> Iterable[Arrival]:
    """Send the speech through the cell's network."""
    packets = encoded(cell.expected_loss)
    sent = ((number * TICK_S, number) for number in range(len(packets)))
    for arrival_s, number in replace(cell.network, seed=seed).carry(sent):
        redundancy: tuple[tuple[int, bytes], ...] = ()
        if cell.red:
            levels = range(min(cell.red, number), 0, -1)
            earlier = [(level * FRAME_SAMPLES, packets[number - level]) for level in levels]
            carried = pack_red(OPUS_TYPE, packets[number], earlier)
            redundancy = tuple((b.offset, b.payload) for b in split_red(carried) if b.offset)
        yield Arrival(
            number,
            number * FRAME_SAMPLES,
            packets[number],
            arrival_s,
            silent=False,
            redundancy=redundancy,
        )


class WatchedBuffer(JitterBuffer):
    """Notes when each payload is handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[tuple[float, bytes]] = []

    def pop(self, now: float) -> Play | Continue | Conceal | Idle:
        """See JitterBuffer."""
        step = super().pop(now)
        self._note(step, now)
        return step

    def ahead(self, now: float) -> Play | None:
        """See JitterBuffer."""
        step = super().ahead(now)
        self._note(step, now + TICK_S)
        return step

    def _note(self, step: object, now: float) -> None:
        if isinstance(step, Play):
            self.handed += [(now, payload) for payload in step.payloads]


def hear(cell: Cell, seed: int) -> tuple[Int16Frame, list[float], WatchedBuffer]:
    """Return the sound as the server hears it, and the delay of each packet."""
    buffer = WatchedBuffer()
    playout = Playout(buffer)
    now = Random(seed).random() * TICK_S
    came: dict[bytes, float] = {}
    frames: list[Int16Frame] = []
    delays: list[float] = []
    waiting = list(arrivals(cell, seed))[::-1]
    end = len(encoded(cell.expected_loss)) * TICK_S + 0.5
    while now < end:
        while waiting and waiting[-1].arrival_s <= now:
            arrival = waiting.pop()
            came[arrival.payload] = arrival.arrival_s  # silence may be coded alike twice
            for _, copy in arrival.redundancy:
                came.setdefault(copy, arrival.arrival_s)
            buffer.push(arrival)
        surplus_s = playout._surplus / SAMPLE_RATE
        frame = playout.next(now, sounding=bool(frames))
        delays += [at + surplus_s - came[payload] for at, payload in buffer.handed]
        buffer.handed.clear()
        frames.append(np.zeros(FRAME_SAMPLES, np.int16) if frame is None else frame)
        now += TICK_S
    return np.concatenate(frames), delays, buffer


def floor(cell: Cell, seed: int) -> Int16Frame:
    """Return the sound with the same losses, all else known and nothing late."""
    packets = encoded(cell.expected_loss)
    here = {arrival.sequence for arrival in arrivals(cell, seed)}
    decoder = Decoder()
    frames = []
    for number, packet in enumerate(packets):
        carriers = range(number, number + cell.red + 1)
        if not here.isdisjoint(carriers):
            frames.append(decoder.decode(packet))
        elif number + 1 in here and has_fec(packets[number + 1]):
            frames.append(decoder.decode_fec(packets[number + 1]))
        else:
            frames.append(decoder.conceal())
    return np.concatenate(frames)


def mixed(pcm: Int16Frame) -> Int16Frame:
    """Return the sound after the mix's encoder and a listener's decoder."""
    encoder, decoder = Encoder(), Decoder()
    return np.concatenate([decoder.decode(encoder.encode(f)) for f in pcm.reshape(-1, 960)])


def score(pcm: Int16Frame) -> tuple[float, float]:
    """Return PESQ-WB and STOI of what was heard of the speech."""
    reference = resample_poly(speech().astype(float), 1, 3)
    degraded = resample_poly(pcm.astype(float), 1, 3)
    aligned = align(reference, degraded)
    quality = float(pesq(16_000, reference.astype(np.int16), aligned.astype(np.int16), "wb"))
    return quality, float(stoi(reference, aligned, 16_000))


def align(reference: np.ndarray, degraded: np.ndarray) -> np.ndarray:
    """Return `degraded` moved over `reference` as a whole, as long as it."""
    size = 1 << (len(reference) + len(degraded)).bit_length()
    spectrum = np.fft.rfft(degraded, size) * np.conj(np.fft.rfft(reference, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)[: len(degraded)]))
    return np.pad(degraded[lag:], (0, len(reference)))[: len(reference)]


def measure(cell: Cell, seed: int) -> Heard:
    """Score one seed of one cell."""
    pcm, delays, _ = hear(cell, seed)
    quality, intelligibility = score(mixed(pcm))
    return Heard(quality, score(mixed(floor(cell, seed)))[0], intelligibility, delays)


def run(seeds: Iterable[int] = range(10), cells: Iterable[Cell] = CELLS) -> dict[str, list[Heard]]:
    """Measure and print a table: medians over the seeds, delays over all packets."""
    seeds = tuple(seeds)
    print(f"medians of {len(seeds)} seeds; delay: what the jitter buffer adds, in ms\n")
    print(f"{'':<32}{'PESQ-WB':>8}{'floor':>7}{'gap':>7}{'STOI':>7}{'p50':>6}{'p95':>6}{'p99':>6}")
    found = {}
    for cell in cells:
        rows = found[cell.name] = [measure(cell, seed) for seed in seeds]
        quality = statistics.median(row.pesq for row in rows)
        least = statistics.median(row.floor for row in rows)
        gap = statistics.median(row.pesq - row.floor for row in rows)
        clear = statistics.median(row.stoi for row in rows)
        delays = np.concatenate([row.delays_s for row in rows]) * 1000
        p50, p95, p99 = np.percentile(delays, (50, 95, 99))
        print(
            f"{cell.name:<32}{quality:>8.2f}{least:>7.2f}{gap:>+7.2f}{clear:>7.3f}"
            f"{p50:>6.0f}{p95:>6.0f}{p99:>6.0f}",
            flush=True,
        )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.uplink_quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="random networks per cell")
    run(range(parser.parse_args().seeds))
