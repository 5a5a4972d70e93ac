"""The first bytes of an Opus packet: how much audio it holds (RFC 6716 §3.1, §3.2)."""

MAX_SAMPLES = 5760
"""120 ms at 48 kHz, the most one packet may hold."""

_SILK = (480, 960, 1920, 2880)
_HYBRID = (480, 960)
_CELT = (120, 240, 480, 960)
# By configuration number: 12 of SILK, 4 of hybrid, 16 of CELT, at 48 kHz.
_FRAME_SAMPLES = _SILK * 3 + _HYBRID * 2 + _CELT * 4

MAX_FRAME_BYTES = 1275  # RFC 6716 §3.2.1

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


def is_plain_speech(payload: bytes) -> bool:
    """Whether an Opus packet is one mono frame of 20 ms of SILK or hybrid, with something in it.

    All of RFC 6716 §3.2 that concerns such a packet is checked (R1, R2 and R5; the other rules are
    of packets with several frames), so a decoder accepts it whatever its frame holds.
    """
    if not DTX_BYTES < len(payload) <= MAX_FRAME_BYTES + 1:
        return False
    toc = payload[0]
    return toc < 0x80 and not toc & 0x07 and _FRAME_SAMPLES[toc >> 3] == 960


def has_fec(payload: bytes) -> bool:
    """Whether an Opus packet carries the one before it at a lower rate (LBRR, RFC 6716 §4.2.3-4).

    Only SILK's and the hybrid modes can. Their first frame begins with one bit for each 20 ms that
    says whether somebody speaks, and one that says whether the earlier ones follow; in stereo, both
    again for the side channel. Each is as likely as not, so that the range coder leaves them as
    they are.
    """
    at = _first_frame(payload)
    if not payload or payload[0] & 0x80 or at >= len(payload):
        return False
    inner = max(1, _FRAME_SAMPLES[payload[0] >> 3] // 960)
    has_mid = payload[at] >> (7 - inner) & 1
    has_side = payload[0] & 0x04 and payload[at] >> (6 - 2 * inner) & 1
    return bool(has_mid or has_side)


def _first_frame(payload: bytes) -> int:
    """Return where the first frame's data begins (RFC 6716 §3.2), beyond the end if it is empty."""
    code = payload[0] & 3 if payload else 0
    if code < 2:
        return 1
    if code == 2:
        return _behind_lengths(payload, 1, 1)
    if len(payload) < 2:
        return 2
    at, count = 2, payload[1] & 0x3F
    if payload[1] & 0x40:
        while at < len(payload) and payload[at] == 0xFF:
            at += 1
        at += 1
    return _behind_lengths(payload, at, count - 1) if payload[1] & 0x80 else at


def _behind_lengths(payload: bytes, at: int, count: int) -> int:
    """Return the end of `count` frame lengths from `at` on (RFC 6716 §3.2.1)."""
    if count > 0 and payload[at : at + 1] == b"\0":
        return len(payload)
    for _ in range(count):
        if at >= len(payload):
            break
        at += 2 if payload[at] >= 252 else 1
    return at


def is_stereo(payload: bytes) -> bool:
    """Whether a packet says that it was encoded in stereo (RFC 6716 §3.1); False for none."""
    return bool(payload) and bool(payload[0] & 0x04)
