"""The first bytes of an Opus packet: how much audio it holds (RFC 6716 §3.1, §3.2)."""

MAX_SAMPLES = 5760
"""120 ms at 48 kHz, the most one packet may hold."""

_SILK = (480, 960, 1920, 2880)
_HYBRID = (480, 960)
_CELT = (120, 240, 480, 960)
# By configuration number: 12 of SILK, 4 of hybrid, 16 of CELT, at 48 kHz.
_FRAME_SAMPLES = _SILK * 3 + _HYBRID * 2 + _CELT * 4

DTX_BYTES = 2
"""A packet this short holds no audio: the encoder has stopped (RFC 6716 §2.1.9)."""


def opus_duration(payload: bytes) -> int:
    """Return the samples per channel at 48 kHz an Opus packet holds; 0 if it is not a packet.

    Only the length is read: a packet with a duration may still fail to decode.
    """
    if not payload:
        return 0
    frame = _FRAME_SAMPLES[payload[0] >> 3]
    code = payload[0] & 3
    if code == 0:
        return frame
    if code != 3:
        return 2 * frame
    if len(payload) < 2:
        return 0
    samples = frame * (payload[1] & 0x3F)
    return samples if samples <= MAX_SAMPLES else 0
