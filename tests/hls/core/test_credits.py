from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hls.core.credits import MOST_TALKING, PAUSE_S, TALKING, TITLE, Credits
from hls.core.playlist import DateRange


def test_somebody_speaks() -> None:
    """A range begins with the first word and ends with the last, after a pause."""
    credits_ = Credits()
    [begun] = credits_.talk({"Ann"}, 100.0)
    assert (begun.klass, begun.start_unix_s, begun.duration_s) == (TALKING, 100.0, None)
    assert begun.attributes == (("NAME", "Ann"),)
    assert credits_.talk([], 103.0) == []
    assert credits_.settle(103.0 + PAUSE_S - 0.1) == []
    [ended] = credits_.settle(103.0 + PAUSE_S)
    assert (ended.id, ended.duration_s) == (begun.id, 3.0)
    assert credits_.settle(200.0) == []


def test_a_short_pause() -> None:
    """Who goes on soon has spoken all the time."""
    credits_ = Credits()
    credits_.talk({"Ann"}, 100.0)
    credits_.talk([], 101.0)
    assert credits_.talk({"Ann"}, 102.0) == []
    credits_.talk([], 104.0)
    [ended] = credits_.settle(110.0)
    assert ended.duration_s == 4.0


def test_one_after_the_other() -> None:
    """Each range has an id of its own, also those of one person at one time."""
    credits_ = Credits()
    dates = credits_.talk({"Ann", "Bob"}, 100.0)
    credits_.talk([], 100.0)
    dates += [*credits_.settle(110.0), *credits_.talk({"Ann"}, 110.0)]
    assert len({date.id for date in dates}) == 3


def test_a_crowd() -> None:
    """No more are named at a time than a playlist bears."""
    names = [str(number) for number in range(MOST_TALKING + 5)]
    assert len(Credits().talk(names, 0.0)) == MOST_TALKING


def test_titles() -> None:
    """One ends where the next begins."""
    credits_ = Credits()
    assert credits_.entitle("", 1.0) == []
    [first] = credits_.entitle("News", 2.0)
    assert (first.klass, first.attributes) == (TITLE, (("TITLE", "News"),))
    assert credits_.entitle("News", 3.0) == []
    ended, second = credits_.entitle("Jazz", 5.0)
    assert (ended.id, ended.duration_s, second.start_unix_s) == (first.id, 3.0, 5.0)
    assert [date.duration_s for date in credits_.entitle("", 6.0)] == [1.0]


@given(st.lists(st.tuples(st.integers(0, 4), st.sets(st.sampled_from("abc"))), max_size=40))
def test_any_talk(events: list[tuple[int, set[str]]]) -> None:
    """Ranges of one person never overlap, and nothing but the end of one ever changes."""
    credits_, now, known = Credits(), 0.0, dict[str, DateRange]()
    for step, names in events:
        now += step
        for date in credits_.talk(names, now):
            before = known.get(date.id)
            assert before is None or before.duration_s is None
            known[date.id] = date
    for name in "abc":
        mine = [date for date in known.values() if date.attributes == (("NAME", name),)]
        for one, later in pairwise(mine):
            assert one.duration_s is not None
            assert one.start_unix_s + one.duration_s <= later.start_unix_s


def test_close() -> None:
    """At the end of a stream everything ends: speech with its last word, and the title."""
    credits_ = Credits()
    credits_.entitle("Jazz", 90.0)
    credits_.talk({"Ann", "Bob"}, 100.0)
    credits_.talk({"Bob"}, 103.0)
    over = {date.attributes[0][1]: date.duration_s for date in credits_.close(104.0)}
    assert over == {"Ann": 3.0, "Bob": 4.0, "Jazz": 14.0}
    assert credits_.close(105.0) == []
