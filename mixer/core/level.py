"""The level of audio in dBov, as RFC 6464 and RFC 6465 count it."""

from math import log10

import numpy as np

from mixer.types import Int16Frame

SILENCE_DBOV = -127  # RFC 6464 §3: the lowest level there is, digital silence included

_OVERLOAD_POWER = 32768.0**2


def level_dbov(frame: Int16Frame) -> int:
    """Return the level of `frame` (int16[n]): 0 (overload) to -127 (silence) dBov."""
    samples = frame.astype(np.float32)
    power = float(samples @ samples) / max(1, len(samples))
    if power <= 0.0:
        return SILENCE_DBOV
    return max(SILENCE_DBOV, min(0, round(10 * log10(power / _OVERLOAD_POWER))))
