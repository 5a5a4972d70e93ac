"""The choice of the loudest."""

from hypothesis import given
from hypothesis import strategies as st

from mixer.core.loudest import MARGIN_DB, PATIENCE_TICKS, Loudest

LEVELS = st.dictionaries(st.integers(0, 9), st.integers(-127, 0), max_size=10)


def after(loudest: Loudest[str], ticks: int, **levels: float) -> frozenset[str]:
    """Return who is chosen after some ticks of these levels."""
    chosen: frozenset[str] = frozenset()
    for _ in range(ticks):
        chosen = loudest.choose(levels)
    return chosen


@given(st.integers(1, 5), st.lists(LEVELS, max_size=20))
def test_as_many_as_there_is_room_for(count: int, ticks: list[dict[int, int]]) -> None:
    """Never more than the count, never fewer while there are people, and only who is there."""
    loudest = Loudest[int](count)
    for levels in ticks:
        chosen = loudest.choose(levels)
        assert chosen <= levels.keys()
        assert len(chosen) == min(count, len(levels))


@given(st.integers(1, 4), LEVELS)
def test_who_comes_into_silence_is_heard_at_once(count: int, levels: dict[int, int]) -> None:
    """The first choice is the loudest of them."""
    chosen = Loudest[int](count).choose(levels)
    others = [level for key, level in levels.items() if key not in chosen]
    assert all(levels[key] >= level for key in chosen for level in others)


@given(st.lists(st.tuples(*[st.floats(-40, -40 + MARGIN_DB - 0.01)] * 3), max_size=60))
def test_nobody_changes_places_over_small_differences(ticks: list[tuple[float, ...]]) -> None:
    """Levels that wander within the margin leave the choice as it was."""
    loudest = Loudest[int](1)
    chosen = {loudest.choose(dict(enumerate(levels))) for levels in ticks}
    assert len(chosen) <= 1


def test_a_louder_voice_takes_the_place_of_the_softest() -> None:
    """Within 200 ms, and of nobody else."""
    loudest = Loudest[str](2)
    assert after(loudest, 50, ann=-20, bob=-40) == {"ann", "bob"}
    assert after(loudest, PATIENCE_TICKS - 1, ann=-20, bob=-40, cyd=-30) == {"ann", "bob"}
    assert after(loudest, 10, ann=-20, bob=-40, cyd=-30) == {"ann", "cyd"}


def test_a_cough_takes_nobodys_place() -> None:
    """80 ms of noise, however loud."""
    loudest = Loudest[str](1)
    after(loudest, 50, ann=-25, bob=-60)
    for _ in range(10):
        assert after(loudest, PATIENCE_TICKS - 1, ann=-25, bob=-5) == {"ann"}
        assert after(loudest, 100, ann=-25, bob=-60) == {"ann"}


def test_pauses_between_words_cost_nobody_their_place() -> None:
    """A quarter of a second at room noise, beside a softer voice."""
    loudest = Loudest[str](1)
    after(loudest, 100, ann=-20, bob=-35)
    for _ in range(10):
        assert after(loudest, 12, ann=-55, bob=-35) == {"ann"}
        assert after(loudest, 25, ann=-20, bob=-35) == {"ann"}


def test_whoever_leaves_makes_room_at_once() -> None:
    """The next loudest is there in the same tick."""
    loudest = Loudest[str](1)
    after(loudest, 50, ann=-20, bob=-40, cyd=-30)
    assert loudest.choose({"bob": -40, "cyd": -30}) == {"cyd"}


def test_a_smaller_count_keeps_the_loudest() -> None:
    """And a larger one is filled at once."""
    loudest = Loudest[str](3)
    after(loudest, 50, ann=-20, bob=-40, cyd=-30)
    loudest.count = 1
    assert after(loudest, 1, ann=-20, bob=-40, cyd=-30) == {"ann"}
    loudest.count = 2
    assert after(loudest, 1, ann=-20, bob=-40, cyd=-30) == {"ann", "cyd"}
