import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.cues import LATE_SHOWN_S, MAX_CUE_S, MAX_HELD, MAX_IN_SEGMENT, Cues
from hls.core.webvtt import Cue
from hls.types import CaptionFate

SEGMENT = 92_160
SECOND = 48_000


def shown(cues: Cues, numbers: range = range(40)) -> dict[int, list[Cue]]:
    return {msn: cues.of(msn) for msn in numbers if cues.of(msn)}


def test_in_time() -> None:
    """A cue is in every segment that it reaches into, with its own times."""
    cues, cue = Cues(), Cue(12 * SEGMENT - 1, 14 * SEGMENT, "a")
    assert cues.add(cue, 11) is CaptionFate.SHOWN
    assert shown(cues) == {11: [cue], 12: [cue], 13: [cue]}
    assert len(cues) == 3


@pytest.mark.parametrize(
    ("begin_s", "long_s", "end_s"),
    [
        (-1.0, 2.5, 2.0),  # it would be over in 1.5 s: it stays for two
        (-1.0, 4.0, 3.0),  # it lasts longer anyway
        (-25.0, 3.0, 2.0),  # it was over long ago
        (-5.0, 0.5, 0.5),  # it is short
    ],
)
def test_late(begin_s: float, long_s: float, end_s: float) -> None:
    """A late cue keeps its beginning and stays till it was shown in the first segment that may."""
    cues, begin = Cues(), 20 * SEGMENT
    start = begin + round(begin_s * SECOND)
    cue = Cue(start, start + round(long_s * SECOND), "a")
    assert cues.add(cue, 20) is CaptionFate.LATE
    assert cues.of(19) == []
    assert cues.of(20) == [Cue(start, begin + round(end_s * SECOND), "a")]
    assert bool(cues.of(21)) is (end_s > 1.92)


def test_long() -> None:
    """Of a cue that is too long the first half minute is shown."""
    cues = Cues()
    assert cues.add(Cue(0, 2**60, "a"), 0) is CaptionFate.SHOWN
    assert cues.of(15) == [Cue(0, MAX_CUE_S * SECOND, "a")]
    assert cues.of(16) == []


def test_too_many_at_a_time() -> None:
    """A segment that is full takes no more, and neither do its neighbours of that cue."""
    cues = Cues()
    fates = [cues.add(Cue(0, SECOND, "a"), 0) for _ in range(MAX_IN_SEGMENT + 1)]
    assert fates == [*[CaptionFate.SHOWN] * MAX_IN_SEGMENT, CaptionFate.FULL]
    assert cues.add(Cue(0, SEGMENT + 1, "b"), 0) is CaptionFate.FULL
    assert cues.of(1) == []


def test_bounded() -> None:
    """Of too many the oldest segments' go, and are counted."""
    cues = Cues()
    for msn in range(MAX_HELD + 5):
        cues.add(Cue(msn * SEGMENT, msn * SEGMENT + 1, "a"), msn)
    assert (len(cues), cues.dropped) == (MAX_HELD, 5)
    assert cues.of(4) == []
    assert cues.of(5) != []


def test_forgotten() -> None:
    """What left the window goes."""
    cues = Cues()
    cues.add(Cue(0, 3 * SEGMENT, "a"), 0)
    cues.drop_before(2)
    assert list(shown(cues)) == [2]
    assert len(cues) == 1


@given(st.integers(0, 40 * SEGMENT), st.integers(1, 30 * SECOND), st.integers(0, 30))
def test_what_is_listed_never_changes(start: int, length: int, first: int) -> None:
    """Whatever comes is shown in no segment before the first that may still change, and in that
    one or later for as long as it says, or two seconds.
    """  # noqa: D205
    cues = Cues()
    cues.add(Cue(start, start + length, "a"), first)
    held = shown(cues, range(80))
    assert all(msn >= first for msn in held)
    for msn, (cue,) in held.items():
        assert cue.start == start
        assert max(cue.start, msn * SEGMENT) < cue.end
        shown_s = (cue.end - max(start, first * SEGMENT)) / SECOND
        assert shown_s >= min(length / SECOND, LATE_SHOWN_S) - 1e-9
