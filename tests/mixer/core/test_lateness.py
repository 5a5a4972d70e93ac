"""How late ticks come."""

import pytest

from mixer.core.lateness import BOUNDS_S, LATE_S, RECENT_TICKS, Lateness


def test_ticks_are_counted_by_lateness() -> None:
    """A bucket holds what is up to its bound, the last one what is above all."""
    lateness = Lateness()
    noted = [lateness.note(late_s) for late_s in (-1e-9, 0.001, 0.0011, LATE_S, 0.006, 0.5)]
    assert noted == [False, False, False, False, True, True]
    assert lateness.histogram().bounds == BOUNDS_S
    assert lateness.histogram().counts == (2, 1, 1, 1, 0, 0, 0, 1)
    assert lateness.histogram().total == pytest.approx(0.5131)
    assert lateness.worst_s == 0.5


def test_percentiles_are_bounds_of_buckets() -> None:
    """The worst stands for what is above all bounds; without a tick there is none."""
    lateness = Lateness()
    assert lateness.percentile(0.99) == 0
    for late_s in (*[0.0005] * 98, 0.03, 0.7):
        lateness.note(late_s)
    assert [lateness.percentile(share) for share in (0.5, 0.98, 0.99, 1.0)] == [
        0.001,
        0.001,
        0.05,
        0.7,
    ]


def test_what_was_lately_passes() -> None:
    """The share is that of the last RECENT_TICKS, and starts anew after a rest."""
    lateness = Lateness()
    assert lateness.recent_share == 0
    for _ in range(10):
        lateness.note(0.1)
    assert lateness.recent_share == 1
    for _ in range(RECENT_TICKS - 5):
        lateness.note(0)
    assert lateness.recent_share == pytest.approx(5 / RECENT_TICKS)
    lateness.rest()
    assert lateness.recent_share == 0
    assert not lateness.note(0)
    assert lateness.recent_share == 0
