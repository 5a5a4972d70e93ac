from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.framepack import pack, unpack


@given(st.lists(st.binary(max_size=40), min_size=90, max_size=90))
def test_there_and_back(frames: list[bytes]) -> None:
    """Frames of any length come back."""
    assert unpack(pack(frames)) == frames


@pytest.mark.parametrize("change", [b"x", None])
def test_another_length(change: bytes | None) -> None:
    """What lacks a byte, or has one more, is not taken for frames."""
    packed = pack([b"abc"] * 90)
    with pytest.raises(ValueError, match="frames"):
        unpack(packed[:-1] if change is None else packed + change)


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Nothing but ValueError is raised."""
    with suppress(ValueError):
        assert len(unpack(data)) == 90
