"""Plain RTP on sockets in memory: whose a packet is, what goes out, and who may take what."""

import random
import struct

import numpy as np
import pytest

from mixer.core import g711, rtcp
from mixer.core.jitter import Arrival
from mixer.rtc.plain import (
    FORGOTTEN_S,
    INTERRUPTED_S,
    MAX_STREAMS,
    OPUS_SILENCE,
    STRANGERS_PER_TICK,
    PlainPort,
)
from mixer.rtc.plain_streams import Participant
from mixer.types import (
    FRAME_SAMPLES,
    TICK_S,
    ForwarderSpec,
    Outgoing,
    PeerId,
    PeerState,
    RoomId,
    RtpCodec,
    RtpParticipantSpec,
)
from tests.support.callers import Address, MemorySocket
from tests.support.hostile import junk

ROOM = RoomId("room")
ANN: Address = ("127.0.0.1", 4000)
EVE: Address = ("127.0.0.9", 4000)
FAR: Address = ("192.0.2.7", 4000)
SSRC = 0xA11CE


def rtp(
    sequence: int = 1,
    body: bytes = b"\xf8voice",
    *,
    ssrc: int = SSRC,
    kind: int = 111,
    timestamp: int | None = None,
    first: int = 0x80,
) -> bytes:
    at = sequence * FRAME_SAMPLES if timestamp is None else timestamp
    return struct.pack("!BBHII", first, kind, sequence & 0xFFFF, at & 0xFFFFFFFF, ssrc) + body


def read(datagram: bytes) -> tuple[int, bool, int, int, int, bytes]:
    """Payload type, marker, sequence, timestamp, SSRC, payload."""
    first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", datagram)
    assert first == 0x80
    return second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, datagram[12:]


class Exchange:
    """A port, its listener and a clock."""

    def __init__(self) -> None:
        self.inside, self.outside, self.above = (MemorySocket() for _ in range(3))
        draw = random.Random(7).random
        self.port = PlainPort(self.inside, self.outside, self, rtcp_socket=self.above, draw=draw)
        self.reports: list[tuple[Address, tuple[rtcp.Packet, ...]]] = []
        self.now = 1000.0
        self.tick = 50_000
        self.heard: list[tuple[PeerId, Arrival, int | None]] = []
        self.states: list[PeerState] = []
        self.streams = 0

    def began(self, participant: Participant) -> None:
        self.streams += 1

    def arrived(self, participant: Participant, packet: Arrival, level_dbov: int | None) -> None:
        self.heard.append((participant.spec.peer, packet, level_dbov))

    def changed(self, participant: Participant) -> None:
        self.states.append(participant.state)

    def add(self, name: str = "ann", **fields: object) -> Participant:
        made = self.port.add_participant(ROOM, self.person(name, **fields))
        assert made is not None
        return made

    def person(self, name: str = "ann", **fields: object) -> RtpParticipantSpec:
        return RtpParticipantSpec(PeerId(name), **({"ssrc": SSRC} | fields))  # type: ignore[arg-type]

    def forward(self, **fields: object) -> int:
        made = self.port.add_forwarder(ROOM, self.forwarder(**fields))
        assert made is not None
        return made.row

    def forwarder(self, **fields: object) -> ForwarderSpec:
        wanted = {"id": "f", "host": "192.0.2.50", "port": 5004, "ssrc": 77} | fields
        return ForwarderSpec(**wanted)  # type: ignore[arg-type]

    def push(self, *datagrams: bytes, source: Address = ANN) -> None:
        for datagram in datagrams:
            self.inside.inbox.append((datagram, source))
        self.port.poll(now=self.now, unix_now=self.now + 1e9)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.now += TICK_S
            self.port.tick(now=self.now, unix_now=self.now + 1e9)

    def say(self, *frames: Outgoing) -> dict[Address, bytes]:
        self.tick += 1
        self.port.send(list(frames), self.tick)
        return self.sent()

    def sent(self) -> dict[Address, bytes]:
        """Return the RTP sent since the last call; reports are kept apart."""
        sent = {}
        for socket in (self.inside, self.outside, self.above):
            for data, address in socket.outbox:
                if 192 <= data[1] < 224:
                    self.reports.append((address, rtcp.parse(data)))
                else:
                    sent[address] = data
            socket.outbox.clear()
        return sent

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.heard]


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def frame(*rows: int, payload: bytes = b"\xf8mixed", marker: bool = False) -> Outgoing:
    pcm = np.full(FRAME_SAMPLES, 1000, np.int16)
    return Outgoing(payload, np.array(rows, np.intp), -20, marker=marker, pcm=pcm)


