import pytest

from hls.core.reach import LEAST_KEPT, Reach

MEMORY, NOW = 32, 1000


def reach(segments: float, *, has_disk: bool = True) -> Reach:
    """Return the reach of a window of so many segments."""
    found = Reach(MEMORY, has_disk=has_disk)
    found.window_s = 1.92 * segments
    return found


@pytest.mark.parametrize(
    ("window", "listed", "kept"),
    [(0, 4, 5), (7.5, 8, 9), (8, 8, 9), (15, 15, 16), (16, 16, 16), (20, 20, 12), (90, 90, 4)],
)
def test_as_long_as_it_was_listed(window: float, listed: int, kept: int) -> None:
    """What left the playlist is kept for its own length and the playlist's, if memory holds it."""
    found = reach(window)
    assert found.first_listed(NOW) == NOW - listed
    assert found.oldest(NOW) == NOW - listed - kept


def test_without_a_disk() -> None:
    """No window is longer than memory."""
    found = reach(90, has_disk=False)
    assert NOW - found.first_listed(NOW) == MEMORY - LEAST_KEPT
    assert NOW - found.oldest(NOW) == MEMORY


def test_in_the_beginning() -> None:
    """Nothing is before segment 0."""
    assert (reach(8).first_listed(5), reach(8).oldest(5)) == (0, 0)


def test_it_never_goes_back() -> None:
    """A longer window lists no segment that was not listed any more."""
    found = reach(8)
    before = found.first_listed(NOW)
    found.window_s = 1000.0
    assert found.first_listed(NOW) == before


def test_what_is_gone() -> None:
    """It is neither listed nor fetched, however long the window becomes."""
    found = reach(1000)
    found.raise_floor(NOW - 3)
    found.raise_floor(NOW - 10)
    assert found.first_listed(NOW) == found.oldest(NOW) == NOW - 3
