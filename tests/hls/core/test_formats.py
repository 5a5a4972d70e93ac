from hypothesis import given
from hypothesis import strategies as st

from hls.core.formats import Formats, Span


def test_one_format() -> None:
    """A stream that never changes has no discontinuity."""
    formats = Formats(2)
    formats.plan(2, 7)
    assert formats.spans == (Span(0, None, 2),)
    assert (formats.of(0), formats.of(9), formats.sequence(9)) == (2, 2, 0)
    assert not formats.is_turn(0)


def test_a_turn() -> None:
    """Where the channels change there is a discontinuity, counted with that segment."""
    formats = Formats(1)
    formats.plan(2, 5)
    assert formats.channels == 2
    assert [formats.of(msn) for msn in (4, 5)] == [1, 2]
    assert [formats.sequence(msn) for msn in (4, 5, 6)] == [0, 1, 1]
    assert [formats.is_turn(msn) for msn in (4, 5, 6)] == [False, True, False]


def test_a_turn_that_was_thought_better_of() -> None:
    """A plan that nothing was made of yet leaves no trace."""
    formats = Formats(1)
    formats.plan(2, 5)
    formats.plan(1, 5)
    assert formats.spans == (Span(0, None, 1),)


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1, 2])), max_size=12), st.integers(0))
def test_forgetting_changes_nothing_that_is_left(plans: list[tuple[int, int]], before: int) -> None:
    """Segments that are still listed keep their format and their discontinuity sequence."""
    formats, now = Formats(1), 1
    for shift, channels in plans:
        now += shift
        formats.plan(channels, now)
    left = range(min(before, now), now + 3)
    said = [(formats.of(msn), formats.sequence(msn)) for msn in left]
    formats.forget_before(left.start)
    assert [(formats.of(msn), formats.sequence(msn)) for msn in left] == said
    assert len(formats.spans) <= 1 + now - left.start


def test_what_is_forgotten() -> None:
    """A format that is left keeps its beginning; what was before it has it too."""
    formats = Formats(1)
    formats.plan(2, 5)
    formats.plan(1, 9)
    formats.forget_before(6)
    assert formats.spans == (Span(5, 9, 2), Span(9, None, 1))
    assert [formats.of(msn) for msn in (0, 5, 8, 9)] == [2, 2, 2, 1]
