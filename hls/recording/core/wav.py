"""The head of a WAV file, which says how long it is."""

import struct
from enum import IntEnum

HEAD_BYTES = 58
_MOST = 0xFFFFFFFF  # from 4 GiB on readers go on to the end of the file


class WavFormat(IntEnum):
    """What the samples are (RFC 2361)."""

    PCM = 1  # 16 bits at 48 kHz
    ALAW = 6  # 8 bits at 8 kHz, mono
    ULAW = 7


def wav_head(kind: WavFormat, channels: int, data_bytes: int) -> bytes:
    """Return what stands before so many bytes of samples; it always has HEAD_BYTES."""
    rate, width = (48_000, 2) if kind is WavFormat.PCM else (8_000, 1)
    block = channels * width
    samples = min(data_bytes // block, _MOST)
    head = struct.pack(
        "<4sI4s4sIHHIIHHH",
        *(b"RIFF", min(data_bytes + HEAD_BYTES - 8, _MOST), b"WAVE", b"fmt ", 18),
        *(kind.value, channels, rate, rate * block, block, 8 * width, 0),
    )
    fact = struct.pack("<4sII", b"fact", 4, samples)
    return head + fact + struct.pack("<4sI", b"data", min(data_bytes, _MOST))
