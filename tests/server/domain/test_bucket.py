"""Buckets, with time as a number."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.bucket import LONGEST_WAIT_S, MINUTE_S, Buckets


def test_all_at_once() -> None:
    """A minute's worth may be taken at once, and not one more."""
    buckets = Buckets(30)
    assert [buckets.take("a", 5.0) for _ in range(30)] == [0.0] * 30
    assert buckets.take("a", 5.0) == pytest.approx(2.0)


def test_it_fills() -> None:
    """Whoever waits as long as told gets one."""
    buckets = Buckets(30)
    for _ in range(30):
        assert buckets.take("a", 0.0) == 0.0
    wait_s = buckets.take("a", 0.0)
    assert buckets.take("a", wait_s) == 0.0
    assert buckets.take("a", wait_s) > 0.0


def test_keys_are_apart() -> None:
    """One key's bucket is not another's."""
    buckets = Buckets(1)
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 0.0) == pytest.approx(MINUTE_S)


def test_no_limit() -> None:
    """0 is no limit, and remembers nobody."""
    buckets = Buckets(0)
    assert {buckets.take("a", 0.0) for _ in range(1000)} == {0.0}
    assert len(buckets) == 0


def test_a_crowd_comes_back_one_by_one() -> None:
    """Those who are refused at once are told times as far apart as the bucket fills."""
    buckets = Buckets(600)
    for _ in range(600):
        assert buckets.take("all", 0.0) == 0.0
    told = [buckets.take("all", 0.0) for _ in range(100)]
    gaps = [b - a for a, b in itertools.pairwise(told)]
    assert gaps == pytest.approx([0.1] * 99)
    assert [buckets.take("all", at) for at in told] == [0.0] * 100


def test_nobody_waits_for_ever() -> None:
    """However many were refused before, nobody is sent away for longer than the most."""
    buckets = Buckets(600)
    told = [buckets.take("all", 0.0) for _ in range(2000)]
    assert max(told) == LONGEST_WAIT_S


def test_a_million_addresses() -> None:
    """A million keys take no more memory than the most that are kept."""
    buckets = Buckets(10, most=1000)
    for number in range(1_000_000):
        assert buckets.take(str(number), 0.0) == 0.0
    assert len(buckets) == 1000


def test_oldest_goes_first() -> None:
    """Past the most, the key asked for longest ago begins anew; the others do not."""
    buckets = Buckets(1, most=2)
    for key in "abc":
        assert buckets.take(key, 0.0) == 0.0
    assert buckets.take("c", 0.0) > 0.0
    assert buckets.take("a", 0.0) == 0.0


def test_full_buckets_are_forgotten() -> None:
    """Keys whose bucket is full again are dropped without being asked for."""
    buckets = Buckets(60)
    for key in "abc":
        assert buckets.take(key, 0.0) == 0.0
    assert buckets.take("d", 2.0) == 0.0
    assert len(buckets) == 1


@given(
    st.integers(1, 500),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200),
)
def test_never_more_than_the_rate(per_minute: int, gaps: list[float]) -> None:
    """In any time t no key gets more than a minute's worth and what filled up in t."""
    buckets, now, times = Buckets(per_minute), 0.0, []
    for gap in gaps:
        now += gap
        if buckets.take("a", now) == 0.0:
            times.append(now)
    for first in range(len(times)):
        allowed = per_minute * (1 + (times[-1] - times[first]) / MINUTE_S)
        assert len(times) - first <= allowed + 1e-3 * per_minute + 1e-6
