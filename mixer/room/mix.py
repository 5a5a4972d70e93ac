"""One distinct mix of a room: its limiter, its encoder and who hears it."""

import copy

import numpy as np
from numpy.typing import NDArray

from mixer.core.limiter import LimiterState
from mixer.opus import Encoder
from mixer.types import Int16Frame

# Opus TOC alone (RFC 6716 §3.1: CELT, full band, 20 ms, one empty frame): the receiver's decoder
# takes it as DTX and makes comfort noise instead of concealing a loss.
COMFORT_PAYLOAD = b"\xf8"
COMFORT_EVERY_TICKS = 20  # 400 ms, libopus's own interval of DTX updates


class Mix:
    """What one group of people hears. Sounds, then is silent; never encodes silence."""

    def __init__(self) -> None:
        self.limiter = LimiterState()
        self.is_sounding = False
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self.last: Int16Frame | None = None
        self._encoder: Encoder | None = None

    def branch(self) -> "Mix":
        """Return a mix that goes on from this one without a click.

        Limiter and encoder take over where this one is: the new encoder encodes this mix's last
        frame, whose output is thrown away.
        """
        mix = Mix()
        mix.limiter = copy.deepcopy(self.limiter)
        mix.is_sounding = self.is_sounding
        mix.last = self.last
        if self.last is not None and self.is_sounding:
            mix.encode(self.last)
        return mix

    def encode(self, frame: Int16Frame) -> bytes:
        """Encode 20 ms (int16[960])."""
        if self._encoder is None:
            self._encoder = Encoder()
        return self._encoder.encode(frame)
