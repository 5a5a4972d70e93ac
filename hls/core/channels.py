"""Interleaved PCM with as many channels as somebody wants."""

import numpy as np
from numpy.typing import NDArray


def fitted(pcm: NDArray[np.int16], samples: int, channels: int) -> NDArray[np.int16]:
    """Return int16[samples * channels], interleaved, of one or two channels in any number.

    One channel is heard from both sides; two are heard as their mean. What fits is returned as it
    is, not copied.
    """
    if pcm.size == samples * channels:
        return pcm
    if channels == 1:
        sides = pcm.reshape(samples, 2)
        return ((sides[:, 0].astype(np.int32) + sides[:, 1]) >> 1).astype(np.int16)
    return np.repeat(pcm, 2)
