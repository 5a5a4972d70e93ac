"""G.711 against what ITU-T G.711 says of it."""

import numpy as np
import pytest

from mixer.core import g711
from mixer.core.toc import opus_duration
from mixer.types import RtpCodec

LAWS = [RtpCodec.PCMU, RtpCodec.PCMA]
EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize(
    ("codec", "byte", "value"),
    [
        (RtpCodec.PCMU, 0x00, -32_124),  # table 2b: the largest, 8,031 of 14 bits
        (RtpCodec.PCMU, 0x80, 32_124),
        (RtpCodec.PCMU, 0xFF, 0),
        (RtpCodec.PCMU, 0x7F, 0),
        (RtpCodec.PCMU, 0xFE, 8),
        (RtpCodec.PCMA, 0xD5, 8),  # table 1a: the smallest, 1 of 13 bits
        (RtpCodec.PCMA, 0x55, -8),
        (RtpCodec.PCMA, 0xAA, 32_256),  # the largest, 4,032 of 13 bits
        (RtpCodec.PCMA, 0x2A, -32_256),
    ],
)
def test_values_are_the_standards(codec: RtpCodec, byte: int, value: int) -> None:
    """The tables' ends and their middle."""
    assert g711.decode(bytes((byte,)), codec).tolist() == [value]


@pytest.mark.parametrize("codec", LAWS)
def test_every_byte_comes_back(codec: RtpCodec) -> None:
    """What was decoded is encoded to what it was, but that there is one zero."""
    values = g711.decode(EVERY_BYTE, codec)
    assert (g711.decode(g711.encode(values, codec), codec) == values).all()


@pytest.mark.parametrize("codec", LAWS)
def test_every_sample_is_near_what_it_becomes(codec: RtpCodec) -> None:
    """Half a step of its segment away, or half the smallest."""
    samples = np.arange(-32_000, 32_001)
    became = g711.decode(g711.encode(samples.astype(np.int16), codec), codec)
    assert (np.abs(became - samples) <= np.maximum((np.abs(samples) + 132) / 31, 16)).all()


@pytest.mark.parametrize("codec", LAWS)
def test_silence_is_the_byte_the_standard_has_for_it(codec: RtpCodec) -> None:
    """0xFF and 0xD5, so that a gateway sees a line at rest."""
    assert g711.encode(np.zeros(3, np.int16), codec) == bytes((g711.SILENCE[codec],)) * 3


@pytest.mark.parametrize("milliseconds", [10, 20, 30, 60, 120])
def test_a_wrapped_packet_tells_its_length(milliseconds: int) -> None:
    """The jitter buffer reads it where it reads Opus's, and the decoder gets the bytes back."""
    body = bytes(8 * milliseconds)
    wrapped = g711.wrap(body)
    assert wrapped is not None
    assert opus_duration(wrapped) == 48 * milliseconds
    assert g711.unwrap(wrapped) == body


@pytest.mark.parametrize("length", [0, 79, 81, 961, 1040])
def test_odd_lengths_are_refused(length: int) -> None:
    """Less than 10 ms, more than 120, or anything between."""
    assert g711.wrap(bytes(length)) is None


@pytest.mark.parametrize(
    "wrapped", [b"", b"\xf3", b"\xf8\x01" + bytes(80), b"\xf3\x02" + bytes(80), b"\xf3\x00"]
)
def test_what_was_not_wrapped_is_not_unwrapped(wrapped: bytes) -> None:
    """An Opus packet, for instance."""
    assert g711.unwrap(wrapped) is None
