"""A channel strip: one voice's gain and place on its way into the mix, moved without steps."""

import numpy as np
from numpy.typing import NDArray

from mixer.core.gain import pan_mono, pan_stereo
from mixer.types import FRAME_SAMPLES

Voiced = NDArray[np.int16] | NDArray[np.int32]
"""20 ms as they go into a mix: [960] mono, [1920] stereo, left and right by turns."""

_UNITY = (1.0, 1.0)
_RISING = ((np.arange(FRAME_SAMPLES, dtype=np.float32) + 1) / FRAME_SAMPLES)[:, np.newaxis]


class Strip:
    """Brings frames to a room's channels; a new gain or place is reached over one frame, 20 ms."""

    def __init__(self, channels: int, gain: float = 1.0) -> None:
        self.gain = gain
        """Wanted: a factor from 0."""
        self.pan = 0.0
        """Wanted: -1 left..1 right. Without meaning in mono."""
        self.is_open = False
        """Whether the last frame came through as it was."""
        self._channels = channels
        self._reached: tuple[float, float] | None = None if gain == 1.0 else (gain, gain)

    @property
    def is_closed(self) -> bool:
        """Whether nothing comes through, nor will."""
        return self.gain == 0.0 and self._reached == (0.0, 0.0)

    def close(self) -> None:
        """Let nothing through from now on, without a fade: nothing is heard now."""
        self.gain, self._reached = 0.0, (0.0, 0.0)

    def shape(self, frame: NDArray[np.int16]) -> Voiced:
        """Return `frame` (int16[960] or int16[960, 2]) as int[960 * channels].

        At unity samples are handed on as they are; else they are int32 and nothing is clipped. A
        stereo frame is averaged for a mono room.
        """
        self.is_open = self._reached is None and self.gain == 1.0 and self.pan == 0.0
        if self.is_open:
            return self._spread(frame)
        wanted = self._wanted(is_stereo=frame.ndim == 2)
        reached = self._reached or _UNITY
        self._reached = None if wanted == _UNITY else wanted
        gains: NDArray[np.float32] = np.array(wanted, np.float32)
        if wanted != reached:
            before = np.array(reached, np.float32)
            gains = (before + (gains - before) * _RISING).astype(np.float32)
        flat = self._spread(frame).reshape(FRAME_SAMPLES, self._channels)
        shaped = np.rint(flat * gains[..., : self._channels])
        voiced: Voiced = shaped.astype(np.int32).reshape(-1)
        return voiced

    def _wanted(self, *, is_stereo: bool) -> tuple[float, float]:
        if self._channels == 1:
            return self.gain, self.gain
        left, right = pan_stereo(self.pan) if is_stereo else pan_mono(self.pan)
        return self.gain * left, self.gain * right

    def _spread(self, frame: NDArray[np.int16]) -> Voiced:
        if frame.ndim == self._channels:
            return frame.reshape(-1)
        if self._channels == 1:  # the sum of two int16 needs 17 bits
            mean: Voiced = frame.sum(axis=1, dtype=np.int32) >> 1
            return mean
        return np.repeat(frame, 2)
