"""A limiter: a gain that keeps peaks below a ceiling, with no more delay than what is here."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hls.core.kweighting import BLOCK_SAMPLES, BLOCKS

AHEAD_BLOCKS: Final = 4  # 5.3 ms of the next frame: in that time the gain falls by 12 dB
_FALL: Final = 10 ** (3 / 20)  # a block
_RISE: Final = 10 ** (0.1 / 20)  # 75 dB/s: slow enough not to distort the lowest voice
_RAMP: Final = np.arange(BLOCK_SAMPLES) / BLOCK_SAMPLES


class Limiter:
    """Gains of one stream, a frame at a time.

    It looks ahead into what has come of the next frame already, which is mostly all of it: nothing
    has to wait for that. What comes unforeseen is met with a step.
    """

    def __init__(self, ceiling: float) -> None:
        """Let no peak rise above `ceiling`, 1 is full scale."""
        self._ceiling = ceiling
        self._gain = 1.0

    def gains(
        self, peaks: NDArray[np.float64], ahead: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Return a gain for each sample, float64[1024]; None if all are 1.

        `peaks` are those of the frame's blocks, `ahead` of the next AHEAD_BLOCKS, as far as known.
        """
        highest = max(float(peaks.max()), float(ahead.max(initial=0.0)))
        if highest <= self._ceiling and self._gain == 1.0:
            return None
        allowed = np.minimum(1.0, self._ceiling / np.maximum(np.append(peaks, ahead), 1e-9))
        edges = np.array(self._edges(allowed.tolist()))
        self._gain = float(edges[-1])
        steps = edges[1:] - edges[:-1]
        gains: NDArray[np.float64] = edges[:-1, None] + steps[:, None] * _RAMP
        return gains.reshape(-1)

    def rest(self) -> None:
        """Take a pause: there is nothing to be held down any more."""
        self._gain = 1.0

    def _edges(self, allowed: Sequence[float]) -> list[float]:
        """Return the gains where blocks begin and the frame ends.

        In a block the gain goes straight from one to the next, so both are what it allows.
        """
        edges = [*map(min, zip([1.0, *allowed[:-1]], allowed, strict=True)), allowed[-1]]
        for at in range(len(edges) - 2, -1, -1):
            edges[at] = min(edges[at], edges[at + 1] * _FALL)
        gain, found = self._gain, []
        for edge in edges[: BLOCKS + 1]:
            gain = min(edge, gain)
            found.append(gain)
            gain = min(1.0, gain * _RISE)
        return found
