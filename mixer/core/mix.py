"""Sums of voices, with one taken out again or led in and out."""

import numpy as np
from numpy.typing import NDArray

from mixer.types import Int16Frame

RAMP_SAMPLES = 480  # 10 ms: too short to hear as a fade, long enough not to click


def mix_minus(frames: NDArray[np.int16]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the sum of all voices, and for each voice the sum without it.

    `frames` is int16[k, n]; the results are int32[n] and int32[k, n]. Exact: 32 bits hold the sum
    of 65,535 voices at full scale, and nothing is limited before the subtraction.
    """
    total: NDArray[np.int32] = np.add.reduce(frames, axis=0, dtype=np.int32)
    return total, total - frames


def ramp(frame: Int16Frame, start: float, stop: float, samples: int = RAMP_SAMPLES) -> Int16Frame:
    """Return `frame` with its gain led from `start` to `stop` over the first `samples`.

    `frame` is int16[n] or int16[n, channels]. Gains are within 0 and 1; what follows has the gain
    `stop`.
    """
    gains = np.full(len(frame), stop, np.float32)
    head = min(len(frame), samples)
    # From half a step in to half a step before the end, so that a fade is the same backwards.
    gains[:head] = start + (stop - start) * (np.arange(head, dtype=np.float32) + 0.5) / samples
    ramped: Int16Frame = np.rint((frame.T * gains).T).astype(np.int16)
    return ramped
