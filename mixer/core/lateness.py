"""How late ticks come: a histogram since the beginning, and how it has been lately."""

from bisect import bisect_left
from collections import deque
from math import ceil

from mixer.types import Histogram

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
LATE_S = 0.005  # audible to nobody yet, and a sign of overload
RECENT_TICKS = 250  # 5 s: one hiccup is no overload, and an overload is soon over


class Lateness:
    """Counts ticks by how late they were."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0
        self._recent: deque[bool] = deque(maxlen=RECENT_TICKS)
        self._recent_late = 0

    def note(self, late_s: float) -> bool:
        """Count one tick, `late_s` seconds after its time; return whether it was late."""
        is_late = late_s > LATE_S
        self._counts[bisect_left(BOUNDS_S, late_s)] += 1
        self._sum_s += max(0.0, late_s)
        self.worst_s = max(self.worst_s, late_s)
        if len(self._recent) == RECENT_TICKS:
            self._recent_late -= self._recent[0]
        self._recent.append(is_late)
        self._recent_late += is_late
        return is_late

    def rest(self) -> None:
        """Nothing is to be done for a while: what was lately says no more how it is now."""
        self._recent.clear()
        self._recent_late = 0

    @property
    def recent_share(self) -> float:
        """The share of late ticks among the last RECENT_TICKS: 0 to 1."""
        return self._recent_late / max(1, len(self._recent))

    def percentile(self, share: float) -> float:
        """Return the upper bound (s) of the bucket that holds the percentile, 0 without a tick."""
        needed, seen = ceil(share * sum(self._counts)), 0
        for bound, count in zip((*BOUNDS_S, self.worst_s), self._counts, strict=True):
            seen += count
            if seen >= needed > 0:
                return bound
        return 0.0

    def histogram(self) -> Histogram:
        """Return the counts by bucket (seconds)."""
        return Histogram(BOUNDS_S, tuple(self._counts), self._sum_s)
