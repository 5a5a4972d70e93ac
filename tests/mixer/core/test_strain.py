"""How hard the ticker worked."""

import pytest

from mixer.core.strain import RECENT_S, Strain, StrainMeter


def test_a_second_is_judged_when_it_is_over() -> None:
    """Shares are of the time and of the ticks; the next second begins at nothing."""
    meter = StrainMeter(10.0)
    meter.worked(10.0, 10.25)
    for is_late in (True, False, False, False):
        meter.ticked(is_late=is_late)
    assert meter.second(10.9) is None
    assert meter.second(11.0) == Strain(0.25, 0.25)
    assert meter.second(12.5) == Strain(0.0, 0.0)


def test_a_long_second_counts_by_its_length() -> None:
    """Who comes back after two seconds is told the share of both."""
    meter = StrainMeter(0.0)
    meter.worked(0.5, 1.5)
    assert meter.second(2.0) == Strain(0.5, 0.0)


def test_the_recent_share_is_a_mean() -> None:
    """Of the last RECENT_S seconds; nothing is known before the first."""
    meter = StrainMeter(0.0)
    assert meter.busy_share == 0
    for second in range(2 * RECENT_S):
        meter.worked(second, second + (1.0 if second < RECENT_S + 1 else 0.5))
        meter.second(second + 1.0)
    assert meter.busy_share == pytest.approx((1.0 + 0.5 * (RECENT_S - 1)) / RECENT_S)
