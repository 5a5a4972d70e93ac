"""RTCP: reports about streams (RFC 3550 §6 and appendix A)."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from mixer.core.sequence import Unwrapper, distance
from mixer.types import SAMPLE_RATE

MAX_BLOCKS = 31  # the count field has five bits
INTERVAL_S = 5.0  # RFC 3550 §6.2's least; two on a stream of 64 kb/s may not want it oftener
NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970

_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!QIII")
_BLOCK = struct.Struct("!IIIIII")
_CNAME = 1
_APPLICATION_LAYER = 15  # RFC 4585 §6.4
_REMB = b"REMB"
_MAX_ROUND_TRIP = 60 << 16  # a minute, in 1/65536 s: beyond it, somebody's clock was set


class _Type(IntEnum):
    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    BYE = 203
    PAYLOAD_FEEDBACK = 206


class RtcpError(ValueError):
    """The bytes are not a compound RTCP packet."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one stream (§6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Of 256, since the last report."""
    cumulative_lost: int
    """Signed 24 bits: duplicates make it negative."""
    highest_sequence: int
    """Extended to 32 bits."""
    jitter: int
    """In timestamp units."""
    lsr: int
    """Middle 32 bits of the last sender report's NTP time, 0 = none."""
    dlsr: int
    """Since then, in 1/65536 s."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender says of its stream (§6.4.1); `ntp` has 64 bits."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """Reports of somebody who sends nothing (§6.4.2)."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """The canonical name of one source (§6.5)."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Bye:
    """Sources that end (§6.6)."""

    ssrcs: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Remb:
    """A receiver's estimate of what it can take (draft-alvestrand-rmcat-remb-03 §2.2)."""

    bitrate_bps: int
    """Of all streams together, headers included."""


@dataclass(frozen=True, slots=True)
class Other:
    """A packet we do not read, such as other feedback (RFC 4585)."""

    packet_type: int


Packet = SenderReport | ReceiverReport | SourceDescription | Bye | Remb | Other


def parse(data: bytes) -> tuple[Packet, ...]:
    """Return the packets of a decrypted compound packet; nothing is no packet.

    Of a source description only the first source is read: browsers describe one.

    Raises:
        RtcpError: it is malformed anywhere.
    """
    packets: list[Packet] = []
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            raise RtcpError("a packet is shorter than its header")
        first, packet_type, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            raise RtcpError("a packet has another version or ends outside the datagram")
        body = data[at + 4 : end]
        if first & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                raise RtcpError("the padding is longer than the packet")
            body = body[: -body[-1]]
        try:
            packets.append(_parse_one(packet_type, first & 0x1F, body))
        except (struct.error, IndexError) as error:
            raise RtcpError("a packet is shorter than it says") from error
        at = end
    return tuple(packets)


def _parse_one(packet_type: int, count: int, body: bytes) -> Packet:
    match packet_type:
        case _Type.SENDER_REPORT:
            (ssrc,) = struct.unpack_from("!I", body)
            ntp, rtp_timestamp, packets, octets = _SENDER.unpack_from(body, 4)
            blocks = _parse_blocks(body, 24, count)
            return SenderReport(ssrc, ntp, rtp_timestamp, packets, octets, blocks)
        case _Type.RECEIVER_REPORT:
            (ssrc,) = struct.unpack_from("!I", body)
            return ReceiverReport(ssrc, _parse_blocks(body, 4, count))
        case _Type.SOURCE_DESCRIPTION:
            return _parse_description(body)
        case _Type.BYE:
            ssrcs = struct.unpack_from(f"!{count}I", body)
            rest = body[4 * count :]
            return Bye(ssrcs, rest[1 : 1 + rest[0]].decode(errors="replace") if rest else "")
        case _Type.PAYLOAD_FEEDBACK if count == _APPLICATION_LAYER and body[8:12] == _REMB:
            (word,) = struct.unpack_from("!I", body, 12)  # 8 bits SSRCs, 6 exponent, 18 mantissa
            return Remb((word & 0x3FFFF) << (word >> 18 & 0x3F))
        case _:
            return Other(packet_type)


def _parse_blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for index in range(count):
        ssrc, lost, highest, jitter, lsr, dlsr = _BLOCK.unpack_from(body, at + 24 * index)
        cumulative = lost & 0xFFFFFF
        if cumulative & 0x800000:
            cumulative -= 1 << 24
        blocks.append(ReportBlock(ssrc, lost >> 24, cumulative, highest, jitter, lsr, dlsr))
    return tuple(blocks)


def _parse_description(body: bytes) -> SourceDescription:
    if not body:
        return SourceDescription(0, "")
    (ssrc,) = struct.unpack_from("!I", body)
    at, cname = 4, ""
    while at < len(body) and body[at]:
        kind, length = body[at], body[at + 1]
        text = body[at + 2 : at + 2 + length]
        if len(text) < length:
            raise RtcpError("an item is longer than its packet")
        if kind == _CNAME:
            cname = text.decode(errors="replace")
        at += 2 + length
    return SourceDescription(ssrc, cname)


def serialise(packets: Iterable[Packet]) -> bytes:
    """Return the compound packet; names and reasons are cut off at 255 bytes.

    Raises:
        TypeError: one is an `Other` or `Remb`.
    """
    return b"".join(_serialise_one(packet) for packet in packets)


