"""A bounded ring of frames on their way from outside into a room."""

from collections import deque

import numpy as np

from mixer.types import FRAME_SAMPLES, Int16Frame

RING_FRAMES = 50  # 1 s: a decoder in another process may be descheduled for that long


class FrameRing:
    """Holds up to `frames` ticks of 48 kHz audio. When full it refuses the newest and counts it."""

    def __init__(self, frames: int = RING_FRAMES) -> None:
        self.refused = 0
        self._frames: deque[Int16Frame] = deque()
        self._capacity = frames
        self._is_closed = False

    @property
    def space(self) -> int:
        """How many frames are taken at once now."""
        return 0 if self._is_closed else self._capacity - len(self._frames)

    @property
    def is_over(self) -> bool:
        """Whether no frame is left and none will come."""
        return self._is_closed and not self._frames

    def push(self, frame: Int16Frame) -> bool:
        """Take 20 ms (int16[960] or int16[960, 2]); return whether there was space for it.

        Raises:
            ValueError: the frame has another form.
        """
        if frame.dtype != np.int16 or frame.shape not in {(FRAME_SAMPLES,), (FRAME_SAMPLES, 2)}:
            raise ValueError(f"no 20 ms of audio: {frame.dtype}{list(frame.shape)}")
        if not self.space:
            self.refused += 1
            return False
        self._frames.append(frame.copy())
        return True

    def close(self) -> None:
        """Say that no more frames come."""
        self._is_closed = True

    def take_nowait(self) -> Int16Frame | None:
        """Return the next frame, None while there is none."""
        return self._frames.popleft() if self._frames else None
