"""How hard the ticker worked, second by second."""

from collections import deque
from dataclasses import dataclass

SECOND_S = 1.0
RECENT_S = 5  # what a scrape or a placement looks at: one loud second says little


@dataclass(frozen=True, slots=True)
class Strain:
    """One second of ticks: the share of the time that went into work, the share that came late.

    `busy_share` may pass 1 a little where a tick's work reached into the second.
    """

    busy_share: float
    late_share: float


class StrainMeter:
    """Adds up work and late ticks; times are seconds of one clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._work_s = 0.0
        self._ticks = 0
        self._late = 0
        self._recent: deque[float] = deque(maxlen=RECENT_S)

    def worked(self, began: float, ended: float) -> None:
        """Count work."""
        self._work_s += ended - began

    def ticked(self, *, is_late: bool) -> None:
        """Count a wake-up for a tick."""
        self._ticks += 1
        self._late += is_late

    def second(self, now: float) -> Strain | None:
        """Return how the second (or more) that has just ended was; None while it lasts."""
        length = now - self._since
        if length < SECOND_S:
            return None
        strain = Strain(self._work_s / length, self._late / max(1, self._ticks))
        self._recent.append(strain.busy_share)
        self._since, self._work_s, self._ticks, self._late = now, 0.0, 0, 0
        return strain

    @property
    def busy_share(self) -> float:
        """The mean share of the last RECENT_S seconds, 0 before the first has ended."""
        return sum(self._recent) / max(1, len(self._recent))
