"""True peaks: how high sound rises between its samples, four times oversampled (BS.1770-4)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hls.core.kweighting import BLOCK_SAMPLES

REACH: Final = 8  # samples that a place between two others depends on, on either side


def _interpolators() -> NDArray[np.float64]:
    """Return a windowed sinc for each quarter of the way from one sample to the next."""
    taps = np.arange(-REACH + 1, REACH + 1)
    places = np.array([0.25, 0.5, 0.75])
    distance = taps[:, None] - places
    window = np.i0(8.0 * np.sqrt(np.maximum(0, 1 - (distance / REACH) ** 2))) / np.i0(8.0)
    filters = np.sinc(distance) * window
    unit: NDArray[np.float64] = filters / filters.sum(axis=0)  # a constant stays what it is
    return unit


def _matrix(filters: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return what a block with its surroundings becomes: all places between its samples."""
    matrix = np.zeros((BLOCK_SAMPLES + 2 * REACH, (BLOCK_SAMPLES + 1) * 3), np.float32)
    for place in range(BLOCK_SAMPLES + 1):
        matrix[place : place + 2 * REACH, 3 * place : 3 * place + 3] = filters
    return matrix


_FILTERS: Final = _interpolators()
_BETWEEN: Final = _matrix(_FILTERS)
# No signal rises higher between its samples, as these filters see it.
MOST_ABOVE: Final = float(np.abs(_FILTERS).sum(axis=0).max())


def block_peaks(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the true peak of each block of 64, the loudest channel's: float64[blocks].

    `samples` is float32[channels, REACH + 64 * blocks + REACH], contiguous: those on either side
    are not measured themselves, but what is between them and the first or last block is.
    """
    channels, size = samples.shape
    blocks = (size - 2 * REACH) // BLOCK_SAMPLES
    step, row = samples.strides[1], samples.strides[0]
    around = np.lib.stride_tricks.as_strided(
        samples,
        (channels, blocks, BLOCK_SAMPLES + 2 * REACH),
        (row, BLOCK_SAMPLES * step, step),
        writeable=False,
    )
    # One product for all places of a block: most factors are 0, and it is the fastest all the same.
    between = np.abs(around @ _BETWEEN).max(axis=(0, 2))
    at = np.abs(around[:, :, REACH:-REACH]).max(axis=(0, 2))
    peaks: NDArray[np.float64] = np.maximum(at, between).astype(np.float64)
    return peaks