def _serialise_one(packet: Packet) -> bytes:
    match packet:
        case SenderReport():
            head = struct.pack("!I", packet.ssrc)
            head += _SENDER.pack(packet.ntp, packet.rtp_timestamp, packet.packets, packet.octets)
            return _frame(
                _Type.SENDER_REPORT, len(packet.blocks), head + _write_blocks(packet.blocks)
            )
        case ReceiverReport():
            head = struct.pack("!I", packet.ssrc)
            return _frame(
                _Type.RECEIVER_REPORT, len(packet.blocks), head + _write_blocks(packet.blocks)
            )
        case SourceDescription():
            name = packet.cname.encode()[:255]
            body = struct.pack("!IBB", packet.ssrc, _CNAME, len(name)) + name + b"\0"
            return _frame(_Type.SOURCE_DESCRIPTION, 1, body + b"\0" * (-len(body) % 4))
        case Bye():
            body = struct.pack(f"!{len(packet.ssrcs)}I", *packet.ssrcs)
            if packet.reason:
                reason = packet.reason.encode()[:255]
                body += bytes((len(reason),)) + reason
            return _frame(_Type.BYE, len(packet.ssrcs), body + b"\0" * (-len(body) % 4))
        case Other() | Remb():
            raise TypeError("feedback is read and never written")
        case _:
            assert_never(packet)


def _frame(packet_type: int, count: int, body: bytes) -> bytes:
    assert count <= MAX_BLOCKS, "callers report at most one stream per peer"
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body


def _write_blocks(blocks: Sequence[ReportBlock]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.cumulative_lost & 0xFFFFFF,
            block.highest_sequence,
            block.jitter,
            block.lsr,
            block.dlsr,
        )
        for block in blocks
    )


def ntp_time(unix_s: float) -> int:
    """Return the 64-bit NTP time of a wall-clock time (§4)."""
    return round((unix_s + NTP_EPOCH_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def round_trip_s(ntp_now: int, block: ReportBlock) -> float | None:
    """Return the round trip of §6.4.1; None if the peer has had no report of ours, or lies.

    It is 0 if the clocks' resolution makes it come out just below.
    """
    if block.lsr == 0:
        return None
    units = distance(_middle(ntp_now), block.lsr + block.dlsr, 32)
    if not -_MAX_ROUND_TRIP <= units <= _MAX_ROUND_TRIP:
        return None
    return max(0, units) / 65536


def interval_s(draw: float) -> float:
    """Return how long to wait between two reports in a session of two, `draw` being 0..1.

    Half to one and a half times the interval (§6.3.1), so that many do not fall into step. Its
    correction by e - 1.5 belongs to reconsideration, which two members have no use for.
    """
    return INTERVAL_S * (0.5 + draw)


class ReceptionStatistics:
    """What a receiver counts of one source (appendices A.1, A.3 and A.8).

    `clock_hz` is how fast its timestamps run.
    """

    def __init__(self, ssrc: int, clock_hz: int = SAMPLE_RATE) -> None:
        self.ssrc = ssrc
        self.clock_hz = clock_hz
        self.received = 0
        self.jitter = 0.0
        """In timestamp units."""
        self._first: int | None = None
        self._expected_prior = 0
        self._received_prior = 0
        self._transit: float | None = None
        self._lsr = 0
        self._lsr_arrival_s = 0.0
        self._sequence = Unwrapper()
        self._timestamp = Unwrapper(32)

    def receive(self, sequence: int, timestamp: int, arrival_s: float) -> None:
        """Count one packet: its number and timestamp as on the wire, its arrival in seconds."""
        extended = self._sequence.unwrap(sequence)
        if self._first is None:
            self._first = extended
        self.received += 1
        transit = arrival_s * self.clock_hz - self._timestamp.unwrap(timestamp)
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit

    def count_skipped(self, packets: int) -> None:
        """Count packets that arrived and were not read: a sender must not take them for lost."""
        self.received += packets

    def sender_report(self, ntp: int, arrival_s: float) -> None:
        """Note when the source's last report came, for its round trip."""
        self._lsr = _middle(ntp)
        self._lsr_arrival_s = arrival_s

    @property
    def lost(self) -> int:
        """Packets missing since the beginning; negative with duplicates."""
        return self._expected - self.received

    @property
    def _expected(self) -> int:
        if self._first is None or self._sequence.highest is None:
            return 0
        return self._sequence.highest - self._first + 1

    def block(self, now: float) -> ReportBlock:
        """Return the next report block, and begin a new interval."""
        expected = self._expected - self._expected_prior
        lost = expected - (self.received - self._received_prior)
        self._expected_prior, self._received_prior = self._expected, self.received
        fraction = 0 if expected <= 0 or lost <= 0 else min(255, (lost << 8) // expected)
        since_s = max(0.0, now - self._lsr_arrival_s)
        # The unwrapper counts from one circle, RFC 3550's cycles from none.
        highest = (self._sequence.highest or 0) - (1 << 16)
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            cumulative_lost=max(-0x800000, min(0x7FFFFF, self.lost)),
            highest_sequence=highest & 0xFFFFFFFF if self._first is not None else 0,
            jitter=min(0xFFFFFFFF, int(self.jitter)),
            lsr=self._lsr,
            dlsr=min(0xFFFFFFFF, int(since_s * 65536)) if self._lsr else 0,
        )


def _middle(ntp: int) -> int:
    """Return the middle 32 of 64 bits: seconds and their fraction, 16 bits each."""
    return ntp >> 16 & 0xFFFFFFFF
