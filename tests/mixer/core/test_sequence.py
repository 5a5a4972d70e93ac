"""Numbers that wrap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.sequence import Unwrapper, distance, extend, newer

SIXTEEN = st.integers(0, 0xFFFF)
STEP = st.integers(-0x8000, 0x7FFF)


@given(SIXTEEN, STEP)
def test_distance_undoes_a_step(start: int, step: int) -> None:
    """The distance to a number reached by a step is that step, across every wrap."""
    assert distance((start + step) & 0xFFFF, start) == step


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_timestamps_have_their_own_circle(start: int, step: int) -> None:
    """With 32 bits the circle is that of RTP timestamps."""
    assert distance((start + step) % 2**32, start, 32) == step


@pytest.mark.parametrize(("step", "expected"), [(1, True), (0x7FFF, True), (0, False), (-1, False)])
def test_newer_goes_the_shorter_way(wrap_start: int, step: int, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """A number is newer if the way forward to it is the shorter one."""
    assert newer((wrap_start + step) & 0xFFFF, wrap_start) is expected


def test_half_a_circle_counts_as_behind(wrap_start: int) -> None:
    """Exactly half a circle away is not newer, from either side."""
    assert not newer((wrap_start + 0x8000) & 0xFFFF, wrap_start)
    assert not newer(wrap_start, (wrap_start + 0x8000) & 0xFFFF)


@given(SIXTEEN, st.integers(0, 2**40))
def test_extending_keeps_the_low_bits_and_stays_near(value: int, reference: int) -> None:
    """An extended number ends in its value and is at most half a circle from the reference."""
    extended = extend(value, reference)
    assert extended & 0xFFFF == value
    assert -0x8000 <= extended - reference < 0x8000


def test_a_steady_stream_never_wraps(wrap_start: int) -> None:
    """Unwrapped, 200,000 numbers in a row are 200,000 numbers in a row."""
    unwrapper = Unwrapper()
    numbers = [unwrapper.unwrap((wrap_start + n) & 0xFFFF) for n in range(0, 200_000, 97)]
    assert numbers == [wrap_start + 65536 + n for n in range(0, 200_000, 97)]


def test_what_was_sent_before_the_first_is_positive(wrap_start: int) -> None:
    """A packet sent before the first to arrive gets a smaller number, still above zero."""
    unwrapper = Unwrapper()
    first = unwrapper.unwrap(wrap_start)
    assert unwrapper.unwrap((wrap_start - 0x8000) & 0xFFFF) == first - 0x8000 > 0


@given(SIXTEEN, st.lists(STEP, max_size=50))
def test_an_old_number_does_not_move_the_highest(start: int, steps: list[int]) -> None:
    """Numbers are judged by the highest seen, which only rises."""
    unwrapper = Unwrapper()
    highest = unwrapper.unwrap(start)
    for step in steps:
        assert unwrapper.unwrap((highest + step) & 0xFFFF) == highest + step
        highest = max(highest, highest + step)
        assert unwrapper.highest == highest
