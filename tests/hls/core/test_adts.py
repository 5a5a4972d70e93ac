import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.adts import segment, stream, timestamp
from hls.core.fmp4 import AacFormat

MONO = AacFormat(config=bytes.fromhex("118856e500"), channels=1, bit_rate=96_000)
STEREO = AacFormat(config=bytes.fromhex("119056e500"), channels=2, bit_rate=128_000)
OWNER = b"com.apple.streaming.transportStreamTimestamp\0"


def test_header() -> None:
    """A header says AAC-LC, 48 kHz, one channel and the length, its own included (§1.A.2.2.1)."""
    assert stream(MONO, [b"abc"]) == bytes.fromhex("fff14c40015ffc") + b"abc"
    assert stream(STEREO, [b"", b"abc"]) == bytes.fromhex("fff14c8000fffcfff14c80015ffc") + b"abc"


def test_longest() -> None:
    """The longest frame of two channels (6144 bits each) has its length in 13 bits."""
    header = stream(STEREO, [bytes(1536)])[:7]
    assert (int.from_bytes(header, "big") >> 13) & 0x1FFF == 1543


def test_id3() -> None:
    """A segment begins with an ID3v2.4 tag whose private frame is the time in 33 bits (§3.1.3)."""
    tag = segment(MONO, 92_160, [b"abc"])
    assert tag[:10] == b"ID3\x04\x00\x00\x00\x00\x00\x3f"
    assert tag[10:20] == b"PRIV\x00\x00\x00\x35\x00\x00"
    assert tag[20:65] == OWNER
    assert tag[65:73] == (172_800).to_bytes(8, "big")
    assert tag[73:] == stream(MONO, [b"abc"])


@pytest.mark.parametrize(
    ("samples", "time"),
    [(0, 0), (1024, 1920), (92_160, 172_800), (2**33 * 8 // 15 + 1, 1), (2**36, 2**36 * 15 // 8)],
)
def test_timestamp(samples: int, time: int) -> None:
    """48 kHz become 90 kHz, which wrap after 26.5 hours."""
    assert timestamp(MONO, samples) == time % 2**33


@given(st.lists(st.binary(max_size=1600), max_size=8), st.sampled_from([MONO, STEREO]))
def test_frames_are_found(frames: list[bytes], audio: AacFormat) -> None:
    """Who goes from header to header by their lengths finds every frame."""
    data, found = stream(audio, frames), []
    while data:
        assert data[:2] == b"\xff\xf1"
        size = (int.from_bytes(data[:7], "big") >> 13) & 0x1FFF
        found.append(data[7:size])
        data = data[size:]
    assert found == frames
