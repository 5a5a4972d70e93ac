"""When those in a room are told that its time is running out, and when it is over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Closing:
    """What was told so far.

    `told_s` is the smallest warning that was given (None: none), `over_at` the earliest moment
    (monotonic seconds) at which who was warned so may be cut off.
    """

    told_s: int | None = None
    over_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: tell that so many seconds are left (None: nothing), or end it."""

    closing: Closing
    tell_s: int | None = None
    is_over: bool = False


NOT_CLOSING: Final = Closing()


def step(
    closing: Closing, left_s: float, now: float, warnings_s: Sequence[int], *, is_occupied: bool
) -> Step:
    """Return what to do with a room that has `left_s` left at `now` (monotonic seconds).

    `warnings_s` says how long before the end people are warned. Where nobody is, nobody is. Whoever
    could not be warned in time (the server was away, say) has the shortest of these left.
    """
    if not is_occupied or not warnings_s:
        return Step(NOT_CLOSING, is_over=left_s <= 0)
    reached_s = min((one for one in warnings_s if one >= left_s), default=None)
    if reached_s is None:
        return Step(NOT_CLOSING)  # there is time, or again
    if closing.told_s is None or reached_s < closing.told_s:
        tell_s = math.ceil(left_s) if left_s > 0 else min(warnings_s)
        return Step(Closing(reached_s, now + tell_s), tell_s)
    return Step(Closing(reached_s, closing.over_at), is_over=left_s <= 0 and now >= closing.over_at)
