"""G.711 (ITU-T): 16-bit samples as A-law or µ-law bytes, by tables."""

import numpy as np
from numpy.typing import NDArray

from mixer.types import Int16Frame, RtpCodec

RATE = 8_000
FRAME_BYTES = 160  # 20 ms
SILENCE = {RtpCodec.PCMU: 0xFF, RtpCodec.PCMA: 0xD5}
"""The byte of the smallest positive step, which is what silence is sent as."""
STATIC_PAYLOAD_TYPES = {RtpCodec.PCMU: 0, RtpCodec.PCMA: 8}  # RFC 3551 §6

# The Opus table of contents of "10 ms frames, as many as the next byte says" (RFC 6716 §3.2.5):
# in front of G.711 it lets the jitter buffer, which looks no further, see how long a packet is.
_TOC = 30 << 3 | 3
_STEP_BYTES = RATE // 100
_MAX_STEPS = 12  # 120 ms, as Opus has it

_BIAS = 33  # of µ-law's 14-bit magnitudes: it makes every segment begin at a power of two


def _ulaw_values() -> NDArray[np.int16]:
    """Return the 16-bit value of every µ-law byte (G.711 table 2a, scaled by 4)."""
    code = ~np.arange(256) & 0xFF
    segment, step = code >> 4 & 7, code & 0x0F
    magnitude = ((2 * step + _BIAS) << segment) - _BIAS
    values: NDArray[np.int16] = (np.where(code & 0x80, -magnitude, magnitude) * 4).astype(np.int16)
    return values


def _alaw_values() -> NDArray[np.int16]:
    """Return the 16-bit value of every A-law byte (G.711 table 1a, scaled by 8)."""
    code = np.arange(256) ^ 0x55  # even bits are sent inverted
    segment, step = code >> 4 & 7, code & 0x0F
    first = 2 * step + 1
    magnitude = np.where(segment > 0, (first + 32) << np.maximum(segment - 1, 0), first)
    values: NDArray[np.int16] = (np.where(code & 0x80, magnitude, -magnitude) * 8).astype(np.int16)
    return values


def _nearest(values: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return for every 16-bit sample, from -32,768 up, the byte whose value is nearest."""
    order = np.argsort(values, kind="stable")
    ascending = values[order].astype(np.int32)
    edges = (ascending[:-1] + ascending[1:]) / 2
    nearest: NDArray[np.uint8] = order[np.searchsorted(edges, np.arange(-32_768, 32_768))].astype(
        np.uint8
    )
    return nearest


_VALUES = {RtpCodec.PCMU: _ulaw_values(), RtpCodec.PCMA: _alaw_values()}
_BYTES = {codec: _nearest(values) for codec, values in _VALUES.items()}
for _codec, _byte in SILENCE.items():  # 0 is as near to the smallest negative step, or is it too
    _BYTES[_codec][32_768] = _byte


def decode(payload: bytes, codec: RtpCodec) -> Int16Frame:
    """Return the samples of `payload`: int16[n] at 8 kHz, one a byte. `codec` is not OPUS."""
    samples: Int16Frame = _VALUES[codec][np.frombuffer(payload, np.uint8)]
    return samples


def encode(pcm: Int16Frame, codec: RtpCodec) -> bytes:
    """Return the byte nearest to each sample of `pcm` (int16[n]). `codec` is not OPUS."""
    return _BYTES[codec][pcm.astype(np.int32) + 32_768].tobytes()


def wrap(payload: bytes) -> bytes | None:
    """Return G.711 bytes behind an Opus table of contents that says how long they are.

    None if they are not 10 to 120 ms, by 10.
    """
    steps, rest = divmod(len(payload), _STEP_BYTES)
    if rest or not 0 < steps <= _MAX_STEPS:
        return None
    return bytes((_TOC, steps)) + payload


def unwrap(wrapped: bytes) -> bytes | None:
    """Return what was given to `wrap`; None if that is not where it comes from."""
    if len(wrapped) < 2 or wrapped[0] != _TOC or len(wrapped) != 2 + wrapped[1] * _STEP_BYTES:
        return None
    return wrapped[2:] or None
