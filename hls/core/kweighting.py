"""K-weighting (ITU-R BS.1770-4, annex 1) of 48 kHz sound, in blocks of 64 samples."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hls.core.timeline import AAC_SAMPLES

BLOCK_SAMPLES: Final = 64  # 75 of them are 100 ms, 16 an AAC frame
BLOCKS: Final = AAC_SAMPLES // BLOCK_SAMPLES

# Tables 1 and 2: the head's shelf, then the high-pass; b0, b1, b2, a1, a2 at 48 kHz.
_SHELF: Final = (
    *(1.53512485958697, -2.69169618940638, 1.19839281085285),
    *(-1.69065929318241, 0.73248077421585),
)
_HIGH_PASS: Final = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)

_Matrix = NDArray[np.float64]


class KWeighting:
    """The filter of one stream, with what it remembers of each channel.

    A recursion has to go sample by sample, which Python is too slow for. As a linear system it does
    not: what 64 samples become is a matrix times them, another times the state before, and the
    states of all blocks of a frame are one more matrix times the states each block adds.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._state = np.zeros((channels, _STATES))

    def energies(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of squares of each block, all channels together: float64[16].

        `samples` is float64[channels, 1024], what comes right after the frame before.
        """
        blocks = samples.reshape(self.channels, BLOCKS, BLOCK_SAMPLES)
        added = blocks @ _INTO_STATE  # [channels, blocks, states]
        sources = np.concatenate((self._state, added.reshape(self.channels, -1)), axis=1)
        states = (sources @ _STATES_OF_FRAME).reshape(self.channels, BLOCKS + 1, _STATES)
        self._state = states[:, -1]
        weighted = blocks @ _THROUGH + states[:, :-1] @ _OUT_OF_STATE
        energies: NDArray[np.float64] = np.einsum("cbn,cbn->b", weighted, weighted)
        return energies


def _system() -> tuple[_Matrix, _Matrix, _Matrix, float]:
    """Return both filters in a row as x' = A x + b u, y = c x + d u."""
    (a1, b1, c1, d1), (a2, b2, c2, d2) = _section(_SHELF), _section(_HIGH_PASS)
    a = np.block([[a1, np.zeros((2, 2))], [np.outer(b2, c1), a2]])
    return a, np.concatenate((b1, b2 * d1)), np.concatenate((d2 * c1, c2)), d1 * d2


def _section(biquad: tuple[float, ...]) -> tuple[_Matrix, _Matrix, _Matrix, float]:
    """Return one of them, in the transposed direct form II."""
    b0, b1, b2, a1, a2 = biquad
    a = np.array([[-a1, 1.0], [-a2, 0.0]])
    return a, np.array([b1 - a1 * b0, b2 - a2 * b0]), np.array([1.0, 0.0]), b0


def _matrices() -> tuple[_Matrix, _Matrix, _Matrix, _Matrix]:
    """Return what samples (rows) and states become, for products with a row on the left."""
    a, b, c, d = _system()
    powers = [np.linalg.matrix_power(a, n) for n in range(BLOCK_SAMPLES + 1)]
    response = [d, *(float(c @ power @ b) for power in powers)]
    through = np.zeros((BLOCK_SAMPLES, BLOCK_SAMPLES))
    for start in range(BLOCK_SAMPLES):
        through[start, start:] = response[: BLOCK_SAMPLES - start]
    into = np.array([powers[BLOCK_SAMPLES - 1 - n] @ b for n in range(BLOCK_SAMPLES)])
    out_of = np.array([c @ powers[n] for n in range(BLOCK_SAMPLES)]).T
    # The state before block k: the first one k blocks on, and what each block before it added.
    whole, size = powers[BLOCK_SAMPLES], len(b)
    of_frame = np.zeros(((BLOCKS + 1) * size, (BLOCKS + 1) * size))
    for source in range(BLOCKS + 1):
        for block in range(source, BLOCKS + 1):
            rows = slice(source * size, (source + 1) * size)
            columns = slice(block * size, (block + 1) * size)
            of_frame[rows, columns] = np.linalg.matrix_power(whole, block - source).T
    return through, into, out_of, of_frame


_STATES: Final = 4
_THROUGH, _INTO_STATE, _OUT_OF_STATE, _STATES_OF_FRAME = _matrices()
