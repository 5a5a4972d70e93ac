"""Datagrams in a byte stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.framing import FrameReader, write_frame
from mixer.core.rtp import MAX_DATAGRAM

DATAGRAMS = st.lists(st.binary(min_size=1, max_size=MAX_DATAGRAM), max_size=6)


@given(DATAGRAMS, st.integers(1, 4000))
def test_a_stream_in_any_pieces_gives_the_datagrams(sent: list[bytes], size: int) -> None:
    """Whatever the pieces: nothing lost, nothing joined, nothing added."""
    stream = b"".join(map(write_frame, sent))
    reader = FrameReader()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [frame for piece in pieces for frame in reader.push(piece)] == sent
    assert not reader.is_broken


def test_empty_frames_are_stepped_over() -> None:
    """RFC 4571 §2 allows them; they are no datagrams."""
    assert FrameReader().push(b"\0\0" * 100 + b"\0\1x\0\0") == [b"x"]


@pytest.mark.parametrize("length", [MAX_DATAGRAM + 1, 0xFFFF])
def test_a_frame_above_any_datagram_ends_the_stream(length: int) -> None:
    """What came before it is taken, nothing after it is kept."""
    reader = FrameReader()
    assert reader.push(b"\0\1x" + length.to_bytes(2, "big") + b"\0\1y") == [b"x"]
    assert reader.is_broken
    assert reader.push(b"\0\1z") == []


@given(st.lists(st.binary(max_size=3000), max_size=20))
def test_any_stream_is_read_in_bounded_memory(pieces: list[bytes]) -> None:
    """Less than a frame is kept, and no datagram is longer than one may be."""
    reader = FrameReader()
    for piece in pieces:
        assert all(0 < len(frame) <= MAX_DATAGRAM for frame in reader.push(piece))
        assert len(reader._rest) < 2 + MAX_DATAGRAM


def test_what_is_no_datagram_cannot_be_written() -> None:
    """The length has 16 bits."""
    with pytest.raises(OverflowError):
        write_frame(b"x" * 65_536)
