"""The formats of a stream: how many channels each segment has, and where that changes."""

from typing import NamedTuple


class Span(NamedTuple):
    """Segments of one format: from `first_msn` to the one before `end_msn` (None: no end yet).

    `first_msn` never changes, so it tells one span from another.
    """

    first_msn: int
    end_msn: int | None
    channels: int


class Formats:
    """Channels in ascending order of the segment from which each number holds.

    A change is a discontinuity (RFC 8216 §4.3.2.3). What was before this process is not known, so
    it has had the format that the stream began with here.
    """

    def __init__(self, channels: int) -> None:
        self.spans: tuple[Span, ...] = (Span(0, None, channels),)
        """All formats that are not forgotten, in order."""
        self._forgotten = 0

    @property
    def channels(self) -> int:
        """How many channels there will be when all planned changes are over."""
        return self.spans[-1].channels

    def plan(self, channels: int, from_msn: int) -> None:
        """Have so many channels from segment `from_msn` (above 0) on; earlier ones stay."""
        kept = [span for span in self.spans if span.first_msn < from_msn]
        last = kept.pop()
        if last.channels == channels:
            self.spans = (*kept, last._replace(end_msn=None))
        else:
            turned = Span(from_msn, None, channels)
            self.spans = (*kept, last._replace(end_msn=from_msn), turned)

    def of(self, msn: int) -> int:
        """Return the number of channels of segment `msn`; before all that is held, the first's."""
        holding = (span.channels for span in reversed(self.spans) if span.first_msn <= msn)
        return next(holding, self.spans[0].channels)

    def is_turn(self, msn: int) -> bool:
        """Whether segment `msn` has another format than the one before it."""
        return any(span.first_msn == msn for span in self.spans[1:])

    def sequence(self, msn: int) -> int:
        """Return how many discontinuities came before or with segment `msn`."""
        return self._forgotten + sum(span.first_msn <= msn for span in self.spans[1:])

    def forget_before(self, msn: int) -> None:
        """Drop the formats that no segment from `msn` on has; their number is still counted."""
        while len(self.spans) > 1 and self.spans[1].first_msn <= msn:
            self.spans = self.spans[1:]
            self._forgotten += 1
