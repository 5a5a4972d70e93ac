"""What a mixer does without so that its ticks stay in time: quality goes before frames do."""

from typing import Final

from mixer.core.strain import Strain
from mixer.types import OverloadLevel, Quality

STRAINED_SHARE = 0.8  # of the time: the rest is the reserve for a handshake or a burst
HOPELESS_SHARE = 1.0  # ticks fall behind: one step a second would come too late
CALM_SHARE = 0.5  # a step is worth up to a third, so that one step down does not lead back up
LATE_SHARE = 0.1  # of the ticks
OURS_SHARE = 0.4  # below, late ticks are the machine's doing: less quality would not help them
CALM_S = 5  # in a row before the first step down
RELAPSE_S = 10  # a step up so soon after a step down: it came down too early
MAX_CALM_S = 160
FORGIVE_S = 300  # without any overload

QUALITIES: Final = {
    OverloadLevel.NONE: Quality(),
    # CELT of 20 ms at complexity 0: 72 us at 96 kb/s, 60 at 64. It is at 0 already.
    OverloadLevel.LEAN: Quality(max_bitrate_bps=64_000),
    OverloadLevel.THIN: Quality(max_bitrate_bps=48_000),
    # Each speaker has a mix and an encode of their own, so this is what helps the most.
    OverloadLevel.FEW: Quality(max_bitrate_bps=48_000, loudest=3),
    OverloadLevel.FULL: Quality(max_bitrate_bps=48_000, loudest=3),
}


class Overload:
    """Steps up with each strained second, and down after some calm ones.

    Between strained and calm lies a wide band in which the level stays. Whoever had to step up
    right after stepping down waits twice as long before the next step down, up to MAX_CALM_S: a
    load that is only just too much makes no see-saw.
    """

    def __init__(self) -> None:
        self.level = OverloadLevel.NONE
        self._needed_s = CALM_S
        self._calm_s = 0
        self._since_down_s = RELAPSE_S
        self._untroubled_s = 0

    @property
    def quality(self) -> Quality:
        """What the rooms may spend."""
        return QUALITIES[self.level]

    @property
    def is_full(self) -> bool:
        """Whether nobody new may come in."""
        return self.level is OverloadLevel.FULL

    def note(self, strain: Strain) -> bool:
        """Take one second's strain; return whether the level has changed."""
        before = self.level
        self._since_down_s += 1
        if _is_strained(strain):
            self._step_up(2 if strain.busy_share >= HOPELESS_SHARE else 1)
        elif strain.busy_share < CALM_SHARE:
            self._rest()
        else:
            self._calm_s = 0
        return self.level is not before

    def _step_up(self, steps: int) -> None:
        self._calm_s = self._untroubled_s = 0
        if self.level is OverloadLevel.FULL:
            return
        if self._since_down_s <= RELAPSE_S:
            self._needed_s = min(2 * self._needed_s, MAX_CALM_S)
            self._since_down_s = RELAPSE_S
        self.level = OverloadLevel(min(self.level + steps, OverloadLevel.FULL))

    def _rest(self) -> None:
        if self.level is OverloadLevel.NONE:
            self._untroubled_s += 1
            if self._untroubled_s >= FORGIVE_S:
                self._needed_s = CALM_S
            return
        self._calm_s += 1
        if self._calm_s >= self._needed_s:
            self._calm_s = self._since_down_s = 0
            self.level = OverloadLevel(self.level - 1)


def _is_strained(strain: Strain) -> bool:
    return strain.busy_share > STRAINED_SHARE or (
        strain.late_share > LATE_SHARE and strain.busy_share > OURS_SHARE
    )
