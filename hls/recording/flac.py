"""Samples to FLAC frames: the door of libavcodec for recordings."""

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from hls.recording.core.flac import FRAME_SAMPLES, STREAMINFO_BYTES

_LAYOUTS = {1: "mono", 2: "stereo"}


class FlacEncoder:
    """16 bits at 48 kHz."""

    def __init__(self, channels: int) -> None:
        context = av.CodecContext.create("flac", "w")
        context.sample_rate = 48_000
        context.format = av.AudioFormat("s16")
        context.layout = av.AudioLayout(_LAYOUTS[channels])
        context.time_base = Fraction(1, 48_000)
        context.open()
        assert context.frame_size == FRAME_SAMPLES, "the file's frames are numbered by it"
        extradata = context.extradata
        assert extradata is not None, "the encoder is open"
        self.streaminfo = bytes(extradata[:STREAMINFO_BYTES])
        self._context = context
        self._channels = channels
        self._pending: NDArray[np.int16] = np.zeros((0, channels), np.int16)

    def push(self, pcm: NDArray[np.int16]) -> bytes:
        """Take int16[n, channels]; return the frames that are complete."""
        joined = np.concatenate((self._pending, pcm)) if len(self._pending) else pcm
        whole = len(joined) - len(joined) % FRAME_SAMPLES
        self._pending = joined[whole:]
        frames = joined[:whole].reshape(-1, FRAME_SAMPLES, self._channels)
        return b"".join(self._encode(frame) for frame in frames)

    def finish(self) -> bytes:
        """Return the last frame, which is shorter."""
        last = self._encode(self._pending) if len(self._pending) else b""
        return last + b"".join(bytes(packet) for packet in self._context.encode(None))

    def _encode(self, pcm: NDArray[np.int16]) -> bytes:
        flat = np.ascontiguousarray(pcm).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(flat, format="s16", layout=_LAYOUTS[self._channels])
        frame.sample_rate = 48_000
        return b"".join(bytes(packet) for packet in self._context.encode(frame))
