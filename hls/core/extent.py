"""How far a stream goes: on and on, or up to the end of a shorter segment."""

from hls.core.timeline import PART_FRAMES, SEGMENT_FRAMES


class Extent:
    """The frames of a stream; once it is over, its last segment may have fewer than others."""

    def __init__(self, part_frames: int) -> None:
        """Have parts of `part_frames`, a multiple of PART_FRAMES."""
        self.part_frames = part_frames
        self._end: int | None = None
        self.is_marked = False  # the playlists tell that it is over

    @property
    def is_over(self) -> bool:
        """Whether nothing is added any more."""
        return self._end is not None

    def end(self, final_frames: int) -> int:
        """Let the stream be over with what is final; return how many segments it has.

        Its last frames, two at most, go: what is left is whole milliseconds long (PART_FRAMES).
        """
        self._end = final_frames - final_frames % PART_FRAMES
        return -(-self._end // SEGMENT_FRAMES)

    def frames(self, msn: int) -> int:
        """Return how many frames segment `msn` has."""
        if self._end is None:
            return SEGMENT_FRAMES
        return min(SEGMENT_FRAMES, max(0, self._end - msn * SEGMENT_FRAMES))

    def parts(self, msn: int) -> tuple[int, ...]:
        """Return how many frames each part of segment `msn` has; only the last may have fewer."""
        whole, rest = divmod(self.frames(msn), self.part_frames)
        return (self.part_frames,) * whole + ((rest,) if rest else ())
