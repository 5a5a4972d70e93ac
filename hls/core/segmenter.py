"""The segmenter: AAC frames with their index go in, segments of 90 frames come out."""

from dataclasses import dataclass

from hls.core.timeline import SEGMENT_FRAMES


@dataclass(frozen=True, slots=True)
class Segment:
    """One media segment: frames [90 · msn, 90 · msn + 90) of the timeline."""

    msn: int
    frames: tuple[bytes, ...]


class Segmenter:
    """Groups AAC frames by the segment they fall into.

    Frames arrive in ascending order; a frame that never arrived is the silent one, also at the
    beginning of the first segment after a start. Segments without any sound are not made here
    unless somebody asks (`silent`).
    """

    def __init__(self, silent_frame: bytes) -> None:
        self._silent_frame = silent_frame
        self._open: dict[int, bytes] = {}
        self._complete = 0

    @property
    def complete(self) -> int:
        """Number of segments since the origin that can no longer change."""
        return self._complete

    def push(self, index: int, frame: bytes) -> None:
        """Take AAC frame `index`. A frame of a complete segment is dropped: it was announced."""
        if index >= self._complete * SEGMENT_FRAMES:
            self._open[index] = frame

    def seal(self, before_frame: int) -> list[Segment]:
        """Complete all segments that end at or before `before_frame`; return those that sound."""
        self._complete = max(self._complete, before_frame // SEGMENT_FRAMES)
        done = sorted({index // SEGMENT_FRAMES for index in self._open})
        return [self._take(msn) for msn in done if msn < self._complete]

    def silent(self, msn: int) -> Segment:
        """Return segment `msn` as it is when nobody made a sound."""
        return Segment(msn, (self._silent_frame,) * SEGMENT_FRAMES)

    def _take(self, msn: int) -> Segment:
        first = msn * SEGMENT_FRAMES
        indexes = range(first, first + SEGMENT_FRAMES)
        return Segment(msn, tuple(self._open.pop(i, self._silent_frame) for i in indexes))
