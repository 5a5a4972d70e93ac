"""A look-ahead limiter: keeps a mix within full scale without wrapping or clipping it.

The gain is found per block of 1 ms. A block's own gain is what brings its peak under the ceiling;
the gain applied is the least of the next three blocks', so it is down before the peak arrives, and
it moves in straight lines from block to block, so it makes no clicks. It comes back over 100 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BLOCK_SAMPLES = 48  # 1 ms at 48 kHz
LOOKAHEAD_BLOCKS = 3  # 3 ms: below it speech distorts audibly, above it delay buys nothing
LOOKAHEAD_SAMPLES = LOOKAHEAD_BLOCKS * BLOCK_SAMPLES
CEILING = 32_000  # -0.2 dBFS: room for what Opus adds to a peak
FULL_SCALE = 32_767
RELEASE = 0.99  # per block: a time constant of 100 ms


@dataclass(eq=False, slots=True)
class LimiterState:
    """One mix between two ticks: the samples still inside and the gain they left at."""

    tail: NDArray[np.int32] = field(default_factory=lambda: np.zeros(LOOKAHEAD_SAMPLES, np.int32))
    gain: float = 1.0


def limit(mixes: NDArray[np.int32], states: Sequence[LimiterState]) -> NDArray[np.int16]:
    """Limit one tick of several mixes (int32[k, n], n a multiple of 48) to int16[k, n].

    The output is the input 144 samples (3 ms) ago, bit for bit while its peaks stay under the
    ceiling. `states` has one entry per row and is moved on.
    """
    rows = len(mixes)
    inside = np.empty((rows, LOOKAHEAD_SAMPLES + mixes.shape[1]), np.int32)
    for row, state in enumerate(states):
        inside[row, :LOOKAHEAD_SAMPLES] = state.tail
    inside[:, LOOKAHEAD_SAMPLES:] = mixes
    leaving = inside[:, : mixes.shape[1]]
    peaks = np.abs(inside).max(axis=1)
    for state, left in zip(states, inside[:, mixes.shape[1] :], strict=True):
        state.tail = left.copy()
    out: NDArray[np.int16] = leaving.astype(np.int16)  # loud rows wrap here and are replaced below
    for row, state in enumerate(states):
        if peaks[row] > CEILING or state.gain < 1.0:
            out[row] = _limit_row(inside[row], state)
    return out


def _limit_row(inside: NDArray[np.int32], state: LimiterState) -> NDArray[np.int16]:
    """Limit one row (int32[144 + n]); the common case, a quiet row, never comes here."""
    blocks = inside.reshape(-1, BLOCK_SAMPLES)
    peaks = np.maximum(np.abs(blocks).max(axis=1), 1)
    wanted = np.minimum(1.0, CEILING / peaks)
    count = len(blocks) - LOOKAHEAD_BLOCKS
    edges = np.empty(count + 1)
    edges[0] = gain = state.gain
    for block in range(count):
        # The least of this block's and the next three's: each is met at its beginning, and a
        # straight line between two gains that both suit a block suits all of it.
        target = float(wanted[block : block + LOOKAHEAD_BLOCKS + 1].min())
        gain = min(target, 1.0 - (1.0 - gain) * RELEASE)
        edges[block + 1] = gain
    state.gain = gain if gain < 0.9999 else 1.0
    steps = (np.arange(BLOCK_SAMPLES) + 1) / BLOCK_SAMPLES
    gains = edges[:-1, np.newaxis] + (edges[1:] - edges[:-1])[:, np.newaxis] * steps
    shaped = blocks[:count] * gains
    limited: NDArray[np.int16] = np.clip(np.rint(shaped), -FULL_SCALE, FULL_SCALE).astype(np.int16)
    return limited.reshape(-1)
