"""How much work packets with FEC are worth while the mixer has time, and while it has not."""

from mixer.core.strain import Strain

# PESQ-WB of the mix at 40 kb/s, without loss and at 10 %: 3.1 and 2.3 at 3, 3.9 and 2.8 at 5, 4.2
# and 3.2 at 8 (bench.downlink_quality). A frame costs 202, 243 and 357 µs.
SPARE, USUAL, BUSY = 8, 5, 3
SPARE_BELOW, SPARE_ABOVE = 0.25, 0.4  # busy share: begins and ends what is spare
BUSY_ABOVE, BUSY_BELOW = 0.6, 0.5  # well before the first level of overload
LATE_SHARE = 0.1  # of the ticks
PATIENCE_S = 10


class Headroom:
    """Complexity of robust encoders: lowered with the first full second, raised after ten calm."""

    def __init__(self) -> None:
        self.complexity = USUAL
        self._calm_s = 0

    def note(self, strain: Strain) -> bool:
        """Take one second's strain; return whether the complexity has changed."""
        before = self.complexity
        most = self._most(strain)
        if most <= self.complexity:
            self.complexity, self._calm_s = most, 0
        else:
            self._calm_s += 1
            if self._calm_s >= PATIENCE_S:
                self.complexity, self._calm_s = most, 0
        return self.complexity != before

    def _most(self, strain: Strain) -> int:
        busy = strain.busy_share
        if busy >= (BUSY_BELOW if self.complexity == BUSY else BUSY_ABOVE):
            return BUSY
        if strain.late_share > LATE_SHARE:
            return min(self.complexity, USUAL)
        return SPARE if busy < (SPARE_ABOVE if self.complexity == SPARE else SPARE_BELOW) else USUAL
