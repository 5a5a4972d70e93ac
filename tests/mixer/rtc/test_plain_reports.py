"""RTCP of plain RTP: what is said of each stream, to whom and when, and what is learned."""

import struct

import numpy as np
import pytest

from mixer.core import g711, rtcp
from mixer.core.rtcp import INTERVAL_S, ntp_time
from mixer.rtc.plain import FORGOTTEN_S, INTERRUPTED_S, REPORTS_PER_TICK
from mixer.rtc.plain_reports import port_above
from mixer.rtc.sockets import pack_address, unpack_address
from mixer.types import TICK_S, PeerState, RtcpMode, RtpCodec
from tests.mixer.rtc.test_plain import ANN, EVE, FAR, SSRC, Exchange, frame, read, rtp
from tests.support.callers import Address
from tests.support.hostile import junk

STUDIO: Address = ("192.0.2.50", 5004)
REPORTED = 5  # ticks until a first report is out, and more


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def run(exchange: Exchange, seconds: float, *rows: int) -> list[tuple[float, bytes]]:
    """Tick and send; return (time, packet) of what went out as RTP."""
    sent = []
    for _ in range(round(seconds / TICK_S)):
        exchange.now += TICK_S
        exchange.tick = round(exchange.now / TICK_S)
        exchange.port.send([frame(*rows)] if rows else [], exchange.tick)
        exchange.port.tick(now=exchange.now, unix_now=exchange.now + 1e9)
        sent += [(exchange.now, data) for data in exchange.sent().values()]
    return sent


def report(exchange: Exchange, at: int = -1) -> rtcp.SenderReport:
    packets = exchange.reports[at][1]
    assert isinstance(packets[0], rtcp.SenderReport)
    return packets[0]


def say(exchange: Exchange, *packets: rtcp.Packet, source: Address = ANN) -> None:
    exchange.push(rtcp.serialise(packets), source=source)


def block(ssrc: int, **more: int) -> rtcp.ReportBlock:
    numbers = {
        "fraction_lost": 64,
        "cumulative_lost": 9,
        "highest_sequence": 70_000,
        "jitter": 480,
        "lsr": 0,
        "dlsr": 0,
    }
    return rtcp.ReportBlock(ssrc, **(numbers | more))


# What we say


@pytest.mark.parametrize("codec", list(RtpCodec))
def test_a_report_ties_timestamps_to_the_clock(exchange: Exchange, codec: RtpCodec) -> None:
    """At the report's NTP time the stream's timestamp is the one it gives, in its own clock."""
    row = exchange.forward(codec=codec)
    sent = run(exchange, 0.1, row)
    said = report(exchange)
    at_s, packet = sent[0]
    hertz = 48_000 if codec is RtpCodec.OPUS else 8_000
    elapsed_s = said.ntp / (1 << 32) - ntp_time(at_s + 1e9) / (1 << 32)
    grown = (said.rtp_timestamp - read(packet)[3]) & 0xFFFFFFFF
    assert grown == pytest.approx(elapsed_s * hertz, abs=1)
    assert said.ssrc == 77


def test_packets_and_octets_are_counted(exchange: Exchange) -> None:
    """Octets are those of payloads (RFC 3550 §6.4.1)."""
    row = exchange.forward()
    packets = [data for _, data in run(exchange, 12.0, row)]
    said = report(exchange)
    assert 100 < said.packets <= len(packets)
    assert said.octets == sum(len(data) - 12 for data in packets[: said.packets])


def test_the_first_report_goes_at_once_and_the_others_at_random_times(exchange: Exchange) -> None:
    """Half to one and a half of five seconds apart (RFC 3550 §6.3.1), looked at twice a second."""
    times = []
    exchange.forward()
    for _ in range(4000):
        before = len(exchange.reports)
        run(exchange, TICK_S)
        times += [exchange.now] * (len(exchange.reports) - before)
    gaps = np.diff(times)
    assert times[0] < 1000.1
    assert len(gaps) >= 10
    assert gaps.min() >= 0.5 * INTERVAL_S - TICK_S
    assert gaps.max() <= 1.5 * INTERVAL_S + 0.5 + TICK_S
    assert gaps.std() > 0.5


