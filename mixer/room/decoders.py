"""The decoder of a voice by its codec: Opus, or G.711 with a concealment of its own."""

import numpy as np

from mixer.core import g711
from mixer.core.resample import FACTOR, Interpolator
from mixer.opus import Decoder, FrameDecoder, OpusError
from mixer.types import Int16Frame, RtpCodec

_PAST = 320  # 40 ms, in which the pitch is looked for
_LAGS = range(40, 121)  # 200 to 67 Hz
_WINDOW = 80
_BLEND = 20  # 2.5 ms between what was made up and what came
_HOLD, _FADED = 80, 480  # made up at full level for 10 ms, silent after 60


def make_decoder(codec: RtpCodec) -> FrameDecoder:
    """Return a decoder of `codec` to mono 48 kHz."""
    return Decoder() if codec is RtpCodec.OPUS else G711Decoder(codec)


class G711Decoder:
    """Decodes packets of `g711.wrap`; what is missing is the last pitch period again, fading."""

    def __init__(self, codec: RtpCodec) -> None:
        self._codec = codec
        self._up = Interpolator()
        self._past: Int16Frame = np.zeros(_PAST, np.int16)
        self._period: Int16Frame | None = None  # while concealing
        self._made = 0  # samples, in this gap

    def decode(self, payload: bytes) -> Int16Frame:
        """Return the packet's audio (int16[n]). Raises OpusError: it is not of `g711.wrap`."""
        body = g711.unwrap(payload)
        if body is None:
            raise OpusError("that is no G.711")
        pcm = g711.decode(body, self._codec).copy()
        if self._period is not None:
            share = (np.arange(_BLEND) + 0.5) / _BLEND
            continued = self._make_up(_BLEND)
            pcm[:_BLEND] = np.rint(continued + (pcm[:_BLEND] - continued) * share)
            self._period = None
        self._past = np.concatenate((self._past, pcm))[-_PAST:]
        return self._up.push(pcm)

    def conceal(self, samples: int) -> Int16Frame:
        """Return a likely continuation (int16[samples], a multiple of 6), fading."""
        return self._up.push(self._make_up(samples // FACTOR))

    def _make_up(self, count: int) -> Int16Frame:
        if self._period is None:
            self._period, self._made = self._past[-_lag(self._past) :], 0
        at = self._made + np.arange(count)
        self._made += count
        gain = np.clip((_FADED - at) / (_FADED - _HOLD), 0.0, 1.0)
        made: Int16Frame = np.rint(self._period[at % len(self._period)] * gain).astype(np.int16)
        return made


def _lag(past: Int16Frame) -> int:
    """Return the distance at which the end of `past` is most like what was before it."""
    signal = past.astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)
    end = windows[-1]
    earlier = windows[len(windows) - 1 - np.array(_LAGS)]
    likeness = earlier @ end / np.sqrt(np.einsum("ij,ij->i", earlier, earlier) + 1.0)
    return _LAGS[int(np.argmax(likeness))]
