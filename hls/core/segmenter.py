"""The segmenter: AAC frames with their index go in, parts and segments of them come out."""

from hls.core.timeline import SEGMENT_FRAMES


class Segmenter:
    """Groups AAC frames by the segment they fall into; segment n is frames [90 · n, 90 · n + 90).

    Frames arrive in ascending order; one that never arrived is the silent one. Silence is not
    stored: segments without any sound are made where somebody asks.
    """

    def __init__(self) -> None:
        self._final = 0  # so many frames since the origin can no longer change
        self._sounding: dict[int, dict[int, bytes]] = {}  # by segment, then by frame index

    @property
    def sounding(self) -> list[int]:
        """The segments that are not silent (as far as they are here), in ascending order."""
        return list(self._sounding)

    def push(self, index: int, frame: bytes) -> None:
        """Take AAC frame `index`. One that can no longer change is dropped: it was announced."""
        if index >= self._final:
            self._sounding.setdefault(index // SEGMENT_FRAMES, {})[index] = frame

    def seal(self, before_frame: int) -> None:
        """Let nothing before `before_frame` change any more."""
        self._final = max(self._final, before_frame)

    def is_silent(self, msn: int) -> bool:
        """Whether segment `msn` has no sound, or none is here."""
        return msn not in self._sounding

    def frames(self, first: int, count: int, silent_frame: bytes) -> list[bytes]:
        """Return frames [first, first + count) of one segment, as they are now."""
        here = self._sounding.get(first // SEGMENT_FRAMES)
        if here is None:
            return [silent_frame] * count
        return [here.get(index, silent_frame) for index in range(first, first + count)]

    def drop_before(self, msn: int) -> None:
        """Forget the sound of all segments below `msn`."""
        for old in [kept for kept in self._sounding if kept < msn]:
            del self._sounding[old]
