from hls.core.dates import MOST_RANGES, Dates
from hls.core.playlist import DateRange


def test_as_long_as_the_window_reaches() -> None:
    """A range goes when it ended before the window; one without an end stays."""
    dates = Dates()
    dates.mark(DateRange("a", 10.0, duration_s=5.0))
    dates.mark(DateRange("b", 5.0))
    assert [date.id for date in dates.since(15.0)] == ["b", "a"]
    assert [date.id for date in dates.since(15.1)] == ["b"]
    assert [date.id for date in dates.since(0.0)] == ["b"]


def test_an_end_replaces_the_beginning() -> None:
    """The same range, marked again, is the later one."""
    dates = Dates()
    dates.mark(DateRange("a", 10.0))
    ended = DateRange("a", 10.0, duration_s=5.0)
    dates.mark(ended)
    assert dates.since(0.0) == (ended,)


def test_the_same_tuple() -> None:
    """While nothing comes or goes nothing is made."""
    dates = Dates()
    dates.mark(DateRange("a", 10.0))
    assert dates.since(0.0) is dates.since(1.0)


def test_bound() -> None:
    """Of too many the oldest goes, counted."""
    dates = Dates()
    for number in range(MOST_RANGES + 2):
        dates.mark(DateRange(str(number), float(number)))
    kept = dates.since(0.0)
    assert (len(kept), kept[0].id, dates.dropped) == (MOST_RANGES, "2", 2)


def test_what_is_still_so_stays() -> None:
    """However much is said after it, a title that holds is told; what is over goes first."""
    dates = Dates()
    title = DateRange("title", 0.0)
    dates.mark(title)
    for number in range(MOST_RANGES + 2):
        dates.mark(DateRange(str(number), 1.0 + number, duration_s=0.5))
    kept = dates.since(0.0)
    assert (len(kept), kept[0], kept[1].id, dates.dropped) == (MOST_RANGES, title, "3", 3)
