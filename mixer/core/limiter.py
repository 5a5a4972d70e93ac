"""A look-ahead limiter: keeps a mix within full scale without wrapping or clipping it.

The gain is found per block of 1 ms. What a block needs so that its peak meets the ceiling is asked
for two blocks early, let go over 100 ms, and averaged over three blocks, which makes a ramp that is
complete when the block begins. Between block edges the gain moves in straight lines. While a mix
is too loud for longer, most of that is held over 200 ms: a gain that follows every beat of ten
voices distorts them. Both channels of a stereo mix have the same gain, so that nothing wanders
between left and right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixer.types import SAMPLE_RATE

BLOCK_SAMPLES = SAMPLE_RATE // 1000
LOOKAHEAD_BLOCKS = 3  # 3 ms: a shorter attack is heard as a click, a longer one only as delay
LOOKAHEAD_SAMPLES = LOOKAHEAD_BLOCKS * BLOCK_SAMPLES
CEILING = 32_000  # -0.2 dBFS: room for what Opus adds to a peak, and for rounding

_RELEASE = 0.99  # per block: a time constant of 100 ms, slow enough not to pump with syllables
_HOLD = 0.1  # per tick of the way: 200 ms, so that a lone peak hardly raises it
_NEGLIGIBLE = 2e-5  # under one step at full scale; a peak one step over the ceiling needs more

Attenuation = NDArray[np.float64]
"""What is taken off, as one minus the gain: 0 changes nothing."""

_AT_REST: Attenuation = np.zeros(LOOKAHEAD_BLOCKS)
_AT_REST.flags.writeable = False


@dataclass(eq=False, slots=True)
class LimiterState:
    """One mix between two ticks: the samples still inside, and what will be taken off them."""

    channels: int = 1
    tail: NDArray[np.int32] | NDArray[np.int16] = field(init=False)
    attenuation: Attenuation = field(default_factory=lambda: _AT_REST)
    """At the last three block edges, before averaging; `_AT_REST` itself if nothing is."""
    held: float = 0.0
    """What is taken off at least, because so much was taken off lately."""
    let_go: float = 0.0
    """What would be taken off at the last edge without that."""

    def __post_init__(self) -> None:
        self.tail = np.zeros(LOOKAHEAD_SAMPLES * self.channels, np.int32)

    def branch(self) -> "LimiterState":
        """Return a state that goes on from this one on its own."""
        state = LimiterState(self.channels)
        state.tail, state.attenuation = self.tail, self.attenuation  # replaced, never written to
        state.held, state.let_go = self.held, self.let_go
        return state


def limit(
    mixes: NDArray[np.int32] | NDArray[np.int16], states: Sequence[LimiterState]
) -> NDArray[np.int16]:
    """Limit one tick of several mixes (int[k, n * channels]) to int16[k, n * channels].

    n is a multiple of 48 from 144; channels stand by turns, and are as many in all mixes. The
    output is the input 144 samples (3 ms) ago: bit for bit while peaks stay under the ceiling,
    never beyond ±32,767. `states` has one entry per row and is moved on.
    """
    out = np.empty(mixes.shape, np.int16)
    if not mixes.size:
        return out
    inside = LOOKAHEAD_SAMPLES * states[0].channels
    out[:, inside:] = mixes[:, :-inside]  # loud rows are replaced below
    tails = mixes[:, -inside:].copy()
    # Reducing by the ufuncs: the methods of the array cost half as much again.
    is_calm = (
        np.maximum.reduce(mixes, axis=None) <= CEILING
        and np.minimum.reduce(mixes, axis=None) >= -CEILING
    )
    loud = []
    for row, state in enumerate(states):
        if is_calm and state.attenuation is _AT_REST:
            out[row, :inside] = state.tail
            state.tail = tails[row]
        else:
            loud.append(row)
    if not loud:
        return out
    if len(loud) == len(states):
        out = _limit_rows(mixes, states)
    else:
        out[loud] = _limit_rows(mixes[loud], [states[row] for row in loud])
    for row in loud:
        states[row].tail = tails[row]
    return out


def _limit_rows(
    mixes: NDArray[np.int32] | NDArray[np.int16], states: Sequence[LimiterState]
) -> NDArray[np.int16]:
    """Limit mixes that are loud or were lately; as `limit`, but the tails are left to it."""
    rows, channels = len(states), states[0].channels
    inside = LOOKAHEAD_SAMPLES * channels
    joined = np.empty((rows, inside + mixes.shape[1]), np.float32)
    joined[:, :inside] = [state.tail for state in states]
    joined[:, inside:] = mixes
    blocks = joined.reshape(rows, -1, BLOCK_SAMPLES * channels)
    peaks = np.maximum(blocks.max(axis=2), -blocks.min(axis=2)).astype(np.float64)
    needed: Attenuation = 1.0 - CEILING / np.maximum(peaks, CEILING)
    count = needed.shape[1] - LOOKAHEAD_BLOCKS
    # An edge must suit the block before it and the one behind it. Averaging over three edges takes
    # in what the two before saw, so each asks for the needs of four blocks, from one back to two
    # ahead: then all three cover both.
    pairs = np.maximum(needed[:, :-1], needed[:, 1:])
    asked = np.maximum(pairs[:, :count], pairs[:, 2 : 2 + count])
    quick = _let_go(asked, np.array([[state.let_go] for state in states]))
    edges = np.empty((rows, LOOKAHEAD_BLOCKS + count))
    for row, (state, most) in enumerate(zip(states, quick.max(axis=1).tolist(), strict=True)):
        edges[row, :LOOKAHEAD_BLOCKS] = state.attenuation
        np.maximum(quick[row], state.held, out=edges[row, LOOKAHEAD_BLOCKS:])
        state.held += (most - state.held) * _HOLD
        state.let_go = float(quick[row, -1])
        left = edges[row, -LOOKAHEAD_BLOCKS:]
        if left[-1] < _NEGLIGIBLE:
            state.attenuation, state.held, state.let_go = _AT_REST, 0.0, 0.0
        else:
            state.attenuation = left.copy()
    gains = 1.0 - (edges[:, :-2] + edges[:, 1:-1] + edges[:, 2:]) / 3
    ends = np.stack((gains[:, :-1], gains[:, 1:]), axis=2).astype(np.float32)
    shaped = (ends.reshape(-1, 2) @ _between(channels)).reshape(rows, count, -1)
    shaped *= blocks[:, :count]
    # No clip: float32 is wrong by less than a step here, and full scale is 767 of them away.
    limited: NDArray[np.int16] = np.rint(shaped, out=shaped).astype(np.int16).reshape(rows, -1)
    return limited


@lru_cache
def _between(channels: int) -> NDArray[np.float32]:
    """Return the weights of a block's two edges at its samples: float32[2, 48 * channels]."""
    later = np.arange(BLOCK_SAMPLES, dtype=np.float32) / BLOCK_SAMPLES
    return np.repeat(np.stack((1 - later, later)), channels, axis=1)


@lru_cache
def _decay(blocks: int) -> Attenuation:
    return np.power(_RELEASE, np.arange(1, blocks + 1))


def _let_go(asked: Attenuation, before: Attenuation) -> Attenuation:
    """Return the attenuation (float64[k, t]) that rises at once and falls by the release.

    That is `a[t] = max(asked[t], a[t - 1] * release)` from `before` (float64[k, 1]) on, in closed
    form.
    """
    decay = _decay(asked.shape[1])
    released: Attenuation = decay * np.maximum(np.maximum.accumulate(asked / decay, axis=1), before)
    return released
