from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from server.backoff import delays_s


def test_delays_double_up_to_the_limit() -> None:
    """Without jitter the delays are powers of two of the first, cut at the limit."""
    assert list(islice(delays_s(1.0, 5.0, jitter=0.0), 5)) == [1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.integers(), st.floats(0, 1))
def test_delays_stay_within_their_bounds(seed: int, jitter: float) -> None:
    """No seed makes a delay negative or longer than the limit."""
    assert all(0 <= delay <= 10.0 for delay in islice(delays_s(jitter=jitter, seed=seed), 20))


def test_a_seed_gives_the_same_delays_again() -> None:
    """Two runs of one seed are equal, two seeds differ."""
    assert list(islice(delays_s(seed=1), 5)) == list(islice(delays_s(seed=1), 5))
    assert list(islice(delays_s(seed=1), 5)) != list(islice(delays_s(seed=2), 5))