# In


def test_a_packet_is_known_by_its_ssrc_then_by_its_address(exchange: Exchange) -> None:
    """The first tells where its sender is; from there any SSRC is theirs, a new stream."""
    ann = exchange.add()
    exchange.push(rtp(1), rtp(2), rtp(3, ssrc=5))
    assert exchange.names == ["ann"] * 3
    assert exchange.streams == 1
    assert exchange.states == [PeerState.LIVE]
    assert ann.stream.address is not None
    packet = exchange.heard[0][1]
    assert (packet.sequence, packet.timestamp, packet.payload) == (1, 960, b"\xf8voice")


def test_strangers_are_not_heard(exchange: Exchange) -> None:
    """Neither an unknown SSRC nor an address that is not allowed."""
    exchange.add()
    exchange.push(rtp(ssrc=4), source=ANN)
    exchange.push(rtp(), source=FAR)
    assert exchange.heard == []
    assert exchange.port.counters["plain_rtp_foreign"] == 2


def test_who_sends_cannot_be_ousted(exchange: Exchange) -> None:
    """Somebody else who knows the SSRC is refused while packets come, and may come after 5 s."""
    exchange.add(allow=("127.0.0.0/8",))
    exchange.push(rtp(1))
    exchange.wait(INTERRUPTED_S - 1)
    exchange.push(rtp(2, b"\xf8eve"), source=EVE)
    assert len(exchange.heard) == 1
    assert ANN in exchange.say()
    exchange.wait(1.1)
    exchange.push(rtp(3, b"\xf8eve"), source=EVE)
    assert len(exchange.heard) == 2
    assert list(exchange.say()) == [EVE]
    exchange.push(rtp(4), source=ANN)
    assert len(exchange.heard) == 2


def test_silence_interrupts_then_forgets(exchange: Exchange) -> None:
    """After 15 s nothing is sent any more; the next packet makes them live again."""
    exchange.add()
    exchange.push(rtp(1))
    exchange.wait(INTERRUPTED_S + 0.6)
    assert exchange.say()
    exchange.wait(FORGOTTEN_S - INTERRUPTED_S)
    assert exchange.states == [PeerState.LIVE, PeerState.INTERRUPTED, PeerState.CONNECTING]
    assert exchange.say() == {}
    exchange.push(rtp(2))
    assert exchange.states[-1] is PeerState.LIVE


def test_any_ssrc_will_do_where_none_is_named(exchange: Exchange) -> None:
    """A device that chooses its own; but nobody else's."""
    exchange.add("bob")
    exchange.add("dev", ssrc=None, allow=("127.0.0.9/32",))
    exchange.push(rtp(ssrc=42), source=EVE)
    exchange.push(rtp(ssrc=43), source=ANN)
    exchange.push(rtp(), source=ANN)
    assert exchange.names == ["dev", "bob"]


def test_a_given_address_is_sent_to_at_once_and_never_moves(exchange: Exchange) -> None:
    """Whoever else has the SSRC; silence does not forget it."""
    exchange.add(host=FAR[0], port=FAR[1])
    assert list(exchange.say()) == [FAR]
    exchange.push(rtp(1), source=ANN)
    exchange.push(rtp(2), source=FAR)
    assert len(exchange.heard) == 1
    exchange.wait(FORGOTTEN_S + 1)
    exchange.push(rtp(3), source=ANN)
    assert len(exchange.heard) == 1
    assert list(exchange.say()) == [FAR]


