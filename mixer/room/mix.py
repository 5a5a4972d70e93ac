"""One distinct mix of a room: its limiter, its encoder and who hears it."""

import copy

import numpy as np
from numpy.typing import NDArray

from mixer.core.level import level_dbov
from mixer.core.limiter import LimiterState
from mixer.opus import Encoder
from mixer.types import PCM_ROWS, Int16Frame, Outgoing

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
        self._last: Int16Frame | None = None
        self._encoder: Encoder | None = None
        self._is_fed = False  # whether the encoder has had the frame before the next one

    def branch(self) -> "Mix":
        """Return a mix that goes on from this one: its hearers change over without a click."""
        mix = Mix()
        mix.limiter = copy.deepcopy(self.limiter)
        mix.is_sounding = self.is_sounding
        mix._last = self._last
        return mix

    def advance(self, frame: Int16Frame, *, has_sound: bool) -> Outgoing | None:
        """Take the next 20 ms (int16[960], limited); return what to send, None if nobody hears.

        An encoder that goes on with what others were sent so far is primed: it encodes the frame
        before, whose output is thrown away.
        """
        begins, previous = not self.is_sounding, self._last
        self.is_sounding, self._last = has_sound, frame
        if not len(self.rows):
            self._is_fed = False
            return None
        if (self.rows >= PCM_ROWS).all():
            self._is_fed = False
            return Outgoing(b"", self.rows, level_dbov(frame), marker=begins, pcm=frame)
        if self._encoder is None:
            self._encoder = Encoder()
        if begins:
            self._encoder.reset()  # whoever has lost count in the pause starts with this frame
        elif not self._is_fed and previous is not None:
            self._encoder.reset()
            self._encoder.encode(previous)
        self._is_fed = True
        payload = self._encoder.encode(frame)
        return Outgoing(payload, self.rows, level_dbov(frame), marker=begins, pcm=frame)