def test_a_report_names_the_server_and_keeps_the_name(exchange: Exchange) -> None:
    """One CNAME for all streams of a process: they share a clock, and may be played in step."""
    exchange.forward()
    exchange.forward(id="g", ssrc=78, host="192.0.2.51")
    run(exchange, 0.1)
    names = {packets[1] for _, packets in exchange.reports}
    assert all(isinstance(one, rtcp.SourceDescription) for one in names)
    assert len({getattr(one, "cname") for one in names}) == 1  # noqa: B009 - narrowed above
    assert {address for address, _ in exchange.reports} == {STUDIO, ("192.0.2.51", 5004)}


def test_reports_go_to_the_port_above_where_it_is_wanted(exchange: Exchange) -> None:
    """A participant's leave by the port above ours; with `off` there are none."""
    exchange.add(rtcp=RtcpMode.NEXT_PORT)
    exchange.add("bob", ssrc=9, rtcp=RtcpMode.OFF)
    exchange.forward(rtcp=RtcpMode.NEXT_PORT)
    exchange.push(rtp(1))
    exchange.push(rtp(1, ssrc=9), source=EVE)
    exchange.port.send([], 1)
    exchange.port.tick(now=exchange.now, unix_now=1e9)
    assert [address for _, address in exchange.above.outbox] == [(ANN[0], ANN[1] + 1)]
    exchange.sent()
    assert {address for address, _ in exchange.reports} == {
        (ANN[0], ANN[1] + 1),
        (STUDIO[0], STUDIO[1] + 1),
    }


def test_without_a_socket_above_reports_leave_by_rtps(exchange: Exchange) -> None:
    """The port may have been taken."""
    exchange.port._reports._next_outbox = None
    exchange.add(rtcp=RtcpMode.NEXT_PORT)
    exchange.push(rtp(1))
    run(exchange, 0.1)
    assert [address for address, _ in exchange.reports] == [(ANN[0], ANN[1] + 1)]


@pytest.mark.parametrize("six", [False, True])
def test_the_port_above(six: bool) -> None:  # noqa: FBT001 - a parameter
    """Of the last port there is none."""
    packed = np.frombuffer(pack_address("127.0.0.1", 65_534, six=six), np.uint8)
    above = port_above(packed)
    assert above is not None
    assert unpack_address(above.tobytes()) == ("127.0.0.1", 65_535)
    assert port_above(above) is None


def test_the_last_port_gets_no_reports(exchange: Exchange) -> None:
    """There is none above it."""
    exchange.forward(port=65_535, rtcp=RtcpMode.NEXT_PORT)
    run(exchange, 0.1)
    assert exchange.reports == []


def test_who_sends_is_told_how_it_arrives(exchange: Exchange) -> None:
    """Losses, the highest number, the jitter in the codec's own clock, and their last report."""
    kind = g711.STATIC_PAYLOAD_TYPES[RtpCodec.PCMU]
    ann = exchange.add(codec=RtpCodec.PCMU, payload_type=kind)
    for sequence in range(100):
        exchange.now += 0.02 + (0.002 if sequence % 2 else -0.002)
        if sequence % 10:
            exchange.push(rtp(sequence, bytes(160), kind=kind, timestamp=sequence * 160))
    say(exchange, rtcp.SenderReport(SSRC, 0x1234_5678_9ABC_DEF0, 0, 0, 0))
    run(exchange, 0.1)
    (told,) = report(exchange).blocks
    assert (told.ssrc, told.highest_sequence, told.cumulative_lost) == (SSRC, 99, 9)
    assert told.fraction_lost == pytest.approx(256 * 9 / 99, abs=1)
    assert 8 <= told.jitter <= 20  # two milliseconds are 16 at 8 kHz
    assert told.lsr == 0x5678_9ABC
    assert ann.loss_in == pytest.approx(0.09, abs=0.01)


def test_what_arrives_is_measured_though_nobody_is_told(exchange: Exchange) -> None:
    """Loss stands in the room's statistics where `rtcp` is off."""
    ann = exchange.add(rtcp=RtcpMode.OFF)
    for sequence in range(100):
        if sequence % 4:
            exchange.push(rtp(sequence))
    run(exchange, 0.6)
    assert ann.loss_in == pytest.approx(0.25, abs=0.02)
    assert exchange.reports == []


