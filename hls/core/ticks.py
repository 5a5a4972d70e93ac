"""The tick buffer: PCM ticks in any order go in, AAC-sized frames in order come out."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from hls.core.channels import fitted
from hls.core.timeline import AAC_SAMPLES, TICK_SAMPLES, Timeline


class Fate(Enum):
    """What became of a tick."""

    ACCEPTED = "accepted"
    LATE = "late"  # its time is already sealed
    EARLY = "early"  # further ahead than any honest clock
    REPEATED = "repeated"  # the first copy counts


class TickBuffer:
    """Lays ticks of one room onto the grid of 1024-sample frames.

    A tick is written straight to its place, so order does not matter; what has not arrived when
    its time is sealed is silence. Silent frames are neither stored nor returned: a gap costs
    nothing, however long. Holds at most the ticks between the last seal and `ahead_ticks` after
    the clock.
    """

    def __init__(
        self, timeline: Timeline, first_tick: int, *, ahead_ticks: int, channels: int = 1
    ) -> None:
        self._timeline = timeline
        self._channels = channels
        self._ahead_ticks = ahead_ticks
        self._sealed_tick = max(first_tick, timeline.origin_tick)
        self._arrived: set[int] = set()
        self._open: dict[int, NDArray[np.int16]] = {}

    def push(self, tick: int, pcm: NDArray[np.int16], now_tick: int) -> Fate:
        """Take one tick of one or two channels, int16[960 * channels] interleaved; it is copied."""
        if tick < self._sealed_tick:
            return Fate.LATE
        if tick > now_tick + self._ahead_ticks:
            return Fate.EARLY
        if tick in self._arrived:
            return Fate.REPEATED
        self._arrived.add(tick)
        if pcm.any():
            self._lay(self._timeline.position(tick), fitted(pcm, TICK_SAMPLES, self._channels))
        return Fate.ACCEPTED

    def ahead(self, index: int, samples: int) -> NDArray[np.int16] | None:
        """Return the first `samples` of frame `index`, int16[samples * channels], before its time.

        What has not come yet is 0; None if nothing that sounds has.
        """
        frame = self._open.get(index)
        return None if frame is None else frame[: samples * self._channels]

    def retune(self, channels: int) -> None:
        """Return frames of so many channels from now on."""
        self._channels = channels
        for index, samples in self._open.items():
            self._open[index] = fitted(samples, AAC_SAMPLES, channels)

    def seal(self, before_tick: int) -> list[tuple[int, NDArray[np.int16]]]:
        """Close all ticks before `before_tick`; return the finished frames that sound.

        Each is (frame index, int16[1024 * channels] interleaved), in ascending order. A frame below
        `sealed_frames` that was never returned is silent.
        """
        if before_tick > self._sealed_tick:
            self._sealed_tick = before_tick
            self._arrived = {tick for tick in self._arrived if tick >= before_tick}
        done = sorted(index for index in self._open if index < self.sealed_frames)
        return [(index, self._open.pop(index)) for index in done]

    @property
    def sealed_frames(self) -> int:
        """Number of frames since the origin whose samples can no longer change."""
        return self._timeline.position(self._sealed_tick) // AAC_SAMPLES

    def _lay(self, position: int, pcm: NDArray[np.int16]) -> None:
        index, offset = divmod(position, AAC_SAMPLES)
        width = self._channels
        head = min(TICK_SAMPLES, AAC_SAMPLES - offset)
        self._frame(index)[offset * width : (offset + head) * width] = pcm[: head * width]
        if head < TICK_SAMPLES:
            self._frame(index + 1)[: (TICK_SAMPLES - head) * width] = pcm[head * width :]

    def _frame(self, index: int) -> NDArray[np.int16]:
        if index not in self._open:
            self._open[index] = np.zeros(AAC_SAMPLES * self._channels, np.int16)
        return self._open[index]
