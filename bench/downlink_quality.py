"""`python -m bench.downlink_quality`: what each way of sending a mix leaves of it under loss.

No socket and no clock: speech is encoded as the mixer does it for a link of each mode, losses are
drawn by the seeded network emulator, and a patient receiver plays what came: the packet itself, a
copy from redundancy, in-band FEC, else concealment.
"""

import argparse
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from bench.uplink_quality import score, speech
from mixer.core.encode_terms import ROBUST_ALONE_BPS, ROBUST_BPS, ROBUST_LEAST_BPS
from mixer.core.headroom import BUSY, SPARE, USUAL
from mixer.core.link import LEAST_FEC
from mixer.core.toc import has_fec
from mixer.opus import Application, Decoder, Encoder
from mixer.types import FRAME_SAMPLES, Int16Frame
from tests.support.netem import Network


@dataclass(frozen=True, slots=True)
class Way:
    """How the mix is sent; `robust_bps` 0 is CELT as everybody's."""

    name: str
    red: int = 0
    clear_bps: int = 96_000
    robust_bps: int = 0
    complexity: int = USUAL


WAYS = (
    Way("clear"),
    Way("clear, 64 kb/s", clear_bps=64_000),
    Way("red1", red=1),
    Way("red2", red=2),
    Way("robust, shared", robust_bps=ROBUST_BPS),
    Way("robust, least", robust_bps=ROBUST_LEAST_BPS),
    Way("robust, 32 kb/s", robust_bps=32_000),
    Way("robust, alone", robust_bps=ROBUST_ALONE_BPS),
    Way("robust, shared, busy", robust_bps=ROBUST_BPS, complexity=BUSY),
    Way("robust, shared, spare", robust_bps=ROBUST_BPS, complexity=SPARE),
)


@dataclass(frozen=True, slots=True)
class Loss:
    """A network, and what the receiver reports of it."""

    name: str
    percent: int = 0
    network: Network = field(default_factory=Network)


LOSSES = (
    Loss("none"),
    Loss("5 %", 5, Network(loss=0.05)),
    Loss("10 %", 10, Network(loss=0.10)),
    Loss("20 %", 20, Network(loss=0.20)),
)


def encoded(way: Way, percent: int) -> list[bytes]:
    """Return the packets of the speech."""
    if not way.robust_bps:
        encoder = Encoder(bitrate_bps=way.clear_bps)
    else:
        encoder = Encoder(
            application=Application.VOIP, bitrate_bps=way.robust_bps, complexity=way.complexity
        )
        encoder.set_fec(enabled=True)
        encoder.set_expected_loss(max(percent, LEAST_FEC) if percent else 0)
    return [encoder.encode(frame) for frame in speech().reshape(-1, FRAME_SAMPLES)]


def heard(way: Way, packets: list[bytes], network: Network) -> Int16Frame:
    """Return what a patient receiver makes of it."""
    here = {number for _, number in network.carry((0.02 * n, n) for n in range(len(packets)))}
    decoder, frames = Decoder(), []
    for number, packet in enumerate(packets):
        if not here.isdisjoint(range(number, number + way.red + 1)):
            frames.append(decoder.decode(packet))
        elif number + 1 in here and has_fec(packets[number + 1]):
            frames.append(decoder.decode_fec(packets[number + 1]))
        else:
            frames.append(decoder.conceal())
    return np.concatenate(frames)


def run(seeds: Iterable[int], ways: Iterable[Way] = WAYS) -> dict[tuple[str, str], float]:
    """Print a table of medians of PESQ-WB and of the bit rates; return the former."""
    seeds, found = tuple(seeds), {}
    print(f"{'':<24}{'kb/s':>6}" + "".join(f"{loss.name:>7}" for loss in LOSSES))
    for way in ways:
        rates, line = [], []
        for loss in LOSSES:
            packets = encoded(way, loss.percent)
            rates.append(8 * 50 * statistics.mean(map(len, packets)) * (way.red + 1) / 1000)
            scores = [
                score(heard(way, packets, replace(loss.network, seed=seed))).pesq
                for seed in (seeds if loss.percent else seeds[:1])
            ]
            found[way.name, loss.name] = statistics.median(scores)
            line.append(found[way.name, loss.name])
        print(
            f"{way.name:<24}{max(rates):>6.0f}" + "".join(f"{one:>7.2f}" for one in line),
            flush=True,
        )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.downlink_quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="random networks per cell")
    run(range(parser.parse_args().seeds))
