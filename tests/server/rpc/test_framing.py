from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rpc.framing import (
    MAX_FRAME_BYTES,
    Frame,
    FrameError,
    FrameKind,
    FrameReader,
    frame_head,
)

frames = st.builds(Frame, st.sampled_from(FrameKind), st.binary(max_size=50))


def on_the_wire(frame: Frame) -> bytes:
    """Return the frame's bytes."""
    return frame_head(frame.kind, len(frame.body)) + frame.body


@given(st.lists(frames), st.integers(1, 20))
def test_frames_survive_any_cut(sent: list[Frame], size: int) -> None:
    """However the stream is cut, the same frames come out in order."""
    stream = b"".join(map(on_the_wire, sent))
    reader = FrameReader()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == sent


@given(st.lists(st.binary()))
def test_any_stream_is_read_or_refused(pieces: list[bytes]) -> None:
    """No bytes raise anything but FrameError."""
    reader = FrameReader(max_bytes=1000)
    with suppress(FrameError):
        for piece in pieces:
            reader.feed(piece)


@pytest.mark.parametrize("head", [b"\x00\x00\x00\x0b\x01", b"\xff\xff\xff\xff\x01"])
def test_a_long_frame_is_refused_at_its_head(head: bytes) -> None:
    """Nobody waits for a body that is too long."""
    with pytest.raises(FrameError, match="longer than 10"):
        FrameReader(max_bytes=10).feed(head)


@pytest.mark.parametrize("kind", [0, 99, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    """A stream out of step does not pass as frames."""
    with pytest.raises(FrameError, match="kind"):
        FrameReader().feed(bytes([0, 0, 0, 0, kind]))


def test_a_long_body_gets_no_head() -> None:
    """The sender refuses what the reader would."""
    with pytest.raises(FrameError):
        frame_head(FrameKind.BLOB, MAX_FRAME_BYTES + 1)
