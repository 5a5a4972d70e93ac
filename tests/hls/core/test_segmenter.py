from hypothesis import given
from hypothesis import strategies as st

from hls.core.segmenter import Segmenter

SILENT = b"silent"


def test_silence() -> None:
    """Segments without sound are complete but not made."""
    segmenter = Segmenter(SILENT)
    assert segmenter.seal(90 * 7 + 89) == []
    assert segmenter.complete == 7
    assert segmenter.silent(3).frames == (SILENT,) * 90


def test_missing_frames() -> None:
    """A segment that is partly missing is filled with silence."""
    segmenter = Segmenter(SILENT)
    segmenter.push(179, b"last")
    [segment] = segmenter.seal(180)
    assert segment.msn == 1
    assert segment.frames == (SILENT,) * 89 + (b"last",)


def test_incomplete_segment_waits() -> None:
    """A segment appears with its last frame, not before."""
    segmenter = Segmenter(SILENT)
    segmenter.push(0, b"first")
    assert segmenter.seal(89) == []
    assert [segment.msn for segment in segmenter.seal(90)] == [0]


def test_announced_segment_does_not_change() -> None:
    """A frame of a complete segment is dropped."""
    segmenter = Segmenter(SILENT)
    segmenter.seal(90)
    segmenter.push(89, b"late")
    assert segmenter.seal(180) == []


def test_never_falls() -> None:
    """The number of complete segments never falls."""
    segmenter = Segmenter(SILENT)
    segmenter.seal(900)
    segmenter.seal(-5)
    assert segmenter.complete == 10


@given(st.sets(st.integers(0, 500)), st.lists(st.integers(0, 600), max_size=10))
def test_every_frame_once(indexes: set[int], seals: list[int]) -> None:
    """Whenever it is sealed, every frame stands exactly once, at its place."""
    segmenter, segments, waiting = Segmenter(SILENT), [], sorted(indexes)
    for before in [*sorted(seals), 600]:
        while waiting and waiting[0] < before:
            segmenter.push(waiting[0], b"%d" % waiting.pop(0))
        segments += segmenter.seal(before)
    heard = {
        segment.msn * 90 + offset: frame
        for segment in segments
        for offset, frame in enumerate(segment.frames)
        if frame != SILENT
    }
    assert heard == {index: b"%d" % index for index in indexes if index < 540}
    assert all(len(segment.frames) == 90 for segment in segments)
