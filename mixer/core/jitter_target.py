"""How long packets of a stream must wait, from how unevenly the last ones came.

All times are on the receiver's clock. A packet's *transit* is its arrival less its place in the
sender's media time: a number that means nothing by itself, for the clocks' zeros are arbitrary, but
differs between packets by what the network did to them. The offset between playout and media time
must be as large as the transit of nearly all packets. Because only a window of a few seconds is
looked at, a drifting clock moves all numbers alike and changes nothing.
"""

from bisect import bisect_left, insort
from collections import deque
from math import ceil

from mixer.types import TICK_S

GUARD_S = 0.005  # clean networks scatter by a millisecond, ticks come as much too early or late
FALL_S = 0.0004  # a packet, 20 ms a second: no faster than a voice can be sped up unheard
FORGET_S = 1.0  # a packet that is so much slower than all others is of another timeline

LOSS_WINDOW = 512  # packets, 10 s
MANY_LOSSES = 0.006  # from here on it is worth 20 ms to wait for the packet that repairs a loss
FEW_LOSSES = 0.003  # well below, so that it does not flap
MAX_DEPTH = 2  # frames: redundancy that reaches farther back would cost more delay than it saves


class JitterTarget:
    """The playout offset that `percentile` of the last `window` packets would have met.

    It rises at once with a packet that the percentile includes, and falls slowly. It is at least
    `min_frames - 1` frames above the transit of the fastest packet, at most `max_frames - 1`. While
    losses are frequent that the next packet could repair, it is a frame more; two if they come in
    pairs and the packets' redundancy reaches as far.
    """

    level_s: float
    """The offset from media time to playout that is aimed at, or up to a frame more."""

    def __init__(self, *, percentile: float, window: int, min_frames: int, max_frames: int) -> None:
        assert 0 < percentile <= 1, "a share of the packets"
        assert window > 0, "of some packets"
        assert 1 <= min_frames <= max_frames, "a target is a frame or more"
        self._outliers = int((1 - percentile) * window + 1e-9)
        self._window = window
        self._least_s = (min_frames - 1) * TICK_S
        self._cap_s = (max_frames - 1) * TICK_S
        self._order: deque[float] = deque()
        self._sorted: list[float] = []
        self._spread_s = self._least_s  # from the fastest packet to the percentile; decays
        self._losses = 0.0  # share of the packets whose loss the next one could repair
        self._seen = 0
        self._depth = 1  # frames until the packet that repairs a loss is here
        self._repair_s = 0.0
        self.level_s = 0.0

    def add(self, transit_s: float) -> None:
        """Take the next packet's transit."""
        ordered = self._sorted
        if ordered and not ordered[0] <= transit_s <= ordered[-1] and self._is_foreign(transit_s):
            self.forget()
        if len(ordered) == self._window:
            del ordered[bisect_left(ordered, self._order.popleft())]
        self._order.append(transit_s)
        insort(ordered, transit_s)
        fastest_s = ordered[0]
        spread_s = self._reached_s() - fastest_s
        spread_s = max(spread_s, self._spread_s - FALL_S)
        if spread_s < self._least_s:
            spread_s = self._least_s
        elif spread_s > self._cap_s:
            spread_s = self._cap_s
        self._spread_s = spread_s
        if self._repair_s:
            spread_s = min(spread_s + self._repair_s, self._cap_s)
        self.level_s = fastest_s + spread_s + GUARD_S

    def note_order(self, *, repairable: int) -> None:
        """Note a packet ahead of all others, and how many lost ones before it it could repair."""
        if self._seen < LOSS_WINDOW:
            self._seen += 1
        if not (repairable or self._losses):
            return
        self._depth = max(self._depth, min(repairable, MAX_DEPTH))
        # A mean over all packets at first.
        self._losses += ((repairable > 0) - self._losses) / max(self._seen, LOSS_WINDOW // 4)
        if self._losses > MANY_LOSSES:
            self._repair_s = self._depth * TICK_S
        elif self._losses < FEW_LOSSES:
            self._depth, self._repair_s = 1, 0.0

    def _reached_s(self) -> float:
        """Return the transit that all but the outliers were within."""
        # Of the first few, one in six may be an outlier: one stall is no reason to expect more.
        few = len(self._sorted) // 6
        return self._sorted[-1 - min(few, self._outliers)]

    def _is_foreign(self, transit_s: float) -> bool:
        """Whether the packets so far are of another timeline, or came so late that it is over."""
        if transit_s > self._sorted[-1] + FORGET_S:
            return True
        return transit_s < self._sorted[0] and self._reached_s() - transit_s > self._cap_s

    def forget(self) -> None:
        """Begin with another timeline; the network stays what it is."""
        self._order.clear()
        self._sorted.clear()

    @property
    def frames(self) -> int:
        """The target in frames of 20 ms: 1 on a clean network."""
        wanted_s = self._spread_s - GUARD_S + self._repair_s
        return 1 + max(0, ceil(min(wanted_s, self._cap_s) / TICK_S - 1e-6))
