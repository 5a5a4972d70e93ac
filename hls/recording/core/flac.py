"""What stands around FLAC's frames in a file (RFC 9639)."""

import struct

STREAMINFO_BYTES = 34
HEAD_BYTES = 4 + 4 + STREAMINFO_BYTES
FRAME_SAMPLES = 4608  # what libavcodec's encoder takes at its default level
_TOTAL_AT = 10  # of STREAMINFO: rate, channels and bits stand in the same 64 bits before it
_MOST_SAMPLES = (1 << 36) - 1
_FRAME = b"\xff\xf8\x5a"  # sync, fixed blocks, of FRAME_SAMPLES at 48 kHz


def flac_head(streaminfo: bytes, total_samples: int = 0) -> bytes:
    """Return what a file begins with; a total of 0 is not known yet (RFC 9639 §8.2)."""
    info = bytearray(streaminfo)
    (word,) = struct.unpack_from(">Q", info, _TOTAL_AT)
    word = word & ~_MOST_SAMPLES | min(total_samples, _MOST_SAMPLES)
    struct.pack_into(">Q", info, _TOTAL_AT, word)
    return b"fLaC" + bytes((0x80, 0, 0, STREAMINFO_BYTES)) + bytes(info)


def read_streaminfo(head: bytes) -> bytes | None:
    """Return STREAMINFO of a file that begins so; None if it is not one of ours."""
    if len(head) < HEAD_BYTES or head[:8] != b"fLaC\x80\0\0\x22":
        return None
    return head[8:HEAD_BYTES]


def last_frame(tail: bytes) -> tuple[int, int] | None:
    """Return where the last frame in `tail` begins, and how many samples are before it.

    Only frames of FRAME_SAMPLES at 48 kHz are looked for. None if there is none; whether the frame
    is whole cannot be told.
    """
    at = tail.rfind(_FRAME)
    while at >= 0:
        number = _frame_number(tail[at : at + 16])
        if number is not None:
            return at, number * FRAME_SAMPLES
        at = tail.rfind(_FRAME, 0, at + len(_FRAME) - 1)
    return None


def _frame_number(head: bytes) -> int | None:
    """Return the number of the frame with that head, None if it is none (RFC 9639 §9.1)."""
    length = _coded_length(head[4]) if len(head) > 4 else 0
    end = 4 + length
    if length == 0 or len(head) <= end or _crc8(head[:end]) != head[end]:
        return None
    number = head[4] if length == 1 else head[4] & (0x7F >> length)
    for byte in head[5:end]:
        number = number << 6 | byte & 0x3F
    return number


def _coded_length(first: int) -> int:
    """Return the bytes of a number that begins so, as UTF-8 codes it; 0 if none does."""
    ones = 8 - (first ^ 0xFF).bit_length()
    if ones == 0:
        return 1
    return ones if 2 <= ones <= 7 else 0


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ (0x107 if crc & 0x80 else 0)
    return crc