def test_other_payload_types_are_counted(exchange: Exchange) -> None:
    """Comfort noise (13) too; they do not tell where somebody is."""
    exchange.add()
    exchange.push(rtp(kind=13), rtp(kind=0))
    counters = exchange.port.counters
    assert (counters["plain_rtp_comfort"], counters["plain_rtp_unknown_type"]) == (1, 1)
    assert exchange.say() == {}


@pytest.mark.parametrize("codec", [RtpCodec.PCMU, RtpCodec.PCMA])
def test_g711_is_wrapped_timed_at_48_khz_and_its_level_measured(
    exchange: Exchange, codec: RtpCodec
) -> None:
    """Its timestamps wrap with ours."""
    kind = g711.STATIC_PAYLOAD_TYPES[codec]
    exchange.add(codec=codec, payload_type=kind)
    loud = g711.encode(np.full(160, 8000, np.int16), codec)
    exchange.push(rtp(1, loud, kind=kind, timestamp=0xFFFFFFFF - 159))
    exchange.push(rtp(2, bytes((g711.SILENCE[codec],)) * 160, kind=kind, timestamp=0))
    (_, first, level), (_, second, quiet) = exchange.heard
    assert g711.unwrap(first.payload) == loud
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == FRAME_SAMPLES
    assert level == pytest.approx(-12, abs=1)
    assert quiet is not None
    assert quiet < -70
    assert (first.silent, second.silent) == (False, True)


def test_opus_pauses_are_known_to_be_silent(exchange: Exchange) -> None:
    """A packet of a byte or two is DTX; of others the level is unknown."""
    exchange.add()
    exchange.push(rtp(1, b"\xf8"), rtp(2))
    assert [level for _, _, level in exchange.heard] == [-127, None]


def test_what_is_no_rtp_is_counted(exchange: Exchange) -> None:
    """Junk, too little of RTCP, a packet of nothing, padding that is more than there is."""
    exchange.add()
    exchange.add("bob", codec=RtpCodec.PCMU, payload_type=0, ssrc=9)
    exchange.push(b"", b"x", rtp(first=0x40), b"\x80\xc8\0\1", rtp(body=b"", first=0x80)[:11])
    assert exchange.port.counters["plain_rtp_junk"] == 5
    exchange.push(rtp(ssrc=9, kind=0, body=b""), rtp(body=b"\xff", first=0xA0))
    assert exchange.port.counters["plain_rtp_malformed"] == 2
    assert exchange.heard == []


def test_floods_of_strangers_have_a_budget(exchange: Exchange) -> None:
    """A hundred are looked up in a tick; who is known is heard all the same."""
    exchange.add()
    exchange.push(rtp(1))
    flood = [rtp(ssrc=number) for number in range(STRANGERS_PER_TICK + 50)]
    exchange.push(*flood, source=EVE)
    exchange.add("bob", ssrc=8)
    exchange.push(rtp(ssrc=8), source=("127.0.0.2", 1))
    exchange.push(rtp(2))
    assert exchange.names == ["ann", "ann"]
    exchange.wait(0.02)
    exchange.push(rtp(ssrc=8), source=("127.0.0.2", 1))
    assert exchange.names == ["ann", "ann", "bob"]


def test_hostile_datagrams_do_no_harm(exchange: Exchange) -> None:
    """Seeded noise from an allowed and from a foreign address: nothing raises, ann is heard."""
    exchange.add(host=ANN[0], port=ANN[1])
    exchange.push(rtp(1))
    for seed, source in enumerate((EVE, FAR, EVE, FAR)):
        for datagram in junk([rtp(9, ssrc=1), rtp(9, b"\x80" * 400, first=0xBF)], seed=seed):
            exchange.push(datagram, source=source)
            exchange.wait(0.02)
    exchange.push(rtp(2))
    assert exchange.names == ["ann", "ann"]
    assert exchange.port.counters["datagram_failures"] == 0


