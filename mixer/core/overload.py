"""What a mixer does without so that its ticks stay in time: quality goes before frames do."""

from typing import Final

from mixer.core.strain import Strain
from mixer.types import OverloadLevel, Quality

STRAINED_SHARE = 0.8  # of the time: the rest is the reserve for a handshake or a burst
HOPELESS_SHARE = 1.0  # ticks fall behind: one step a second would come too late
LATE_SHARE = 0.1  # of the ticks
OURS_SHARE = 0.4  # below, late ticks are the machine's doing: less quality would not help them
CALM_SHARE = 0.5
BACK_SHARE = 0.65  # what a second may take at the level below: well under STRAINED_SHARE
CALM_S = 5  # in a row before the first step down
DOUBT = 12  # times as long if the level below would be strained again, by what was learned
LEARN_S = 3  # after a step up it shows what the step was worth: fades last less than a second
MOST_SAVED = 0.2  # of what it was: less is a pause in speech that came just then
RELAPSE_S = 10  # a step up so soon after a step down: it came down too early
MAX_CALM_S = 160
FORGIVE_S = 300  # without any overload

QUALITIES: Final = {
    OverloadLevel.NONE: Quality(),
    # Of a tick in which twenty people speak these two save 6 and 11 %; complexity is 0 already.
    OverloadLevel.LEAN: Quality(max_bitrate_bps=64_000),
    OverloadLevel.THIN: Quality(max_bitrate_bps=48_000),
    # Each speaker has a mix and an encode of their own: this saves 75 %, where many speak.
    OverloadLevel.FEW: Quality(max_bitrate_bps=48_000, loudest=3),
    OverloadLevel.FULL: Quality(max_bitrate_bps=48_000, loudest=3),
}


class Overload:
    """Steps up with each strained second, and down after some calm ones.

    Between strained and calm lies a wide band in which the level stays. What a step up was worth is
    learned from the seconds after it, and it is taken back only when the load has fallen as far as
    that, or once in a long while to see. Whoever had to step up right after stepping down waits
    twice as long before the next step down. So a load that is only just too much makes no see-saw.
    """

    def __init__(self) -> None:
        self.level = OverloadLevel.NONE
        self._needed_s = CALM_S
        self._sure_s = 0  # calm, and by what was learned also at the level below
        self._calm_s = 0
        self._since_down_s = RELAPSE_S
        self._since_up_s = LEARN_S
        self._untroubled_s = 0
        self._share_before = STRAINED_SHARE  # the last step up
        self._worth = dict.fromkeys(OverloadLevel, 1.0)  # the share after a step of that before

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
        self._since_up_s += 1
        if self._since_up_s <= LEARN_S:
            self._learn(strain.busy_share)
        if _is_strained(strain):
            self._step_up(strain.busy_share)
        elif strain.busy_share < CALM_SHARE:
            self._rest(strain.busy_share)
        else:
            self._sure_s = self._calm_s = 0
        return self.level is not before

    def _learn(self, busy_share: float) -> None:
        worth = max(MOST_SAVED, busy_share / self._share_before)
        self._worth[self.level] = min(self._worth[self.level], worth)

    def _step_up(self, busy_share: float) -> None:
        self._sure_s = self._calm_s = self._untroubled_s = 0
        if self.level is OverloadLevel.FULL:
            return
        if self._since_down_s <= RELAPSE_S:
            self._needed_s = min(2 * self._needed_s, MAX_CALM_S)
            self._since_down_s = RELAPSE_S
        steps = 2 if busy_share >= HOPELESS_SHARE else 1
        self.level = OverloadLevel(min(self.level + steps, OverloadLevel.FULL))
        self._worth[self.level], self._share_before, self._since_up_s = 1.0, busy_share, 0

    def _rest(self, busy_share: float) -> None:
        if self.level is OverloadLevel.NONE:
            self._untroubled_s += 1
            if self._untroubled_s >= FORGIVE_S:
                self._needed_s = CALM_S
            return
        is_sure = busy_share / self._worth[self.level] < BACK_SHARE
        self._sure_s = self._sure_s + 1 if is_sure else 0
        self._calm_s += 1
        if self._sure_s >= self._needed_s or self._calm_s >= DOUBT * self._needed_s:
            self._sure_s = self._calm_s = self._since_down_s = 0
            self.level = OverloadLevel(self.level - 1)


def _is_strained(strain: Strain) -> bool:
    return strain.busy_share > STRAINED_SHARE or (
        strain.late_share > LATE_SHARE and strain.busy_share > OURS_SHARE
    )
