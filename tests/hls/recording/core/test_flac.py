import numpy as np
import pytest

from hls.recording.core.flac import (
    FRAME_SAMPLES,
    HEAD_BYTES,
    flac_head,
    last_frame,
    read_streaminfo,
)
from hls.recording.flac import FlacEncoder


def some_frames(count: int, channels: int = 1) -> list[bytes]:
    encoder = FlacEncoder(channels)
    rng = np.random.default_rng(1)
    shape = (FRAME_SAMPLES, channels)
    return [encoder.push(rng.integers(-9, 9, shape, np.int16)) for _ in range(count)]


def test_the_head_says_how_long_the_file_is() -> None:
    """STREAMINFO keeps what the encoder put there; the total is 36 bits."""
    info = FlacEncoder(2).streaminfo
    head = flac_head(info, 0x9_8765_4321)
    assert len(head) == HEAD_BYTES
    assert head[:4] == b"fLaC"
    assert head[18:26] == info[10:13] + bytes((info[13] & 0xF0 | 9, 0x87, 0x65, 0x43, 0x21))
    assert read_streaminfo(flac_head(info) + b"more") == info
    assert flac_head(info, 1 << 60)[21:26] == bytes((info[13] | 0xF,)) + b"\xff" * 4


def test_other_files_have_no_streaminfo_of_ours() -> None:
    """What is cut off or begins otherwise."""
    head = flac_head(FlacEncoder(1).streaminfo)
    assert read_streaminfo(head[:-1]) is None
    assert read_streaminfo(b"OggS" + head[4:]) is None


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 2050])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_last_frame_is_found(count: int, channels: int) -> None:
    """By its number, which takes one byte or several."""
    frames = some_frames(count, channels)
    data = b"".join(frames)
    found = (len(data) - len(frames[-1]), (count - 1) * FRAME_SAMPLES)
    assert last_frame(data[-100_000:]) == (found[0] - max(0, len(data) - 100_000), found[1])
    assert last_frame(data + b"\xff\xf8\x5a") == found
    assert last_frame(data + b"\xff\xf8\x5a\x08\xff\0\0\0\0\0") == found
    assert last_frame(data + b"\xff\xf8\x5a\x08\x05\0\0\0\0\0") == found  # a wrong checksum


def test_no_frame_is_none() -> None:
    """Silence of another kind."""
    assert last_frame(b"") is None
    assert last_frame(b"\xff\xf8\x5a\x08") is None
