from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.adts import stream
from hls.core.fmp4 import AacFormat
from hls.core.mpegts import PACKET_SIZE, segment

MONO = AacFormat(config=bytes.fromhex("118856e500"), channels=1, bit_rate=96_000)
AUDIO = 0x100
SAMPLES = 92_160  # of a segment

frame_lists = st.lists(st.binary(min_size=1, max_size=900), min_size=1, max_size=90)


@dataclass
class Pes:
    pts: int
    payload: bytes


@dataclass
class Demuxer:
    """A reader of transport streams that shares no code with the writer."""

    counters: dict[int, int] = field(default_factory=dict)
    clocks: list[int] = field(default_factory=list)
    tables: dict[int, bytes] = field(default_factory=dict)
    packets: list[Pes] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)  # PES packets at which one may begin
    _open: bytearray = field(default_factory=bytearray)

    def push(self, data: bytes) -> None:
        assert len(data) % PACKET_SIZE == 0
        for at in range(0, len(data), PACKET_SIZE):
            self._packet(data[at : at + PACKET_SIZE])
        self._close()

    def _packet(self, packet: bytes) -> None:
        assert packet[0] == 0x47
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        is_start = bool(packet[1] & 0x40)
        counter = packet[3] & 0xF
        assert self.counters.get(pid, (counter - 1) % 16) == (counter - 1) % 16, "lost packets"
        self.counters[pid] = counter
        payload = packet[4:]
        if packet[3] & 0x20:
            adaptation, payload = payload[1 : 1 + payload[0]], payload[1 + payload[0] :]
            self._adapt(adaptation)
        assert packet[3] & 0x10, "every packet carries something"
        if pid == AUDIO:
            if is_start:
                self._close()
            self._open += payload
        else:
            size = int.from_bytes(payload[2:4], "big") & 0xFFF
            self.tables[pid] = payload[1 : 4 + size]
            assert set(payload[4 + size :]) == {0xFF}

    def _adapt(self, adaptation: bytes) -> None:
        if not adaptation:
            return
        assert not adaptation[0] & 0x80, "no discontinuity"
        if adaptation[0] & 0x40:
            self.entries.append(len(self.packets) + bool(self._open))
        if adaptation[0] & 0x10:
            self.clocks.append(int.from_bytes(adaptation[1:7], "big") >> 15)
        assert set(adaptation[7 if adaptation[0] & 0x10 else 1 :]) <= {0xFF}

    def _close(self) -> None:
        if not self._open:
            return
        data = bytes(self._open)
        assert data[:4] == b"\0\0\x01\xc0"
        assert int.from_bytes(data[4:6], "big") == len(data) - 6
        assert data[6:9] == b"\x84\x80\x05"
        stamp = int.from_bytes(data[9:14], "big")
        assert stamp >> 36 == 0b0010
        assert stamp & 0x100010001 == 0x100010001, "markers"
        pts = (stamp >> 33 & 7) << 30 | (stamp >> 17 & 0x7FFF) << 15 | stamp >> 1 & 0x7FFF
        self.packets.append(Pes(pts, data[14:]))
        self._open.clear()


def read(*segments: bytes) -> Demuxer:
    demuxer = Demuxer()
    for one in segments:
        demuxer.push(one)
    return demuxer


def test_tables() -> None:
    """The tables name one program of one AAC track, whose packets also carry the clock."""
    found = read(segment(MONO, 3, 0, [b"abc"])).tables
    assert found == {
        0: bytes.fromhex("00b00d0001c100000001f0002ab104b2"),
        0x1000: bytes.fromhex("02b0120001c10000e100f0000fe100f000b69bc0d9"),
    }


def test_checksum() -> None:
    """A table's own checksum taken into the checksum leaves nothing (Annex A)."""
    for section in read(segment(MONO, 0, 0, [b"abc"])).tables.values():
        crc = 0xFFFFFFFF
        for bit in (byte >> shift & 1 for byte in section for shift in range(7, -1, -1)):
            crc = (crc << 1 ^ (0x04C11DB7 if (crc >> 31 ^ bit) & 1 else 0)) & 0xFFFFFFFF
        assert crc == 0


@given(st.lists(frame_lists, min_size=1, max_size=4), st.integers(0, 2**40))
def test_frames_are_found(lists: list[list[bytes]], first: int) -> None:
    """Consecutive segments are one stream without a gap in any counter; every frame comes out."""
    segments = [
        segment(MONO, first + n, (first + n) * SAMPLES, frames) for n, frames in enumerate(lists)
    ]
    demuxer = read(*segments)
    assert b"".join(pes.payload for pes in demuxer.packets) == b"".join(
        stream(MONO, frames) for frames in lists
    )


def test_clock() -> None:
    """A time stands on every third frame, and the clock with it: every 64 ms, of at most 100."""
    demuxer = read(segment(MONO, 0, SAMPLES, [b"x" * 300] * 90))
    times = [pes.pts for pes in demuxer.packets]
    assert times == list(range(172_800, 172_800 * 2, 5760))
    assert demuxer.clocks == times
    assert demuxer.entries == [0], "one begins to decode at a segment's first packet"


def test_wrap() -> None:
    """Times have 33 bits: after 26.5 hours they begin again, in the middle of a segment too."""
    wrap = 2**33 * 8 // 15 // 1024 * 1024
    times = [pes.pts for pes in read(segment(MONO, 0, wrap - 3072, [b"x"] * 9)).packets]
    assert times[0] > 2**33 - 2 * 5760
    assert [time - times[0] for time in times] == [0, 5760, 5760 * 2 - 2**33]


@pytest.mark.parametrize("size", range(1, 400, 7))
def test_any_filling(size: int) -> None:
    """Whatever is left of a packet, down to a byte, is filled up as the standard says."""
    frames = [b"x" * size] * 3
    (pes,) = read(segment(MONO, 0, 0, frames)).packets
    assert pes.payload == stream(MONO, frames)


def test_silence_is_small() -> None:
    """A packet of frames of a few bytes can be spread over as many packets as the count needs."""
    assert len(segment(MONO, 0, 0, [b"x"])) == PACKET_SIZE * (2 + 16)
