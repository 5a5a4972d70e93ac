import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.extent import Extent


def test_without_end() -> None:
    """Every segment of a stream that goes on is whole."""
    extent = Extent(15)
    assert not extent.is_over
    assert extent.frames(10**9) == 90
    assert extent.parts(7) == (15,) * 6


@pytest.mark.parametrize(
    ("final", "segments", "frames", "parts"),
    [
        (0, 0, 0, ()),
        (2, 0, 0, ()),
        (3, 1, 3, (3,)),
        (90, 1, 90, (15,) * 6),
        (92, 1, 90, (15,) * 6),
        (180 + 47, 3, 45, (15,) * 3),
        (180 + 50, 3, 48, (15, 15, 15, 3)),
    ],
)
def test_end(final: int, segments: int, frames: int, parts: tuple[int, ...]) -> None:
    """The last segment has what is left, in pieces of 64 ms; its last part may be a short one."""
    extent = Extent(15)
    assert extent.end(final) == segments
    assert extent.is_over
    assert extent.frames(max(0, segments - 1)) == frames
    assert extent.parts(max(0, segments - 1)) == parts
    assert extent.frames(segments) == 0
    assert extent.parts(segments) == ()


@given(final=st.integers(0, 10_000), part_frames=st.sampled_from([3, 9, 15, 30, 45]))
def test_all_of_it(final: int, part_frames: int) -> None:
    """Segments and parts add up to the stream, whatever its length."""
    extent = Extent(part_frames)
    count = extent.end(final)
    whole = final - final % 3
    assert sum(extent.frames(msn) for msn in range(count)) == whole
    assert sum(sum(extent.parts(msn)) for msn in range(count)) == whole
    parts = [one for msn in range(count) for one in extent.parts(msn)]
    assert all(0 < one <= part_frames for one in parts)
    assert all(one == part_frames for one in parts[:-1])
