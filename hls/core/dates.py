"""What was so at which time: the date ranges of a stream."""

from hls.core.playlist import DateRange

MOST_RANGES = 1000  # an hour of quick talk; each is a line in every playlist


class Dates:
    """Date ranges by their id, as long as a window reaches back to them."""

    def __init__(self) -> None:
        self.dropped = 0
        self._ranges: dict[str, DateRange] = {}
        self._sorted: tuple[DateRange, ...] | None = ()

    def mark(self, date: DateRange) -> None:
        """Keep a range, in place of an earlier one of that id.

        Of too many the oldest goes that is over, or else the oldest.
        """
        self._ranges[date.id] = date
        self._sorted = None
        if len(self._ranges) > MOST_RANGES:
            del self._ranges[min(self._ranges.values(), key=_worth).id]
            self.dropped += 1

    def since(self, unix_s: float) -> tuple[DateRange, ...]:
        """Return the ranges that end after `unix_s` or have no end yet, and forget the others.

        They are in the order of their beginnings; the same tuple as long as none comes or goes.
        """
        over = [date.id for date in self._ranges.values() if _end(date) < unix_s]
        for one in over:
            del self._ranges[one]
        if over or self._sorted is None:
            self._sorted = tuple(sorted(self._ranges.values(), key=lambda one: one.start_unix_s))
        return self._sorted


def _worth(date: DateRange) -> tuple[bool, float]:
    """Return what the least of goes first: what is over, and then what began first."""
    return date.duration_s is None, date.start_unix_s


def _end(date: DateRange) -> float:
    return float("inf") if date.duration_s is None else date.start_unix_s + date.duration_s
