"""`python -m bench.pace_quality`: a frame won or gained by pace, against one dropped or made up.

Three seconds of coded speech around each voiced place are scored (PESQ-WB) as they are, with 20 ms
won there by leaving out pitch periods or by dropping a packet, and with 20 ms gained by saying
periods twice or by a concealed frame.
"""

import numpy as np
from pesq import pesq
from scipy.signal import resample_poly  # type: ignore[attr-defined]  # named by a lazy __all__

from bench.uplink_quality import encoded, speech
from mixer.core.stretch import lengthen, shorten
from mixer.opus import Decoder
from mixer.types import FRAME_SAMPLES, Int16Frame

AROUND = 75  # frames before and after
EVERY = 7
VOICED_RMS = 1500.0


def sped_up(frames: list[Int16Frame], at: int) -> Int16Frame:
    """Return the frames joined, 20 ms shorter from `at` on."""
    ahead = np.concatenate(frames[:at])
    pending, surplus, played = frames[at], FRAME_SAMPLES, [ahead]
    for frame in frames[at + 1 :]:
        whole = np.concatenate((pending, frame))
        pending = shorten(whole, surplus)
        surplus -= len(whole) - len(pending)
        played.append(pending[:FRAME_SAMPLES])
        pending = pending[FRAME_SAMPLES:]
    return np.concatenate((*played, pending))


def slowed_down(frames: list[Int16Frame], at: int) -> Int16Frame:
    """Return the frames joined, at least 20 ms longer from `at` on."""
    played = [np.concatenate(frames[:at])]
    gained = 0
    for frame in frames[at:]:
        longer = lengthen(played[-1], frame) if gained < FRAME_SAMPLES else frame
        gained += len(longer) - len(frame)
        played.append(longer)
    return np.concatenate(played)


def decoded(packets: list[bytes], *, first: int, drop: int = -1, conceal: int = -1) -> Int16Frame:
    """Return what is heard from packet `first` on, one of them dropped or a frame made up."""
    decoder = Decoder()
    frames = []
    for number, packet in enumerate(packets):
        if number == conceal:
            frames.append(decoder.conceal())
        if number != drop:
            frames.append(decoder.decode(packet))
    return np.concatenate(frames[first:])


def score(reference: Int16Frame, heard: Int16Frame) -> float:
    """Return PESQ-WB."""
    pair = (resample_poly(pcm.astype(float), 1, 3).astype(np.int16) for pcm in (reference, heard))
    return float(pesq(16_000, *pair, "wb"))


def run() -> None:
    """Measure and print a table."""
    frames = speech().reshape(-1, FRAME_SAMPLES)
    packets = encoded(0)
    decoder = Decoder()
    clean = [decoder.decode(packet) for packet in packets]
    rows = []
    for at in range(AROUND + 5, len(frames) - AROUND, EVERY):
        if np.sqrt(np.mean(frames[at].astype(float) ** 2)) < VOICED_RMS:
            continue
        first, last = at - AROUND, at + AROUND
        reference, part = frames[first:last].reshape(-1), clean[first:last]
        part_packets = list(packets[:last])
        heard = (
            np.concatenate(part),
            sped_up(part, AROUND),
            decoded(part_packets, first=first, drop=at),
            slowed_down(part, AROUND),
            decoded(part_packets, first=first, conceal=at),
        )
        rows.append([score(reference, each) for each in heard])
    print(f"PESQ-WB, {len(rows)} voiced places")
    names = ("as it is", "sped up", "packet dropped", "slowed down", "frame made up")
    for name, mean, median in zip(names, np.mean(rows, 0), np.median(rows, 0), strict=True):
        print(f"{name:<16} mean {mean:.2f}  median {median:.2f}")


if __name__ == "__main__":
    run()
