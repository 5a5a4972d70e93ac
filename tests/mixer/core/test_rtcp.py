"""RTCP packets and what is reported in them."""

import struct

import aiortc.rtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.rtcp import (
    INTERVAL_S,
    Bye,
    Other,
    Packet,
    ReceiverReport,
    ReceptionStatistics,
    Remb,
    ReportBlock,
    RtcpError,
    SenderReport,
    SourceDescription,
    interval_s,
    ntp_time,
    parse,
    round_trip_s,
    serialise,
)

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=60)
BLOCKS = st.lists(
    st.builds(
        ReportBlock,
        ssrc=U32,
        fraction_lost=st.integers(0, 255),
        cumulative_lost=st.integers(-(2**23), 2**23 - 1),
        highest_sequence=U32,
        jitter=U32,
        lsr=U32,
        dlsr=U32,
    ),
    max_size=31,
).map(tuple)
PACKETS = st.one_of(
    st.builds(SenderReport, U32, U64, U32, U32, U32, BLOCKS),
    st.builds(ReceiverReport, U32, BLOCKS),
    st.builds(SourceDescription, U32, TEXT),
    st.builds(Bye, st.lists(U32, max_size=31).map(tuple), TEXT),
)


@given(st.lists(PACKETS, max_size=4).map(tuple))
def test_what_is_written_is_read(packets: tuple[Packet, ...]) -> None:
    """Every packet comes back from its bytes, in order, on 32-bit boundaries."""
    data = serialise(packets)
    assert len(data) % 4 == 0
    assert parse(data) == packets


def describe(packet: aiortc.rtp.AnyRtcpPacket) -> Packet:
    """Say what aiortc parsed in our words."""

    def blocks(reports: list[aiortc.rtp.RtcpReceiverInfo]) -> tuple[ReportBlock, ...]:
        return tuple(
            ReportBlock(
                each.ssrc,
                each.fraction_lost,
                each.packets_lost,
                each.highest_sequence,
                each.jitter,
                each.lsr,
                each.dlsr,
            )
            for each in reports
        )

    match packet:
        case aiortc.rtp.RtcpSrPacket():
            info = packet.sender_info
            return SenderReport(
                packet.ssrc,
                info.ntp_timestamp,
                info.rtp_timestamp,
                info.packet_count,
                info.octet_count,
                blocks(packet.reports),
            )
        case aiortc.rtp.RtcpRrPacket():
            return ReceiverReport(packet.ssrc, blocks(packet.reports))
        case aiortc.rtp.RtcpSdesPacket():
            return SourceDescription(packet.chunks[0].ssrc, packet.chunks[0].items[0][1].decode())
        case aiortc.rtp.RtcpByePacket():
            return Bye(tuple(packet.sources))
        case _:
            return Other(206)


@given(st.lists(PACKETS, min_size=1, max_size=4).map(tuple))
def test_what_is_written_agrees_with_aiortc(packets: tuple[Packet, ...]) -> None:
    """Aiortc reads the same from our bytes; it drops a bye's reason."""
    plain = tuple(Bye(each.ssrcs) if isinstance(each, Bye) else each for each in packets)
    read = aiortc.rtp.RtcpPacket.parse(serialise(packets))
    assert tuple(map(describe, read)) == plain


