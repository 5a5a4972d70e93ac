"""What a room's tick costs, in this tree and in another, by turns in one process.

    python -m bench.room_ticks [--against ../another/checkout] [--no-codec] [--loud]

Microseconds of CPU for a tick of all rooms of a case: the best round's mean, for noise only adds.
`--no-codec` puts nothing in the place of libopus: what is left is the mixing itself.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import thread_time
from types import ModuleType
from typing import Any

import numpy as np

CASES = {  # rooms, people in each, of these speaking
    "3 people, 1 speaking": (1, 3, 1),
    "20 rooms of 3, 1 speaking": (20, 3, 1),
    "40 people, 3 speaking": (1, 40, 3),
    "100 people, 3 speaking": (1, 100, 3),
    "20 people, 20 speaking": (1, 20, 20),
    "100 people, silent": (1, 100, 0),
}
PACKETS = 50
HERE = Path(__file__).resolve().parents[1]


class Tree:
    """The mixer of one checkout, imported beside others of the same name."""

    def __init__(self, root: Path) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "mixer"]:
            del sys.modules[name]
        sys.path.insert(0, str(root))
        try:
            self.jitter, self.opus, self.anchor, self.room = (
                importlib.import_module(f"mixer.{name}")
                for name in ("core.jitter", "opus", "room.anchor", "room.room")
            )
        finally:
            sys.path.remove(str(root))

    def without_codec(self, amplitude: float) -> None:
        """Let encoding and decoding cost nothing."""
        frame = (np.sin(np.arange(960) / 10) * amplitude * 32767).astype(np.int16)
        self.opus.Encoder.encode = lambda *_: b"\xf8payload"
        self.opus.Decoder.decode = lambda *_, **__: frame


def voices(opus: ModuleType, count: int, amplitude: float) -> list[list[bytes]]:
    """Return a second of Opus packets for each of some people."""
    made = []
    random = np.random.default_rng(1)
    for number in range(count):
        encoder = opus.Encoder(bitrate_bps=32_000)
        phase = np.arange(PACKETS * 960) * (0.02 + 0.003 * number)
        sound = amplitude * (np.sin(phase) + 0.05 * random.standard_normal(phase.size))
        pcm = np.clip(sound * 32767, -32768, 32767).astype(np.int16).reshape(PACKETS, 960)
        made.append([encoder.encode(frame) for frame in pcm])
    return made


def case(tree: Tree, shape: tuple[int, int, int], amplitude: float) -> Callable[[int], float]:
    """Return what passes some ticks and tells the seconds that one tick of all rooms took."""
    rooms, people, speaking = shape
    packets = voices(tree.opus, speaking, amplitude)
    halls: list[tuple[Any, list[Any]]] = []
    for number in range(rooms):
        room = tree.room.Room(f"room{number}", None)
        anchors = [tree.anchor.Anchor(f"p{seat}", number * people + seat) for seat in range(people)]
        for anchor in anchors:
            room.add(anchor)
            room.connect(anchor.peer)
        halls.append((room, anchors[:speaking]))
    clock = iter(range(10**9))

    def run(ticks: int) -> float:
        spent = 0.0
        for tick in (next(clock) for _ in range(ticks)):
            now = tick * 0.02
            for room, talkers in halls:
                for anchor, sounds in zip(talkers, packets, strict=True):
                    packet = tree.jitter.Arrival(
                        tick & 0xFFFF, tick * 960, sounds[tick % PACKETS], now, silent=False
                    )
                    if anchor.arrived(packet, -20, now):
                        room.wake(anchor)
            begin = thread_time()
            for room, _ in halls:
                room.tick(tick, now)
            spent += thread_time() - begin
        return spent / ticks

    run(20)
    return run


def compare(trees: list[Tree], amplitude: float, rounds: int) -> Iterator[str]:
    """Measure every case in every tree, by turns."""
    for name, shape in CASES.items():
        runs = [case(tree, shape, amplitude) for tree in trees]
        ticks = max(10, 200 // shape[0])
        taken: list[list[float]] = [[] for _ in trees]
        for _ in range(rounds):
            for one, run in zip(taken, runs, strict=True):
                one.append(run(ticks) * 1e6)
        yield f"{name:28}" + "".join(f"{min(one):10.1f} µs" for one in taken)


def main() -> None:
    """Print a line per case, a column per tree: this one last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--no-codec", action="store_true")
    parser.add_argument("--loud", action="store_true", help="every voice at full scale")
    parser.add_argument("--rounds", type=int, default=25)
    chosen = parser.parse_args()
    trees = [Tree(root) for root in (chosen.against, HERE) if root is not None]
    amplitude = 0.9 if chosen.loud else 0.04
    if chosen.no_codec:
        for tree in trees:
            tree.without_codec(amplitude)
    for line in compare(trees, amplitude, chosen.rounds):
        print(line, flush=True)


main()
