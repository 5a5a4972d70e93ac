"""A voice led in and out without a click."""

import numpy as np
from numpy.typing import NDArray

from mixer.types import Int16Frame

RAMP_SAMPLES = 480  # 10 ms: too short to hear as a fade, long enough not to click


def ramp(frame: Int16Frame, start: float, stop: float, samples: int = RAMP_SAMPLES) -> Int16Frame:
    """Return a frame with its gain led from `start` to `stop` over the first `samples`.

    `frame` is int16[n] or int16[n, channels]. Gains are within 0 and 1; what follows has the gain
    `stop`.
    """
    gains: NDArray[np.float32] = np.full(len(frame), stop, np.float32)
    head = min(len(frame), samples)
    # From half a step in to half a step before the end, so that a fade is the same backwards.
    gains[:head] = start + (stop - start) * (np.arange(head, dtype=np.float32) + 0.5) / samples
    shape = gains if frame.ndim == 1 else gains[:, np.newaxis]
    ramped: Int16Frame = np.rint(frame * shape).astype(np.int16)
    return ramped
