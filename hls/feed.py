"""A feed: one bus of a room on its way to the encoders, ticks in and levelled frames out.

Where nothing came there may be hold music, which has its level already.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from hls.core.hold import Hold, Sealed
from hls.core.leveller import AHEAD_SAMPLES, Leveller
from hls.core.ticks import Fate, TickBuffer
from hls.core.timeline import AAC_SAMPLES, Timeline
from hls.types import Reading


class Feed:
    """Everything that is done to the sound of a bus once, whatever it is encoded to."""

    def __init__(
        self, timeline: Timeline, first_tick: int, delay_ticks: int, counters: Counter[str]
    ) -> None:
        """Take ticks from `first_tick` on, as early as `delay_ticks` before their time."""
        self._ticks = TickBuffer(timeline, first_tick, ahead_ticks=delay_ticks)
        self._counters = counters
        self._channels = 1
        self._leveller: Leveller | None = None
        self.hold = Hold(self._ticks.sealed_frames)

    def configure(self, channels: int, loudness_lufs: float | None) -> None:
        """Return frames of so many channels from now on, at that loudness or as they come."""
        self._channels = channels
        self._ticks.retune(channels)
        if loudness_lufs is None:
            self._leveller = None
        elif self._leveller is None:
            self._leveller = Leveller(loudness_lufs)
        else:
            self._leveller.target_lufs = loudness_lufs

    def push(self, tick: int, pcm: NDArray[np.int16], now_tick: int) -> Fate:
        """Take one tick, int16[960 * channels]; it is copied."""
        return self._ticks.push(tick, pcm, now_tick)

    def seal(self, before_tick: int) -> list[Sealed]:
        """Close all ticks before `before_tick`; return what is to be encoded, in ascending order.

        What is not is silence, or music alone.
        """
        frames = self._levelled(before_tick)
        return self.hold.advance(self._ticks.sealed_frames, frames, self._channels)

    def read(self) -> Reading | None:
        """Return how loud the bus is on air, None if it goes out as it comes."""
        if self._leveller is None:
            return None
        self._leveller.rest_until(self._ticks.sealed_frames)
        return self._leveller.read()

    def _levelled(self, before_tick: int) -> list[tuple[int, NDArray[np.int16]]]:
        frames = self._ticks.seal(before_tick)
        if self._leveller is None or not frames:
            return frames
        before, later = self._leveller.limited_frames, dict(frames)
        levelled = [
            (index, self._leveller.level(index, samples, self._ahead(index + 1, later)))
            for index, samples in frames
        ]
        self._counters["frames_limited_total"] += self._leveller.limited_frames - before
        return levelled

    def _ahead(self, index: int, later: dict[int, NDArray[np.int16]]) -> NDArray[np.int16] | None:
        """Return how frame `index` begins, as far as it has come; nothing waits for it."""
        frame = later.get(index)
        if frame is None:  # most of the delay that ticks are given has passed: it is mostly there
            return self._ticks.ahead(index, AHEAD_SAMPLES)
        return frame[: AHEAD_SAMPLES * (frame.size // AAC_SAMPLES)]
