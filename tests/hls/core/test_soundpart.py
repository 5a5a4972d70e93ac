"""Parts in the clear as one string of bytes."""

import pytest

from hls.core.fmp4 import AacFormat
from hls.core.soundpart import SoundPart, decode

PART = SoundPart(AacFormat(b"\x11\x88", 2, 128_000), (b"one", b"", b"three"), b"silent")


def test_round_trip() -> None:
    """What is encoded is read back as it was."""
    assert decode(PART.encode()) == PART


def test_silenced() -> None:
    """A silenced part has as many frames, all of them the silent one."""
    assert PART.silenced().frames == (b"silent",) * 3
    assert PART.silenced().audio == PART.audio


@pytest.mark.parametrize("size", range(len(PART.encode())))
def test_cut(size: int) -> None:
    """A part that ends too early is none, wherever that is."""
    with pytest.raises(ValueError, match="of a part"):
        decode(PART.encode()[:size])


@pytest.mark.parametrize(("at", "value"), [(4, 3), (4, 0), (6, 0), (6, 91)])
def test_strange(at: int, value: int) -> None:
    """Three channels, no frames, or more than a segment has are no part."""
    data = bytearray(PART.encode())
    data[at] = value
    with pytest.raises(ValueError, match="no frames"):
        decode(bytes(data))