def test_who_goes_is_said_goodbye(exchange: Exchange) -> None:
    """Each stream when it is removed, the others when the port closes; never twice."""
    ann = exchange.add()
    exchange.push(rtp(1))
    exchange.forward()
    exchange.add("mute", ssrc=12)  # who never came is told nothing
    run(exchange, 0.1)
    exchange.reports.clear()
    exchange.port.remove(ann.stream.row)
    exchange.sent()
    exchange.port.close()
    exchange.sent()
    byes = [(address, packets[-1]) for address, packets in exchange.reports]
    assert byes == [(ANN, rtcp.Bye((ann.stream.ssrc_out,))), (STUDIO, rtcp.Bye((77,)))]
    for _, packets in exchange.reports:
        assert isinstance(packets[0], rtcp.ReceiverReport)
        assert isinstance(packets[1], rtcp.SourceDescription)


# What we are told


def test_a_forwarders_receiver_reports(exchange: Exchange) -> None:
    """From any port of its host: losses, jitter and the round trip, of that stream alone."""
    row = exchange.forward()
    run(exchange, 0.1)
    stream = exchange.port.streams[row]
    lsr = report(exchange).ntp >> 16 & 0xFFFFFFFF
    exchange.now += 0.25
    told = rtcp.ReceiverReport(5, (block(1), block(77, lsr=lsr, dlsr=65536 // 20)))
    exchange.outside.inbox.append((rtcp.serialise((told,)), (STUDIO[0], 9)))
    exchange.push()
    control = stream.control
    assert (control.loss, control.lost, control.jitter_s) == (0.25, 9, 0.01)
    assert control.round_trip_s == pytest.approx(0.25, abs=0.11)
    assert control.reports == 1
    exchange.outside.inbox.append((rtcp.serialise((told,)), FAR))
    exchange.push()
    assert control.reports == 1
    assert exchange.port.counters["plain_rtcp_foreign"] == 1


def test_nobody_speaks_to_the_forwarders_socket(exchange: Exchange) -> None:
    """RTP that comes there is junk, whoever it says it is from."""
    exchange.add(allow=("0.0.0.0/0",))
    exchange.forward()
    exchange.outside.inbox.append((rtp(1), STUDIO))
    exchange.above.inbox.append((rtp(1), ANN))
    exchange.push()
    assert exchange.heard == []
    assert exchange.port.counters["plain_rtp_junk"] == 2


def test_a_participants_reports_come_from_where_they_will(exchange: Exchange) -> None:
    """Their port, another of their host (then their SSRC says so), to our port or the one above."""
    ann = exchange.add()
    exchange.push(rtp(1))
    told = rtcp.ReceiverReport(SSRC, (block(ann.stream.ssrc_out),))
    say(exchange, told)
    say(exchange, told, source=(ANN[0], 1))
    exchange.above.inbox.append((rtcp.serialise((told,)), (ANN[0], ANN[1] + 1)))
    exchange.push()
    assert ann.stream.control.reports == 3
    say(exchange, told, source=EVE)
    say(exchange, rtcp.SourceDescription(SSRC, "x"), source=(ANN[0], 1))
    say(exchange, rtcp.ReceiverReport(4, told.blocks), source=(ANN[0], 1))
    assert ann.stream.control.reports == 3
    assert exchange.port.counters["plain_rtcp_foreign"] == 3
    assert exchange.port.counters["plain_rtcp_received"] == 3


def test_a_goodbye_frees_the_place(exchange: Exchange) -> None:
    """Another address may be theirs at once; a goodbye of another SSRC is nothing."""
    exchange.add(allow=("127.0.0.0/8",))
    exchange.push(rtp(1))
    say(exchange, rtcp.ReceiverReport(SSRC), rtcp.Bye((SSRC + 1,)))
    assert exchange.states == [PeerState.LIVE]
    say(exchange, rtcp.ReceiverReport(SSRC), rtcp.Bye((SSRC,)))
    assert exchange.states == [PeerState.LIVE, PeerState.CONNECTING]
    assert exchange.say() == {}
    exchange.push(rtp(1), source=EVE)
    assert exchange.states[-1] is PeerState.LIVE
    assert list(exchange.say()) == [EVE]


def test_a_goodbye_from_a_given_address_keeps_it(exchange: Exchange) -> None:
    """The room is sent there as before."""
    exchange.add(host=FAR[0], port=FAR[1])
    exchange.push(rtp(1), source=FAR)
    say(exchange, rtcp.ReceiverReport(SSRC), rtcp.Bye((SSRC,)), source=FAR)
    assert exchange.states[-1] is PeerState.CONNECTING
    assert list(exchange.say()) == [FAR]


def test_who_pauses_and_reports_is_not_forgotten(exchange: Exchange) -> None:
    """Silence suppression: interrupted, but the room is still sent to them."""
    exchange.add()
    exchange.push(rtp(1))
    for _ in range(4):
        exchange.wait(INTERRUPTED_S)
        say(exchange, rtcp.ReceiverReport(SSRC))
    assert exchange.states == [PeerState.LIVE, PeerState.INTERRUPTED]
    assert list(exchange.say()) == [ANN]
    exchange.wait(FORGOTTEN_S + 1)
    assert exchange.say() == {}


def test_hostile_reports_do_no_harm(exchange: Exchange) -> None:
    """Seeded noise over every kind of packet, from known and unknown addresses: nothing raises."""
    ann, row = exchange.add(), exchange.forward()
    exchange.push(rtp(1))
    run(exchange, 0.1, row)
    good = [
        rtcp.serialise((rtcp.SenderReport(SSRC, 1, 2, 3, 4, (block(ann.stream.ssrc_out),)),)),
        rtcp.serialise((rtcp.ReceiverReport(9, (block(77),)), rtcp.SourceDescription(9, "x"))),
        struct.pack("!BBHI", 0x80, 201, 1, 5),
    ]
    for seed, source in enumerate((ANN, EVE, STUDIO)):
        for datagram in junk(good, seed=seed):
            exchange.outside.inbox.append((datagram, source))
            exchange.above.inbox.append((datagram, source))
            exchange.push(datagram, source=source)
            exchange.wait(0.02)
    assert exchange.port.counters["datagram_failures"] == 0
    assert exchange.port.counters["plain_rtcp_malformed"] > 0
    exchange.push(rtp(2))
    assert exchange.heard[-1][1].sequence == 2


def test_floods_of_reports_have_a_budget(exchange: Exchange) -> None:
    """So many are read in a tick; voices are heard all the same."""
    exchange.add()
    exchange.push(rtp(1))
    flood = [rtcp.serialise((rtcp.ReceiverReport(n),)) for n in range(2 * REPORTS_PER_TICK)]
    exchange.push(*flood, rtp(2), source=ANN)
    assert len(exchange.heard) == 2
    assert exchange.port.counters["plain_rtcp_received"] == REPORTS_PER_TICK


# What changes


def test_a_forwarder_is_redirected_and_numbered_on(exchange: Exchange) -> None:
    """Its receiver may be moved to another machine without a new stream."""
    row = exchange.forward()
    before = read(exchange.say(frame(row))[STUDIO])
    stream = exchange.port.streams[row]
    spec = exchange.forwarder(host="192.0.2.60")
    exchange.port.change_forwarder(row, spec)
    after = read(exchange.say(frame(row))["192.0.2.60", 5004])
    assert (after[2], after[4]) == ((before[2] + 1) & 0xFFFF, before[4])
    assert stream.host == "192.0.2.60"


def test_a_participant_who_may_stay_goes_on(exchange: Exchange) -> None:
    """Who may not is looked for anew."""
    ann = exchange.add()
    exchange.push(rtp(1))
    exchange.port.change_participant(ann.stream.row, exchange.person(allow=("127.0.0.1/32",)))
    assert list(exchange.say()) == [ANN]
    exchange.port.change_participant(ann.stream.row, exchange.person(allow=("10.0.0.0/8",)))
    assert exchange.states[-1] is PeerState.CONNECTING
    exchange.push(rtp(2))
    assert exchange.say() == {}
    given = exchange.person(host=FAR[0], port=FAR[1])
    exchange.port.change_participant(ann.stream.row, given)
    assert list(exchange.say()) == [FAR]
