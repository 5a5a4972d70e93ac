"""The gain matrix: many mixes of the same voices, each with a gain for every voice."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mixes = NDArray[np.int32] | NDArray[np.int16]


class Matrix:
    """Gains of m outputs by k inputs (float32[m, k]), made ready to be used for many ticks.

    A row of ones and zeros is summed in 32 bits, exactly: 65,535 voices at full scale fit. For a
    row of ones with one zero, what most people hear who speak, the own voice is subtracted from
    the sum of all. Other rows are summed in float32 and rounded, each within one step (2^-24 of
    the sum) of the true value.
    """

    def __init__(self, gains: NDArray[np.float32]) -> None:
        self.shape = gains.shape
        self._all: list[int] = []
        self._minus: tuple[list[int], list[int]] = ([], [])  # rows, and the voice each lacks
        self._sums: list[tuple[int, NDArray[np.intp]]] = []
        self._weighed: list[int] = []
        self._is_identity = gains.shape == (1, 1) and bool(gains[0, 0] == 1)
        for number, row in enumerate(gains):
            self._sort_in(number, row)
        self._weights = gains[self._weighed]
        self._minus_rows, self._minus_voices = (_span(indexes) for indexes in self._minus)

    def _sort_in(self, number: int, row: NDArray[np.float32]) -> None:
        ones = np.flatnonzero(row == 1)
        if len(ones) + np.count_nonzero(row == 0) < len(row):
            self._weighed.append(number)
        elif len(ones) == len(row):
            self._all.append(number)
        elif len(ones) == len(row) - 1 and len(row) > 2:  # of two, one is the sum
            self._minus[0].append(number)
            self._minus[1].append(int(np.flatnonzero(row == 0)[0]))
        else:
            self._sums.append((number, ones))

    def mix(self, frames: Mixes) -> Mixes:
        """Return the mixes, int32[m, n], of the voices `frames`, int[k, n].

        One voice at unity for one mix is handed back as it came.
        """
        if self._is_identity:
            return frames
        out = np.empty((self.shape[0], frames.shape[1]), np.int32)
        if self._all or self._minus[0]:
            total = np.add.reduce(frames, axis=0, dtype=np.int32)
            for row in self._all:
                out[row] = total
            if self._minus[0]:
                rows, voices = self._minus_rows, self._minus_voices
                if isinstance(rows, slice):
                    np.subtract(total, frames[voices], out=out[rows])
                else:
                    out[rows] = total - frames[voices]
        for row, ones in self._sums:
            np.add.reduce(frames[ones], axis=0, dtype=np.int32, out=out[row])
        if self._weighed:
            out[self._weighed] = np.rint(self._weights @ frames.astype(np.float32))
        return out


def _span(indexes: Sequence[int]) -> slice | list[int]:
    """Return the indexes as a slice where they are one, which numpy need not copy for."""
    if indexes and list(indexes) == list(range(indexes[0], indexes[0] + len(indexes))):
        return slice(indexes[0], indexes[0] + len(indexes))
    return list(indexes)


def fade(before: Mixes, after: Mixes, channels: int) -> NDArray[np.int32]:
    """Return a frame that leads from one mix to another (both int[n * channels]).

    It has arrived by its middle, 10 ms in a tick of 20: then a limiter's look-ahead does not carry
    the rest of the way into the next frame.
    """
    samples = len(before) // channels
    rising = np.minimum((np.arange(samples, dtype=np.float32) + 0.5) * (2 / samples), 1)
    weight = np.repeat(rising, channels)
    # Through doubles: what 32 bits hold must come out as it went in.
    faded: NDArray[np.int32] = np.rint(
        before + (after.astype(np.float64) - before) * weight
    ).astype(np.int32)
    return faded