@given(
    st.binary(max_size=120),
    st.sampled_from([b"", b"\x81\xc8", b"\x81\xca", b"\x9f\xcb", b"\xa0\xcf"]),
)
def test_anything_is_read_or_refused(data: bytes, head: bytes) -> None:
    """Random bytes are packets or raise the documented error."""
    body = data[: len(data) // 4 * 4]
    framed = head + struct.pack("!H", len(body) // 4) + body if head else data
    try:
        packets = parse(framed)
    except RtcpError:
        return
    assert isinstance(packets, tuple)


REPORT = ReceiverReport(1, (ReportBlock(2, 3, 4, 5, 6, 7, 8),))


@pytest.mark.parametrize("length", range(1, 32))
def test_a_cut_off_packet_is_refused(length: int) -> None:
    """Every prefix of a report but the empty one is an error."""
    with pytest.raises(RtcpError):
        parse(serialise((REPORT,))[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"\x41\xc9\x00\x00",  # version 1
        b"\x81\xc9\x00\x01" + bytes(4),  # a block is promised and not there
        b"\x80\xc8\x00\x01" + bytes(4),  # a sender report without its sender
        b"\xa0\xc9\x00\x01" + bytes(4),  # padding of nothing
        b"\xa0\xc9\x00\x01" + b"\0\0\0\x05",  # padding longer than the packet
        b"\xa0\xc9\x00\x00",  # padding in no body
        b"\x82\xcb\x00\x01" + bytes(4),  # two sources are promised
        b"\x81\xca\x00\x02" + bytes(4) + b"\x01\xffab",  # an item longer than its packet
        b"\x81\xca\x00\x02" + bytes(4) + b"\x02\x01a\x01",  # an item without its length
    ],
)
def test_what_points_outside_its_packet_is_refused(data: bytes) -> None:
    """Counts and lengths never reach into what lies behind."""
    with pytest.raises(RtcpError):
        parse(data)


def test_what_we_do_not_read_is_passed_over() -> None:
    """Feedback and reports of kinds we do not know are named, and the rest is read."""
    feedback = b"\x81\xce\x00\x02" + bytes(8)
    assert parse(feedback + serialise((REPORT,))) == (Other(206), REPORT)
    with pytest.raises(TypeError):
        serialise((Other(206),))
    with pytest.raises(TypeError):
        serialise((Remb(1),))


def test_padding_is_not_content() -> None:
    """RFC 3550 §6.4.1: the last byte of a padded packet counts what to ignore."""
    data = serialise((REPORT,))
    padded = bytes([data[0] | 0x20]) + data[1:3] + bytes([data[3] + 1]) + data[4:] + b"\0\0\0\x04"
    assert parse(padded) == (REPORT,)


def test_a_description_names_its_first_source() -> None:
    """Other items and sources are passed over; a description of nobody is read too."""
    items = b"\x02\x01x" + b"\x01\x03abc" + b"\0" * 4
    assert parse(b"\x82\xca\x00\x04" + bytes([0, 0, 0, 9]) + items) == (
        SourceDescription(9, "abc"),
    )
    assert parse(b"\x80\xca\x00\x00") == (SourceDescription(0, ""),)


def test_text_that_is_no_text_is_still_read() -> None:
    """A name with broken UTF-8 costs nobody their reports."""
    data = b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x01\xff\x00"
    assert parse(data) == (SourceDescription(0, "\ufffd"),)


def test_long_names_are_cut_off() -> None:
    """An item has 255 bytes at most."""
    (read,) = parse(serialise((SourceDescription(1, "x" * 300),)))
    assert read == SourceDescription(1, "x" * 255)


def received(numbers: list[int], start: int = 0) -> ReceptionStatistics:
    """Count a stream of 20 ms packets that all took the same time."""
    statistics = ReceptionStatistics(5)
    for number in numbers:
        timestamp = (start * 65_537 + number * 960) % 2**32
        statistics.receive((start + number) & 0xFFFF, timestamp, number * 0.02)
    return statistics


def test_a_whole_stream_has_no_loss(wrap_start: int) -> None:
    """From any first number on, what arrived is what was expected."""
    statistics = received(list(range(100)), wrap_start)
    block = statistics.block(2.0)
    assert (statistics.lost, block.fraction_lost, block.cumulative_lost) == (0, 0, 0)
    assert block.highest_sequence == wrap_start + 99
    assert block.jitter == 0


def test_losses_are_told_for_the_interval_and_in_total(wrap_start: int) -> None:
    """A quarter lost is 64 of 256, once; the total stays."""
    statistics = received([n for n in range(1, 101) if n % 4], wrap_start)
    statistics.receive((wrap_start + 101) & 0xFFFF, 0, 2.02)
    first, second = statistics.block(2.0), statistics.block(3.0)
    assert (first.fraction_lost, first.cumulative_lost) == (25 * 256 // 101, 25)
    assert (second.fraction_lost, second.cumulative_lost) == (0, 25)


def test_a_gap_that_is_all_of_the_interval_is_255() -> None:
    """The fraction never overflows its byte."""
    statistics = received([0])
    statistics.block(0.0)
    statistics.receive(30_000, 0, 1.0)
    assert statistics.block(1.0).fraction_lost == 255


def test_reordering_and_doubles_do_not_move_the_highest() -> None:
    """An old packet counts as received; a double makes the loss negative."""
    statistics = received([0, 2, 1, 3, 3, 0])
    block = statistics.block(0.1)
    assert block.highest_sequence == 3
    assert (statistics.lost, block.cumulative_lost, block.fraction_lost) == (-2, -2, 0)


def test_skipped_packets_are_not_lost() -> None:
    """What was dropped unread because it is silent was received."""
    statistics = received([0, 1, 2, 50])
    statistics.count_skipped(47)
    block = statistics.block(1.0)
    assert (block.cumulative_lost, block.fraction_lost) == (0, 0)


def test_a_total_beyond_24_bits_stays_at_their_edge() -> None:
    """RFC 3550 A.3: the cumulative loss is clamped, not wrapped."""
    statistics = received([0])
    statistics.count_skipped(2**24)
    assert statistics.block(0.0).cumulative_lost == -(2**23)


def test_jitter_converges_to_the_mean_difference() -> None:
    """RFC 3550 A.8: packets 5 ms early and late in turn differ by 10 ms, 480 units."""
    statistics = ReceptionStatistics(5)
    for number in range(200):
        statistics.receive(number, number * 960, number * 0.02 + 0.005 * (-1) ** number)
    assert statistics.block(4.0).jitter == pytest.approx(480, abs=2)


def test_before_the_first_packet_there_is_nothing_to_report() -> None:
    """A block can be made at any time."""
    assert ReceptionStatistics(5).block(9.0) == ReportBlock(5, 0, 0, 0, 0, 0, 0)


def test_the_round_trip_is_what_both_sides_did_not_wait() -> None:
    """Our report's time goes there and back: now, less the peer's wait, less then."""
    sent, peer = ntp_time(1_700_000_000.0), ReceptionStatistics(5)
    peer.sender_report(sent, 50.0)
    block = peer.block(51.5)
    assert block.lsr == sent >> 16 & 0xFFFFFFFF
    assert round_trip_s(ntp_time(1_700_000_001.58), block) == pytest.approx(0.08, abs=1e-4)


@pytest.mark.parametrize(
    ("lsr", "dlsr", "expected"),
    [
        (0, 0, None),
        (0x10000, 0, 0.0),  # now
        (0x10000, 5, 0.0),  # the clocks' grain
        (0xFFFF0000, 0, 2.0),  # across the wrap
        (0x80000000, 0, None),  # half a circle away
        (0x10000, 0x7FFFFFFF, None),
    ],
)
def test_an_impossible_round_trip_is_none(lsr: int, dlsr: int, expected: float | None) -> None:
    """What a peer claims never makes a round trip below zero or beyond a minute."""
    block = ReportBlock(1, 0, 0, 0, 0, lsr, dlsr)
    assert round_trip_s(0x1_0000_0000, block) == expected


@given(U64, U32, U32)
def test_any_round_trip_is_sane(ntp_now: int, lsr: int, dlsr: int) -> None:
    """Whatever the numbers, the result is None or within a minute."""
    result = round_trip_s(ntp_now, ReportBlock(1, 0, 0, 0, 0, lsr, dlsr))
    assert result is None or 0 <= result <= 60


def test_ntp_time_counts_from_1900() -> None:
    """RFC 3550 §4: 32 bits of seconds since 1900, 32 of their fraction."""
    assert ntp_time(0.5) == (2_208_988_800 << 32) + (1 << 31)


def test_reports_are_half_to_one_and_a_half_intervals_apart() -> None:
    """RFC 3550 §6.3.1; the mean is the interval."""
    assert (interval_s(0.0), interval_s(1.0)) == (INTERVAL_S / 2, 1.5 * INTERVAL_S)
    assert interval_s(0.5) == INTERVAL_S


def test_jitter_is_in_the_sources_own_clock() -> None:
    """Two milliseconds of G.711 are 16 units."""
    reception = ReceptionStatistics(1, 8_000)
    for number in range(400):
        reception.receive(number, number * 160, number * 0.02 + (0.002 if number % 2 else 0.0))
    assert reception.jitter == pytest.approx(16, rel=0.01)


def remb(body: bytes, kind: int = 15) -> bytes:
    return struct.pack("!BBHII", 0x80 | kind, 206, 2 + len(body) // 4, 1, 0) + body


def test_a_receivers_estimate_is_read() -> None:
    """REMB: 18 bits of mantissa, 6 of exponent, in front of the SSRCs it is about."""
    word = 2 << 24 | 3 << 18 | 0x3FFFF
    assert parse(remb(b"REMB" + struct.pack("!III", word, 5, 6))) == (Remb(0x3FFFF << 3),)
    assert parse(remb(b"REMB" + struct.pack("!I", 0xFFFFFFFF))) == (Remb(0x3FFFF << 63),)
    assert parse(remb(b"REMB" + struct.pack("!I", 0))) == (Remb(0),)


def test_what_only_looks_like_an_estimate_is_not() -> None:
    """Another kind of feedback, another application's, and one that is cut off."""
    word = struct.pack("!I", 1 << 24 | 1000)
    assert parse(remb(b"REMB" + word, kind=1)) == parse(remb(b"RAMB" + word)) == (Other(206),)
    assert parse(remb(b"")) == (Other(206),)
    with pytest.raises(RtcpError):
        parse(remb(b"REMB"))
