"""Adding voices, and taking one out again."""

import numpy as np
from numpy.typing import NDArray

from mixer.types import Int16Frame

RAMP_SAMPLES = 480  # 10 ms: too short to hear as a fade, long enough not to click

_RISING = (np.arange(RAMP_SAMPLES, dtype=np.float32) + 0.5) / RAMP_SAMPLES


def mix_minus(frames: NDArray[np.int16]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the sum of all voices, and for each voice the sum without it.

    `frames` is int16[k, n]; the results are int32[n] and int32[k, n]. Exact: 32 bits hold the sum
    of 65,536 full-scale voices, and nothing is limited before the subtraction.
    """
    voices = frames.astype(np.int32)
    total: NDArray[np.int32] = voices.sum(axis=0, dtype=np.int32)
    return total, total - voices


def ramp(frame: Int16Frame, start: float, stop: float) -> Int16Frame:
    """Return `frame` (int16[n]) with its gain led from `start` to `stop` over the first 10 ms."""
    gain = np.full(len(frame), stop, np.float32)
    head = min(len(frame), RAMP_SAMPLES)
    gain[:head] = start + (stop - start) * _RISING[:head]
    ramped: Int16Frame = np.rint(frame * gain).astype(np.int16)
    return ramped