# Out


def test_opus_is_sent_as_it_is(exchange: Exchange) -> None:
    """Numbered on, timed by the tick, with the forwarder's own SSRC and payload type."""
    row = exchange.forward(payload_type=100)
    first = read(exchange.say(frame(row, marker=True))["192.0.2.50", 5004])
    second = read(exchange.say(frame(row))["192.0.2.50", 5004])
    assert (first[0], first[1], second[1], first[4]) == (100, True, False, 77)
    assert (second[2] - first[2]) & 0xFFFF == 1
    assert (second[3] - first[3]) & 0xFFFFFFFF == FRAME_SAMPLES
    assert first[5] == b"\xf8mixed"


@pytest.mark.parametrize("codec", [RtpCodec.PCMU, RtpCodec.PCMA])
def test_g711_is_made_of_the_samples(exchange: Exchange, codec: RtpCodec) -> None:
    """160 bytes a tick; after sound the filter's tail, then the codec's silence."""
    row = exchange.forward(codec=codec, payload_type=8)
    sent = [
        read(exchange.say(*frames)["192.0.2.50", 5004]) for frames in [(frame(row),)] * 3 + [()] * 3
    ]
    assert [len(one[5]) for one in sent] == [160] * 6
    assert (sent[1][3] - sent[0][3]) & 0xFFFFFFFF == 160
    assert g711.decode(sent[2][5], codec).mean() == pytest.approx(1000, rel=0.02)
    silence = bytes((g711.SILENCE[codec],)) * 160
    assert sent[3][5] != silence
    assert sent[4][5] == sent[5][5] == silence


def test_silence_is_sent_to_who_has_nothing_to_hear(exchange: Exchange) -> None:
    """A stream without gaps, for comfort frames too."""
    row = exchange.forward()
    assert read(exchange.say()["192.0.2.50", 5004])[5] == OPUS_SILENCE
    assert read(exchange.say(frame(row, payload=b"\xf8"))["192.0.2.50", 5004])[5] == OPUS_SILENCE


def test_forwarders_and_participants_have_sockets_of_their_own(exchange: Exchange) -> None:
    """What is forwarded does not leave by the port that listens."""
    exchange.forward()
    exchange.add()
    exchange.push(rtp(1))
    exchange.port.send([], 5)
    assert [address for _, address in exchange.inside.outbox] == [ANN]
    assert [address for _, address in exchange.outside.outbox] == [("192.0.2.50", 5004)]


def test_who_is_removed_is_neither_heard_nor_sent_to(exchange: Exchange) -> None:
    """And the row serves the next."""
    ann, row = exchange.add(), exchange.forward()
    exchange.push(rtp(1))
    exchange.port.remove(ann.stream.row)
    exchange.port.remove(row)
    exchange.push(rtp(2))
    assert len(exchange.heard) == 1
    assert exchange.say() == {}
    assert exchange.add().stream.row == ann.stream.row


def test_streams_are_finite(exchange: Exchange) -> None:
    """One above is refused, counted."""
    for number in range(MAX_STREAMS):
        exchange.add(str(number), ssrc=number, codec=list(RtpCodec)[number % 3])
    assert exchange.port.add_participant(ROOM, RtpParticipantSpec(PeerId("x"))) is None
    spec = ForwarderSpec("f", "192.0.2.1", 1, 1)
    assert exchange.port.add_forwarder(ROOM, spec) is None
    assert exchange.port.counters["plain_rtp_over_capacity"] == 2


def test_close_closes_both(exchange: Exchange) -> None:
    """Sockets are given back."""
    exchange.port.close()
    assert exchange.inside.is_closed
    assert exchange.outside.is_closed
    assert exchange.above.is_closed
    assert exchange.port.port == 10_000
