"""One distinct mix of a room: its limiter, its encoder and who hears it."""

import numpy as np
from numpy.typing import NDArray

from mixer.core.limiter import LimiterState
from mixer.opus import Encoder
from mixer.types import PCM_ROWS, Int16Frame, Outgoing

MUSIC_BPS = 128_000  # stereo

# Opus TOC alone (RFC 6716 §3.1: CELT, full band, 20 ms, one empty frame): the receiver's decoder
# takes it as DTX and makes comfort noise instead of concealing a loss.
COMFORT_PAYLOAD = b"\xf8"
COMFORT_STEREO = b"\xfc"
COMFORT_EVERY_TICKS = 20  # 400 ms, libopus's own interval of DTX updates

Row = tuple[float, ...]
"""A gain for every voice on the stage."""


class Mix:
    """What one group of people hears. Sounds, then is silent; never encodes silence."""

    def __init__(self, channels: int = 1) -> None:
        self.limiter = LimiterState(channels)
        self.is_sounding = False
        self.max_bitrate_bps: int | None = None
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self.gains: Row = ()
        self.fades_from: Row | None = None
        """What it is to come from in the next tick, where that is not `gains`."""
        self.apart_ticks = 0
        """For how long nobody may come from this mix to another: its encoder is too different."""
        self._last: Int16Frame | None = None
        self._encoder: Encoder | None = None
        self._sent: tuple[bytes, ...] = ()  # the payload of the tick before, for redundancy
        self._is_fed = False  # whether the encoder has had the frame before the next one

    def branch(self) -> "Mix":
        """Return a mix that goes on from this one: its hearers change over without a click."""
        mix = Mix(self.limiter.channels)
        mix.limiter = self.limiter.branch()
        mix.is_sounding = self.is_sounding
        mix.apart_ticks = self.apart_ticks
        mix._last = self._last
        if self._is_fed and self._encoder is not None:
            mix._encoder, mix._is_fed = self._encoder.clone(), True
        return mix

    def advance(self, frame: Int16Frame, level_dbov: int, *, has_sound: bool) -> Outgoing | None:
        """Take the next 20 ms (int16[960 * channels], limited) and its level.

        Returns what to send, None if nobody hears. An encoder whose mix went on without it is
        primed: it encodes the frame before, whose output is thrown away.
        """
        begins, previous = not self.is_sounding, self._last
        self.is_sounding, self._last = has_sound, frame
        if not len(self.rows):
            self._is_fed, self._sent = False, ()
            return None
        if (self.rows >= PCM_ROWS).all():
            self._is_fed, self._sent = False, ()
            return Outgoing(b"", self.rows, level_dbov, marker=begins, pcm=frame)
        if self._encoder is None:
            self._encoder = _encoder(self.limiter.channels)
        self._encoder.limit_bitrate(self.max_bitrate_bps)
        if begins:
            self._encoder.reset()  # whoever has lost count in the pause starts with this frame
        elif not self._is_fed and previous is not None:
            self._encoder.reset()
            self._encoder.encode(previous)
        self._is_fed = True
        payload = self._encoder.encode(frame)
        earlier, self._sent = () if begins else self._sent, (payload,)
        return Outgoing(payload, self.rows, level_dbov, marker=begins, previous=earlier, pcm=frame)


def _encoder(channels: int) -> Encoder:
    return Encoder() if channels == 1 else Encoder(channels=channels, bitrate_bps=MUSIC_BPS)
