"""The MPEG transport stream writer for one AAC track (ISO/IEC 13818-1): a segment at a time.

Continuity counters go on from segment to segment, whoever makes them: the tables stand once in each
and count with its number, and the packets of sound are always a multiple of 16.
"""

import struct
from collections.abc import Iterator, Sequence

from hls.core import adts
from hls.core.fmp4 import AacFormat
from hls.core.timeline import AAC_SAMPLES, PART_FRAMES

PACKET_SIZE = 188
_PMT_PID = 0x1000
_AUDIO_PID = 0x100
_PROGRAM = 1
_AUDIO_STREAM = 0xC0
_AAC_IN_ADTS = 0x0F
_PAYLOAD = PACKET_SIZE - 4
_COUNTERS = 16
MOST_STUFFING = (_COUNTERS - 1) * PACKET_SIZE  # bytes at the end of a segment
_PES_HEADER_SIZE = 14
_PCR_SIZE = 7  # flags, then 33 bits of 90 kHz, 6 reserved and 9 of 27 MHz


def segment(audio: AacFormat, sequence: int, decode_time: int, frames: Sequence[bytes]) -> bytes:
    """Return tables and PES packets of consecutive AAC frames, at least one.

    `sequence` is the segment's number: consecutive segments continue one another. `decode_time` is
    the media time of the first frame in samples.
    """
    # PES packets of 64 ms: the clock must come every 100 ms (§2.7.2).
    groups = [frames[n : n + PART_FRAMES] for n in range(0, len(frames), PART_FRAMES)]
    samples = PART_FRAMES * AAC_SAMPLES
    packets = [
        _Pes(adts.timestamp(audio, decode_time + n * samples), adts.stream(audio, group))
        for n, group in enumerate(groups)
    ]
    spare = -sum(pes.least for pes in packets) % _COUNTERS
    pieces = [_table(0, _pat(), sequence), _table(_PMT_PID, _pmt(), sequence)]
    counter = 0
    for number, pes in enumerate(packets):
        count = pes.least + (spare if number == len(packets) - 1 else 0)
        pieces += pes.packets(count, counter, is_first=number == 0)
        counter += count
    return b"".join(pieces)


def usual_size(frame_bytes: float, frames: int) -> float:
    """Return how large segments of frames of about that size are on average, in bytes."""
    groups = frames / PART_FRAMES
    inside = frames * (adts.HEADER_SIZE + frame_bytes) + groups * (_PES_HEADER_SIZE + 1 + _PCR_SIZE)
    # Half a packet is left over in each PES packet, and half of the counters at the end.
    return PACKET_SIZE * (inside / _PAYLOAD + groups / 2 + 2) + MOST_STUFFING / 2


class _Pes:
    """One PES packet (§2.4.3.6) on its way into transport packets."""

    def __init__(self, pts: int, sound: bytes) -> None:
        self._pts = pts
        self._data = _pes(pts, sound)

    @property
    def least(self) -> int:
        """The fewest transport packets it fits into; the first one also carries the clock."""
        return -(-(len(self._data) + 1 + _PCR_SIZE) // _PAYLOAD)

    def packets(self, count: int, counter: int, *, is_first: bool) -> Iterator[bytes]:
        """Give it as exactly `count` transport packets: full ones, then what is left over."""
        clock = _pcr(self._pts, is_random_access=is_first)
        begin = 0
        for number in range(count):
            field = clock if number == 0 else b""
            room = _PAYLOAD - (1 + len(field) if field else 0)
            left = count - number - 1
            size = min(room, len(self._data) - begin - left)
            payload = self._data[begin : begin + size]
            yield _packet(_AUDIO_PID, counter + number, field, payload, is_start=number == 0)
            begin += size


def _packet(pid: int, counter: int, field: bytes, payload: bytes, *, is_start: bool) -> bytes:
    """Return one transport packet (§2.4.3.2), filled up by its adaptation field (§2.4.3.4)."""
    spare = _PAYLOAD - len(payload)
    adaptation = b""
    if spare:
        # Its length does not count itself; the flags are missing only where there is no room.
        inner = (field or b"\0")[: spare - 1]
        adaptation = bytes([spare - 1]) + inner + b"\xff" * (spare - 1 - len(inner))
    head = struct.pack(
        ">BHB",
        0x47,
        (0x4000 if is_start else 0) | pid,
        (0x30 if spare else 0x10) | counter % _COUNTERS,
    )
    return head + adaptation + payload


def _pcr(time: int, *, is_random_access: bool) -> bytes:
    flags = 0x10 | (0x40 if is_random_access else 0)
    return bytes([flags]) + (time << 15 | 0x3F << 9).to_bytes(6, "big")


def _pes(pts: int, sound: bytes) -> bytes:
    stamp = (
        (0x21 | pts >> 29 & 0x0E) << 32
        | (pts >> 15 & 0x7FFF) << 17
        | 1 << 16
        | (pts & 0x7FFF) << 1
        | 1
    ).to_bytes(5, "big")
    header = b"\x84\x80\x05" + stamp  # the frame begins here; a PTS alone, of five bytes
    length = struct.pack(">H", len(header) + len(sound))
    return b"\0\0\x01" + bytes([_AUDIO_STREAM]) + length + header + sound


def _table(pid: int, section: bytes, sequence: int) -> bytes:
    """Return a packet that holds one section, behind its pointer (§2.4.4.1) and before stuffing."""
    payload = b"\0" + section
    return _packet(pid, sequence, b"", payload.ljust(_PAYLOAD, b"\xff"), is_start=True)


def _pat() -> bytes:  # §2.4.4.3
    return _section(0x00, _PROGRAM, struct.pack(">HH", _PROGRAM, 0xE000 | _PMT_PID))


def _pmt() -> bytes:  # §2.4.4.8; the clock is in the packets of sound
    stream = struct.pack(">BHH", _AAC_IN_ADTS, 0xE000 | _AUDIO_PID, 0xF000)
    return _section(0x02, _PROGRAM, struct.pack(">HH", 0xE000 | _AUDIO_PID, 0xF000) + stream)


def _section(table: int, number: int, body: bytes) -> bytes:
    """Return a section in its only version, the first and last of its table, with its checksum."""
    rest = struct.pack(">HBBB", number, 0xC1, 0, 0) + body
    whole = struct.pack(">BH", table, 0xB000 | len(rest) + 4) + rest
    return whole + struct.pack(">I", _crc32(whole))


def _crc32(data: bytes) -> int:
    """Return the checksum of Annex A: polynomial 0x04C11DB7, ones first, nothing mirrored."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc
