"""How often each caller may do what."""

import pytest

from server.errors import TooFast
from server.services.limits import Limit, Limits


def test_changed_limits_count_anew_and_the_others_on() -> None:
    """Who was refused by a limit that stays is refused still."""
    limits = Limits({Limit.JOINS: 1, Limit.HLS: 1}, lambda: 0.0, seed=1)
    for limit in (Limit.JOINS, Limit.HLS):
        limits.check(limit, "ann")
        with pytest.raises(TooFast):
            limits.check(limit, "ann")
    limits.change({Limit.JOINS: 1, Limit.HLS: 1000})
    limits.check(Limit.HLS, "ann")
    with pytest.raises(TooFast):
        limits.check(Limit.JOINS, "ann")
