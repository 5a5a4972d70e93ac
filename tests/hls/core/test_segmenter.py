import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.segmenter import Segmenter

SILENT = b"silent"


def test_silence() -> None:
    """Segments without sound are final but not stored."""
    segmenter = Segmenter()
    segmenter.seal(90 * 7 + 89)
    assert segmenter.sounding == []
    assert segmenter.is_silent(3)
    assert segmenter.frames(3 * 90, 90, SILENT) == [SILENT] * 90


def test_missing_frames() -> None:
    """What is missing is silence."""
    segmenter = Segmenter()
    segmenter.push(179, b"last")
    assert segmenter.frames(90, 90, SILENT) == [SILENT] * 89 + [b"last"]
    assert segmenter.frames(165, 15, SILENT) == [SILENT] * 14 + [b"last"]
    assert not segmenter.is_silent(1)


def test_final() -> None:
    """A frame that was announced does not change any more, and time does not go back."""
    segmenter = Segmenter()
    segmenter.seal(91)
    segmenter.seal(50)
    segmenter.push(90, b"late")
    segmenter.push(91, b"in time")
    assert segmenter.frames(90, 3, SILENT) == [SILENT, b"in time", SILENT]


@pytest.mark.parametrize(("before", "left"), [(0, [0, 2]), (1, [2]), (3, [])])
def test_forgotten(before: int, left: list[int]) -> None:
    """Old sound goes by segments."""
    segmenter = Segmenter()
    segmenter.push(5, b"a")
    segmenter.push(200, b"b")
    segmenter.drop_before(before)
    assert segmenter.sounding == left


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60))
def test_any_gaps(steps: list[tuple[int, bool]]) -> None:
    """Every frame is at its index, whatever is missing, and stays as it was when it was final."""
    segmenter, tape, index, final = Segmenter(), dict[int, bytes](), 0, 0
    seen: dict[int, list[bytes]] = {}
    for gap, seals in steps:
        index += gap
        if index >= final:
            tape[index] = b"%d" % index
        segmenter.push(index, b"%d" % index)
        if seals:
            segmenter.seal(index - 2)
            final = max(final, index - 2)
        for msn in range(final // 90):
            frames = segmenter.frames(90 * msn, 90, SILENT)
            assert frames == [tape.get(i, SILENT) for i in range(90 * msn, 90 * msn + 90)]
            assert seen.setdefault(msn, frames) == frames
