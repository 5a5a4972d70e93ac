"""How much audio an Opus packet holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.toc import (
    MAX_FRAME_BYTES,
    MAX_SAMPLES,
    has_fec,
    is_plain_speech,
    is_stereo,
    opus_duration,
)
from mixer.opus import Application, Decoder, Encoder, OpusError, _library


@pytest.mark.parametrize(
    ("configuration", "milliseconds"),
    [
        *((first + step, ms) for first in (0, 4, 8) for step, ms in enumerate((10, 20, 40, 60))),
        *((first + step, ms) for first in (12, 14) for step, ms in enumerate((10, 20))),
        *(
            (first + step, ms)
            for first in range(16, 32, 4)
            for step, ms in enumerate((2.5, 5, 10, 20))
        ),
    ],
)
def test_every_configuration_has_its_duration(configuration: int, milliseconds: float) -> None:
    """RFC 6716 table 2, for one frame and for two."""
    assert opus_duration(bytes([configuration << 3])) == milliseconds * 48
    assert opus_duration(bytes([configuration << 3 | 1, 0])) == milliseconds * 96
    assert opus_duration(bytes([configuration << 3 | 6, 0])) == milliseconds * 96


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (b"", 0),
        (b"\xfb", 0),  # code 3 without its count
        (b"\xfb\x00", 0),  # no frames
        (b"\xfb\x06", 5760),
        (b"\xfb\x07", 0),  # 140 ms
        (b"\xfb\xc3", 2880),  # flags beside the count
    ],
)
def test_a_count_of_frames_is_believed_up_to_120_ms(payload: bytes, samples: int) -> None:
    """Code 3 holds its own number of frames, at most 120 ms."""
    assert opus_duration(payload) == samples


@given(st.binary(max_size=4))
def test_any_bytes_have_a_duration(payload: bytes) -> None:
    """Random bytes are 0 to 120 ms long, in steps of 2.5 ms."""
    samples = opus_duration(payload)
    assert 0 <= samples <= MAX_SAMPLES
    assert samples % 120 == 0


def speechlike() -> np.ndarray:
    """Return two seconds of a buzz that comes and goes, as syllables do: int16[96000, 2]."""
    at = np.arange(96_000) / 48_000
    buzz = sum(np.sin(2 * np.pi * 120 * n * at) / n for n in range(1, 30))
    left = 6000 * buzz * (np.sin(2 * np.pi * 3 * at) > -0.3)
    return np.stack((left, left * np.sin(at)), axis=1).astype(np.int16)


@pytest.mark.parametrize("loss", [0, 10, 30])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bitrate_bps", [12_000, 24_000, 32_000, 64_000])
def test_fec_is_found_where_libopus_finds_it(loss: int, channels: int, bitrate_bps: int) -> None:
    """The same answer as its own for packets of every kind it makes."""
    encoder = Encoder(channels=channels, application=Application.VOIP, bitrate_bps=bitrate_bps)
    encoder.set_fec(enabled=True)
    encoder.set_expected_loss(loss)
    pcm = speechlike()[:, :channels]
    packets = [encoder.encode(frame) for frame in pcm.reshape(-1, 960, channels)]
    found = [has_fec(packet) for packet in packets]
    assert found == [bool(_library().opus_packet_has_lbrr(each, len(each))) for each in packets]
    if loss == 0 or bitrate_bps == 32_000:
        assert any(found) == (loss > 0)


def test_a_packet_of_several_frames_tells_by_its_first() -> None:
    """Whatever its framing; an empty first frame has nothing (RFC 6716 §3.2)."""
    with_fec, without = b"\x40\x11", b"\x00\x22"
    assert [has_fec(b"\x48" + frame) for frame in (with_fec, without)] == [True, False]
    assert has_fec(b"\x49" + with_fec + without)
    assert not has_fec(b"\x49" + without + with_fec)
    assert has_fec(b"\x4a\x02" + with_fec + without)
    assert not has_fec(b"\x4a\x00" + with_fec)
    assert has_fec(b"\x4a\xfc\x01" + with_fec + bytes(300))
    assert has_fec(b"\x4b\x02" + with_fec + without)
    assert has_fec(b"\x4b\x82\x02" + with_fec + without)
    assert not has_fec(b"\x4b\x82\x00" + with_fec)
    assert has_fec(b"\x4b\x42\x02" + with_fec + without + bytes(2))
    assert has_fec(b"\x4b\x42\xff\x02" + with_fec + without + bytes(256))


@pytest.mark.parametrize("payload", [b"", b"\x48", b"\x4a", b"\x4b", b"\x4b\xc2\xff", b"\xf8\x40"])
def test_what_has_no_silk_frame_has_no_fec(payload: bytes) -> None:
    """CELT never has any, nor has a packet that is cut off."""
    assert not has_fec(payload)


@pytest.mark.parametrize(("config", "bit"), [(8, 6), (9, 6), (10, 5), (11, 4), (13, 6)])
def test_each_20_ms_have_a_bit_before_it(config: int, bit: int) -> None:
    """RFC 6716 §4.2.3: one says whether it is voice, for each frame; in stereo, all again."""
    assert has_fec(bytes([config << 3, 1 << bit]))
    assert not has_fec(bytes([config << 3, 0xFF & ~(1 << bit)]))
    side = 1 << (2 * bit - 8)
    assert has_fec(bytes([config << 3 | 4, side]))
    assert not has_fec(bytes([config << 3 | 4, 0xFF & ~side & ~(1 << bit)]))


@given(st.binary(max_size=8))
def test_any_bytes_have_fec_or_not(payload: bytes) -> None:
    """Nothing is read beyond the end."""
    assert isinstance(has_fec(payload), bool)


def test_stereo_is_a_bit_of_the_first_byte() -> None:
    """Whatever the mode; what is no packet is not stereo."""
    for channels in (1, 2):
        encoder = Encoder(channels=channels)
        payload = encoder.encode(np.zeros(960 * channels, np.int16))
        assert is_stereo(payload) == (channels == 2)
    assert not is_stereo(b"")


@pytest.mark.parametrize(
    ("payload", "is_plain"),
    [
        (b"", False),
        (b"\x48\x00", False),  # DTX
        (b"\x48\x00\x00", True),  # SILK, wide band, 20 ms
        (b"\x08" + bytes(40), True),  # narrow band
        (b"\x78" + bytes(80), True),  # hybrid
        (b"\x70" + bytes(80), False),  # 10 ms
        (b"\x50" + bytes(80), False),  # 40 ms
        (b"\x4c" + bytes(80), False),  # stereo
        (b"\x49" + bytes(80), False),  # two frames
        (b"\x4b\x01" + bytes(80), False),  # a count of frames, be it one
        (b"\xf8" + bytes(80), False),  # CELT
        (b"\x78" + bytes(MAX_FRAME_BYTES), True),
        (b"\x78" + bytes(MAX_FRAME_BYTES + 1), False),  # R2
    ],
)
def test_plain_speech_is_one_mono_frame_of_20_ms(payload: bytes, *, is_plain: bool) -> None:
    """Of SILK or hybrid, in a packet of code 0."""
    assert is_plain_speech(payload) == is_plain


@given(st.binary(max_size=1400))
def test_plain_speech_is_what_a_decoder_takes(payload: bytes) -> None:
    """Whatever stands behind the first byte, libopus makes 20 ms of it."""
    if payload:
        payload = bytes([payload[0] & 0x7F & 0xF8 | 0x08]) + payload[1:]
    if not is_plain_speech(payload):
        return
    try:
        assert len(Decoder().decode(payload)) == 960
    except OpusError as error:  # pragma: no cover - says which
        pytest.fail(f"{error}: {payload.hex()}")
