"""Silence between two mixes that have nothing in common: out of the one, into the other."""

from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from mixer.core.limiter import LOOKAHEAD_SAMPLES
from mixer.room.groups import Advanced
from mixer.types import FRAME_SAMPLES


class Fade(Enum):
    """Which way.

    `SILENCE` belongs between the two: a CELT decoder forgets by a silent frame how loud the stream
    was (RFC 6716 §4.3.2.1 takes it from there), and then it is as a new encoder believes it.
    """

    OUT = "out"
    SILENCE = "silence"
    IN = "in"


# An encoder looks back 2.5 ms: the silent frame is silent to it only after that much silence.
_HEARD_SAMPLES = FRAME_SAMPLES * 3 // 4


def _curve(first: int, last: int) -> NDArray[np.float32]:
    """Return the gain (float32[960, 1]): 0 until `first`, then a raised cosine, 1 from `last`."""
    way = np.clip((np.arange(FRAME_SAMPLES) - first) / (last - first), 0, 1)
    rising: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * way)).astype(np.float32)[:, None]
    return rising


_CURVES = {
    Fade.OUT: 1 - _curve(0, _HEARD_SAMPLES),
    Fade.SILENCE: np.zeros((FRAME_SAMPLES, 1), np.float32),
    # Before that a new limiter gives out nothing.
    Fade.IN: _curve(LOOKAHEAD_SAMPLES, FRAME_SAMPLES),
}


def faded(mixes: Sequence[Advanced], channels: int, way: Fade) -> list[Advanced]:
    """Return 20 ms of each mix led into silence, or out of it."""
    curve = _CURVES[way]
    return [
        mix._replace(
            frame=np.rint(mix.frame.reshape(FRAME_SAMPLES, channels) * curve)
            .astype(np.int16)
            .reshape(-1)
        )
        for mix in mixes
    ]
