"""`python -m bench.encode_threads`: the encodes of a tick in order, against a pool of threads.

A ticker does every 20 ms what a mixer does: a millisecond of Python, then its encodes. In turn it
keeps the interpreter lock and encodes by itself (as the mixer does), or hands the encodes to a pool
of threads through a library that gives the lock up. Told is when the last packet of a tick is there
after its time, and what it cost.
"""

import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench.uplink_quality import speech
from mixer.opus import Encoder, find_library
from mixer.types import FRAME_SAMPLES, TICK_S, Int16Frame

TICKS = 500
PYTHON_S = 0.001
SIZES = (4, 20, 60)  # a room of three who speak; twenty; many rooms
THREADS = 2
ROUNDS = 3


class UnlockedEncoder(Encoder):
    """An encoder whose calls give up the interpreter lock."""

    def __init__(self) -> None:
        super().__init__()
        unlocked = ctypes.CDLL(find_library()).opus_encode
        unlocked.argtypes = self._encode.argtypes
        self._encode = unlocked


def ticker(frames: list[Int16Frame], advance: Callable[[Int16Frame], object]) -> tuple[float, ...]:
    """Tick; return the median and 99th percentile of the ends in ms, and the CPU in % of a core."""
    ends, begun, spent = [], time.monotonic(), time.process_time()
    for tick in range(TICKS):
        due = begun + (tick + 1) * TICK_S
        time.sleep(max(0.0, due - time.monotonic()))
        busy_until = time.thread_time() + PYTHON_S
        while time.thread_time() < busy_until:
            pass
        advance(frames[tick % len(frames)])
        ends.append(1000 * (time.monotonic() - due))
    cpu = 100 * (time.process_time() - spent) / (TICKS * TICK_S)
    return float(np.median(ends)), float(np.percentile(ends, 99)), cpu


def ways(size: int, pool: ThreadPoolExecutor) -> dict[str, Callable[[Int16Frame], object]]:
    """Return what can be done with a frame that `size` encoders take."""
    locked = [Encoder() for _ in range(size)]
    unlocked = [UnlockedEncoder() for _ in range(size)]
    return {
        "one after the other": lambda frame: [one.encode(frame) for one in locked],
        f"pool of {THREADS}": lambda frame: list(pool.map(lambda one: one.encode(frame), unlocked)),
    }


def main() -> None:
    """Measure in turns, print a table of medians."""
    frames = list(speech().reshape(-1, FRAME_SAMPLES))
    print("| encodes a tick | | ms until sent, p50 | p99 | % of a core |\n|---|---|---|---|---|")
    with ThreadPoolExecutor(THREADS) as pool:
        for size in SIZES:
            rounds = [
                (name, ticker(frames, advance))
                for advances in [ways(size, pool)] * ROUNDS
                for name, advance in advances.items()
            ]
            for name in dict.fromkeys(name for name, _ in rounds):
                p50, p99, cpu = np.median([told for its, told in rounds if its == name], axis=0)
                print(f"| {size} | {name} | {p50:.2f} | {p99:.2f} | {cpu:.1f} |")


if __name__ == "__main__":
    main()
