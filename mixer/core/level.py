"""The level of audio in dBov, as RFC 6464 and RFC 6465 count it."""

from math import log10

import numpy as np
from numpy.typing import NDArray

from mixer.types import Int16Frame

SILENCE_DBOV = -127  # RFC 6464 §3: the lowest level there is, digital silence included

_OVERLOAD_POWER = 32768.0**2  # of a full-scale square wave; a full-scale tone is at -3 dBov
_LEAST_SHARE = np.float32(10 ** (SILENCE_DBOV / 10))


def power(frame: Int16Frame) -> float:
    """Return the mean square of a frame's samples (int16 of any shape); 0 for none."""
    samples = frame.astype(np.float32).reshape(-1)
    return float(samples @ samples) / max(1, len(samples))


def level_dbov(frame: Int16Frame) -> int:
    """Return the level of `frame` (int16 of any shape): 0 (overload) to -127 (silence) dBov."""
    mean = power(frame)
    if mean <= 0.0:
        return SILENCE_DBOV
    return max(SILENCE_DBOV, round(10 * log10(mean / _OVERLOAD_POWER)))


def levels_dbov(frames: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the level of each row of `frames` (int16[k, n], n at least 1) as int16[k]."""
    samples = frames.astype(np.float32)
    shares = np.vecdot(samples, samples) * np.float32(1 / (frames.shape[1] * _OVERLOAD_POWER))
    raw = 10 * np.log10(np.maximum(shares, _LEAST_SHARE))
    levels: NDArray[np.int16] = np.rint(raw).astype(np.int16)
    return levels
