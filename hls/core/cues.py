"""The captions of one language: which cues are shown in which segment."""

from dataclasses import replace

from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES
from hls.core.webvtt import Cue
from hls.types import CaptionFate

MAX_IN_SEGMENT = 64  # nobody reads more than a few; a file of 130 kB at most
MAX_HELD = 40_000  # half a day of a cue in each segment, some 10 MB; the oldest go
MAX_CUE_S = 30
# What came too late to be shown with its sound is shown so long (less if it is shorter): two
# seconds are a line of captions at an unhurried reader's speed.
LATE_SHOWN_S = 2
_SEGMENT_SAMPLES = SEGMENT_FRAMES * AAC_SAMPLES


class Cues:
    """Cues by segment. What a segment shows does not change once it may have been fetched."""

    def __init__(self) -> None:
        self.dropped = 0
        """Cues of segments that were forgotten for want of room."""
        self._by_msn: dict[int, list[Cue]] = {}
        self._held = 0

    def __len__(self) -> int:
        """Return how many cues there are; one is counted in each segment that shows it."""
        return self._held

    def add(self, cue: Cue, first_msn: int) -> CaptionFate:
        """Show a cue, MAX_CUE_S of it, in every segment it reaches into, from `first_msn` on.

        Where it began before that it keeps its beginning, for who is far enough behind to see it in
        time, and stays until it was shown for a moment in segment `first_msn`.
        """
        begin = first_msn * _SEGMENT_SAMPLES
        cue = replace(cue, end=min(cue.end, cue.start + MAX_CUE_S * SAMPLE_RATE))
        is_late = cue.start < begin
        if is_late:
            shown = min(cue.end - cue.start, LATE_SHOWN_S * SAMPLE_RATE)
            cue = replace(cue, end=max(cue.end, begin + shown))
        first = max(first_msn, cue.start // _SEGMENT_SAMPLES)
        numbers = range(first, -(-cue.end // _SEGMENT_SAMPLES))
        if any(len(self.of(msn)) >= MAX_IN_SEGMENT for msn in numbers):
            return CaptionFate.FULL
        for msn in numbers:
            self._by_msn.setdefault(msn, []).append(cue)
        self._held += len(numbers)
        while self._held > MAX_HELD:
            self.dropped += self._drop(min(self._by_msn))
        return CaptionFate.LATE if is_late else CaptionFate.SHOWN

    def of(self, msn: int) -> list[Cue]:
        """Return what segment `msn` shows."""
        return self._by_msn.get(msn, [])

    def drop_before(self, msn: int) -> None:
        """Forget the segments below `msn`."""
        for old in [kept for kept in self._by_msn if kept < msn]:
            self._drop(old)

    def _drop(self, msn: int) -> int:
        gone = len(self._by_msn.pop(msn))
        self._held -= gone
        return gone
