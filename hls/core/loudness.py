"""A loudness meter: momentary, short-term and integrated (EBU R 128, ITU-R BS.1770-4)."""

import math
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hls.core.kweighting import BLOCK_SAMPLES
from hls.core.timeline import SAMPLE_RATE

SILENCE_LUFS: Final = -120.0  # what is shown of less
HOP_BLOCKS: Final = 75  # 100 ms: gating blocks of 400 ms overlap by three quarters
GATE_HOPS: Final = 4
SHORT_TERM_HOPS: Final = 30  # 3 s (EBU Tech 3341)
_HOP_SAMPLES: Final = HOP_BLOCKS * BLOCK_SAMPLES
_ABSOLUTE_LUFS: Final = -70.0  # gates of BS.1770-4 annex 1
_RELATIVE_LU: Final = -10.0
_OFFSET: Final = -0.691  # BS.1770-4 equation 2: a sine of 997 Hz reads as its level
_BINS: Final = 1000  # of 0.1 LU, from the absolute gate up

assert _HOP_SAMPLES * 10 == SAMPLE_RATE


class Meter:
    """Takes energies of K-weighted blocks; memory and cost are the same after a day."""

    def __init__(self) -> None:
        self._hops: deque[float] = deque(maxlen=SHORT_TERM_HOPS)
        self._open, self._blocks = 0.0, 0
        self._counts = np.zeros(_BINS, np.int64)

    def push(self, energies: NDArray[np.float64]) -> list[float]:
        """Take blocks of BLOCK_SAMPLES, their sums of squares of samples up to 1.

        Returns the mean square of each gating block that ended: mostly none, seldom two.
        """
        ended, start = [], 0
        while self._blocks + len(energies) - start >= HOP_BLOCKS:
            end = start + HOP_BLOCKS - self._blocks
            ended.append(self._end_hop(self._open + float(energies[start:end].sum())))
            start = end
        self._open += float(energies[start:].sum())
        self._blocks += len(energies) - start
        return ended

    def rest(self, blocks: int) -> list[float]:
        """Take so many blocks of silence, at no more cost than 3.2 s of it."""
        most = (SHORT_TERM_HOPS + 2) * HOP_BLOCKS  # the first one may hold what was before
        # A whole number of hops is left out, so that they end where they would have.
        blocks -= max(0, -(-(blocks - most) // HOP_BLOCKS)) * HOP_BLOCKS
        return self.push(np.zeros(blocks))

    @property
    def momentary_lufs(self) -> float:
        """Of the last 400 ms."""
        return lufs(self._mean(GATE_HOPS))

    @property
    def short_term_lufs(self) -> float:
        """Of the last 3 s."""
        return lufs(self._mean(SHORT_TERM_HOPS))

    @property
    def integrated_lufs(self) -> float:
        """Of all there was, without pauses; SILENCE_LUFS if there was nothing."""
        if not self._counts.any():
            return SILENCE_LUFS
        # Each bin counts as its middle: 0.05 LU at most beside the truth.
        levels = _ABSOLUTE_LUFS + 0.1 * (np.arange(_BINS, dtype=np.float64) + 0.5)
        return _gated(levels, self._counts)

    def _end_hop(self, energy: float) -> float:
        self._hops.append(energy)
        self._open, self._blocks = 0.0, 0
        if len(self._hops) < GATE_HOPS:  # the first one is of 400 ms, as all are
            return 0.0
        power = self._mean(GATE_HOPS)
        index = math.floor(10 * (lufs(power) - _ABSOLUTE_LUFS))
        if index >= 0:
            self._counts[min(index, _BINS - 1)] += 1
        return power

    def _mean(self, hops: int) -> float:
        return sum(list(self._hops)[-hops:]) / (hops * _HOP_SAMPLES)


def lufs(power: float) -> float:
    """Return the loudness of a mean square (K-weighted, all channels)."""
    return max(SILENCE_LUFS, _OFFSET + 10 * math.log10(power)) if power > 0 else SILENCE_LUFS


def gated_lufs(powers: NDArray[np.float64]) -> float:
    """Return the loudness of gating blocks, at least one, without those 10 LU below their mean."""
    levels: NDArray[np.float64] = _OFFSET + 10 * np.log10(powers)
    return _gated(levels, np.ones(len(powers), np.int64))


def _gated(levels: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    powers = 10 ** (levels / 10)
    gate = 10 * math.log10(float(powers @ counts) / int(counts.sum())) + _RELATIVE_LU
    counts = np.where(levels > gate, counts, 0)
    return 10 * math.log10(float(powers @ counts) / int(counts.sum()))
