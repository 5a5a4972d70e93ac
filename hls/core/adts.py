"""AAC frames as packed audio: each with its ADTS header, timed by an ID3 tag at the beginning.

ADTS after ISO/IEC 14496-3 §1.A.2.2.1, packed audio after draft-pantos-hls-rfc8216bis §3.1.3, ID3
after ID3v2.4.0.
"""

import struct
from collections.abc import Sequence

from hls.core.fmp4 import AacFormat

CLOCK_HZ = 90_000  # of MPEG timestamps
CLOCK_MODULUS = 2**33  # they wrap, every 26.5 hours
_OWNER = b"com.apple.streaming.transportStreamTimestamp\0"
HEADER_SIZE = 7


def segment(audio: AacFormat, decode_time: int, frames: Sequence[bytes]) -> bytes:
    """Return a segment of packed audio; `decode_time` is that of its first frame in samples."""
    return _id3(timestamp(audio, decode_time)) + stream(audio, frames)


def stream(audio: AacFormat, frames: Sequence[bytes]) -> bytes:
    """Return the frames, each behind its header."""
    # AudioSpecificConfig: 5 bits object type, 4 of the rate, 4 of channels. An ADTS profile is the
    # object type less one.
    (config,) = struct.unpack_from(">H", audio.config)
    profile, rate, channels = (config >> 11) - 1, config >> 7 & 0xF, config >> 3 & 0xF
    fixed = 0xFFF1 << 12 | profile << 10 | rate << 6 | channels << 2  # no CRC
    pieces = []
    for frame in frames:
        # 13 bits of length, header included; a full buffer means that the rate may vary
        size = len(frame) + HEADER_SIZE
        bits = fixed << 28 | size << 13 | 0x7FF << 2
        pieces += [bits.to_bytes(HEADER_SIZE, "big"), frame]
    return b"".join(pieces)


def timestamp(audio: AacFormat, decode_time: int) -> int:
    """Return the MPEG timestamp of a media time in samples: 33 bits of 90 kHz."""
    return decode_time * CLOCK_HZ // audio.sample_rate % CLOCK_MODULUS


def _id3(time: int) -> bytes:
    private = _OWNER + struct.pack(">Q", time)
    frame = b"PRIV" + _synchsafe(len(private)) + bytes(2) + private
    return b"ID3\x04\x00\x00" + _synchsafe(len(frame)) + frame


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
