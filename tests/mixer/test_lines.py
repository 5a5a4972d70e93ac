"""Plain RTP in the engine's rooms, over sockets in memory, beside WebRTC callers."""

import struct
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from mixer.core import g711, rtcp
from mixer.core.resample import Decimator
from mixer.engine import Engine
from mixer.errors import ClientMistake
from mixer.lines import Lines
from mixer.opus import Decoder
from mixer.seats import Recordings
from mixer.types import (
    TICK_S,
    AnchorSpec,
    ForwarderSpec,
    Int16Frame,
    PeerChanged,
    PeerId,
    PeerState,
    PlaneEvent,
    Profile,
    RoomId,
    RoomSpec,
    RtpCodec,
    RtpParticipantSpec,
    tick_at,
)
from tests.support.callers import Address, Caller, MemorySocket, Rig
from tests.support.house import ENCODER, VOICE
from tests.support.webrtc_client import level_db, tone

TRUNK: Address = ("127.0.0.1", 4000)
STUDIO: Address = ("192.0.2.50", 5004)
BACKUP: Address = ("192.0.2.51", 5004)
SSRC = 0xA11CE


def forwarder(name: str = "studio", host: str = STUDIO[0], **more: Any) -> ForwarderSpec:
    return ForwarderSpec(name, host, 5004, 77, **more)


def trunk(**more: Any) -> RtpParticipantSpec:
    return RtpParticipantSpec(PeerId("trunk"), ssrc=SSRC, **more)


class House(Rig):
    """An engine with plain RTP."""

    def __init__(self, recordings: Recordings | None = None) -> None:
        super().__init__()
        self.events: list[PlaneEvent] = []
        self.inside, self.outside = MemorySocket(), MemorySocket()
        self.engine = Engine(
            emit=self.events.append,
            tap=None,
            clock=self.clock,
            unix_clock=lambda: self.clock() + 1e9,
            recordings=recordings,
        )
        self.port = self.open_port(self.engine)
        self.lines = Lines(self.inside, self.outside, emit=self.events.append, clock=self.clock)
        self.engine.attach(self.port, self.lines)
        self.heard: dict[Address, list[bytes]] = {}
        self.reports: list[tuple[Address, tuple[rtcp.Packet, ...]]] = []
        self._version = 0
        self._sequence = 0
        self._down = Decimator()
        self._tone = tone(1000)

    def apply(self, *people: str, **more: Any) -> None:
        self._version += 1
        anchors = tuple(AnchorSpec(PeerId(name)) for name in people)
        self.engine.apply(RoomSpec(RoomId("r"), self._version, anchors, **more))

    async def join(self, number: int, name: str) -> Caller:
        caller = self.caller(number)
        caller.accept(
            self.engine.accept_offer(
                RoomId("r"), PeerId(name), caller.offer(), addresses=("192.0.2.9",), udp_port=1
            )
        )
        caller.send(caller.check())
        self.exchange()
        handshake = self.tasks(caller.handshake(), name="handshake")
        await self.settle()
        await handshake
        return caller

    async def run(self, seconds: float, *speakers: Caller, plain: RtpCodec | None = None) -> None:
        """Tick; the speakers and the trunk (1 kHz) send a packet before each."""
        for number in range(round(seconds / TICK_S)):
            for caller in speakers:
                caller.send(caller.rtp(VOICE[number % 100]))
            if plain is not None:
                self.inside.inbox.append((self._packet(plain), TRUNK))
            self.clock.advance(TICK_S)
            self.engine._tick(tick_at(self.clock()))
            self.exchange()
            for socket in (self.inside, self.outside):
                while socket.outbox:
                    data, address = socket.outbox.popleft()
                    if 192 <= data[1] < 224:
                        self.reports.append((address, rtcp.parse(data)))
                        continue
                    self.heard.setdefault(address, []).append(data[12:])

    def _packet(self, codec: RtpCodec) -> bytes:
        self._sequence += 1
        pcm = self._tone(self._sequence)
        if codec is RtpCodec.OPUS:
            kind, body, step = 111, ENCODER.encode(pcm), 960
        else:
            kind, step = g711.STATIC_PAYLOAD_TYPES[codec], 160
            body = g711.encode(self._down.push(pcm), codec)
        return struct.pack("!BBHII", 0x80, kind, self._sequence, self._sequence * step, SSRC) + body

    def decoded(self, address: Address, codec: RtpCodec = RtpCodec.OPUS) -> Int16Frame:
        """What was sent there, as 48 kHz or 8 kHz."""
        if codec is not RtpCodec.OPUS:
            return np.concatenate([g711.decode(body, codec) for body in self.heard[address]])
        decoder = Decoder()
        return np.concatenate([decoder.decode(body) for body in self.heard[address]])

    def counter(self, name: str) -> int:
        return self.engine.statistics().counters.get(name, 0)

    def gauge(self, name: str) -> float:
        return self.engine.statistics().gauges[name]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    assert await made.close() == []
    assert made.counter("tick_failures") == 0


def level_8k(pcm: Int16Frame, hertz: float) -> float:
    return level_db(pcm, hertz * 6)  # `level_db` takes the samples for 48 kHz


async def test_a_forwarder_gets_the_rooms_mix(house: House) -> None:
    """Without a gap, silence before the first voice included, and without an encode of its own."""
    house.apply("ann", "bob", forwarders=(forwarder(),))
    ann = await house.join(1, "ann")
    await house.join(2, "bob")
    await house.run(0.5)
    before = house.counter("opus_encodes")
    await house.run(1.0, ann)
    assert len(house.heard[STUDIO]) == 75
    assert level_db(house.decoded(STUDIO)[-24_000:], 440) > -12
    assert house.counter("opus_encodes") - before <= 50
    assert house.gauge("plain_rtp_forwarders") == 1


@pytest.mark.parametrize("codec", [RtpCodec.PCMU, RtpCodec.PCMA])
async def test_a_g711_forwarder_costs_no_opus(house: House, codec: RtpCodec) -> None:
    """Nobody else hears the mix: it is not encoded."""
    house.apply("ann", forwarders=(forwarder(codec=codec, payload_type=8),))
    ann = await house.join(1, "ann")
    await house.run(1.0, ann)
    assert level_8k(house.decoded(STUDIO, codec)[-4000:], 440) > -12
    assert house.counter("opus_encodes") == 0


async def test_several_forwarders_come_and_go_with_the_spec(house: House) -> None:
    """One is stopped, the other goes on; a changed one begins anew."""
    house.apply("ann", forwarders=(forwarder(), forwarder("backup", BACKUP[0])))
    ann = await house.join(1, "ann")
    await house.run(0.2, ann)
    house.apply("ann", forwarders=(forwarder("backup", BACKUP[0]),))
    await house.run(0.2, ann)
    assert (len(house.heard[STUDIO]), len(house.heard[BACKUP])) == (10, 20)
    house.apply("ann", forwarders=(forwarder("backup", STUDIO[0]),))
    await house.run(0.2, ann)
    assert (len(house.heard[STUDIO]), len(house.heard[BACKUP])) == (20, 20)


async def test_a_forwarder_flows_while_somebody_is_there(house: House) -> None:
    """In an empty room only with `always_on`."""
    house.apply("ann", forwarders=(forwarder(),))
    await house.run(0.2)
    assert house.heard == {}
    house.apply("ann", forwarders=(forwarder(always_on=True),))
    await house.run(0.2)
    assert len(house.heard[STUDIO]) == 10
    house.apply("ann")
    await house.run(0.2)
    assert len(house.heard[STUDIO]) == 10


@pytest.mark.parametrize("codec", list(RtpCodec))
async def test_a_participant_hears_and_is_heard(house: House, codec: RtpCodec) -> None:
    """The others hear their tone, they hear the others' and not their own."""
    kind = g711.STATIC_PAYLOAD_TYPES.get(codec, 111)
    house.apply("ann", rtp=(trunk(codec=codec, payload_type=kind),), forwarders=(forwarder(),))
    ann = await house.join(1, "ann")
    await house.run(2.0, ann, plain=codec)
    decoder = Decoder()
    ears = np.concatenate([decoder.decode(data[20:]) for data in ann.heard if len(data) > 21])
    assert level_db(ears[-24_000:], 1000) == pytest.approx(20 * np.log10(0.3), abs=1.5)
    assert level_db(ears[-24_000:], 440) < -50
    back = house.decoded(TRUNK, codec)
    level = level_db if codec is RtpCodec.OPUS else level_8k
    half = len(back) // 4
    assert level(back[-half:], 440) > -12.5
    assert level(back[-half:], 1000) < -42
    both = house.decoded(STUDIO)[-24_000:]
    assert min(level_db(both, 440), level_db(both, 1000)) > -13
    changes = [e for e in house.events if isinstance(e, PeerChanged) and e.peer == "trunk"]
    assert [change.state for change in changes] == [PeerState.LIVE]
    assert house.gauge("plain_rtp_participants_live") == 1


async def test_a_silent_g711_line_is_not_decoded(house: House) -> None:
    """Its level is measured as it comes in: the gate stays shut, nothing is encoded."""
    house.apply("ann", rtp=(trunk(codec=RtpCodec.PCMU, payload_type=0),))
    await house.join(1, "ann")
    for number in range(50):
        head = struct.pack("!BBHII", 0x80, 0, number, number * 160, SSRC)
        house.inside.inbox.append((head + b"\xff" * 160, TRUNK))
        await house.run(TICK_S)
    assert house.counter("plain_rtp_received") == 50
    assert house.counter("opus_encodes") == 0


async def test_a_muted_participant_is_not_heard(house: House) -> None:
    """The line stays up, until it may no longer come from where it does."""
    house.apply("ann", rtp=(trunk(),))
    await house.join(1, "ann")
    await house.run(0.5, plain=RtpCodec.OPUS)
    before = house.counter("opus_encodes")
    assert before > 10
    house.apply("ann", rtp=(trunk(muted=True),))
    await house.run(0.1, plain=RtpCodec.OPUS)
    before = house.counter("opus_encodes")
    await house.run(0.5, plain=RtpCodec.OPUS)
    assert house.counter("opus_encodes") == before
    assert house.gauge("plain_rtp_participants_live") == 1
    house.apply("ann", rtp=(trunk(allow=("10.0.0.0/8",)),))
    await house.run(0.1, plain=RtpCodec.OPUS)
    assert house.gauge("plain_rtp_participants_live") == 0


async def test_a_participants_gain_is_the_rooms(house: House) -> None:
    """What everybody hears of them, without a new stream."""
    house.apply("ann", rtp=(trunk(),), forwarders=(forwarder(),))
    await house.join(1, "ann")
    await house.run(1.0, plain=RtpCodec.OPUS)
    house.apply("ann", rtp=(trunk(gain_db=-20.0),), forwarders=(forwarder(),))
    await house.run(1.0, plain=RtpCodec.OPUS)
    heard = house.decoded(STUDIO)
    before, after = (level_db(heard[at : at + 19_200], 1000) for at in (24_000, 72_000))
    assert before - after == pytest.approx(20, abs=1.5)


async def test_a_changed_forwarder_goes_on(house: House) -> None:
    """Elsewhere, numbered on; with another codec it is another stream."""
    house.apply("ann", forwarders=(forwarder(),))
    ann = await house.join(1, "ann")
    await house.run(0.2, ann)
    row = next(iter(house.lines.port.streams))
    house.apply("ann", forwarders=(forwarder(host=BACKUP[0]),))
    await house.run(0.2, ann)
    (stream,) = house.lines.port.streams.values()
    assert (stream.row, stream.packets_out) == (row, 20)
    assert len(house.heard[BACKUP]) == 10
    house.apply("ann", forwarders=(forwarder(host=BACKUP[0], codec=RtpCodec.PCMU),))
    (stream,) = house.lines.port.streams.values()
    assert stream.packets_out == 0


async def test_plain_rtp_is_among_the_statistics(house: House) -> None:
    """Participants with what arrives of them, forwarders with what went out and what was said."""
    house.apply("ann", rtp=(trunk(),), forwarders=(forwarder(), forwarder("spare", BACKUP[0])))
    await house.join(1, "ann")
    await house.run(2.0, plain=RtpCodec.OPUS)
    block = rtcp.ReportBlock(77, 64, 25, 100, 480, 0, 0)
    said = rtcp.serialise((rtcp.ReceiverReport(9, (block,)),))
    house.outside.inbox.append((said, STUDIO))
    await house.run(0.1, plain=RtpCodec.OPUS)
    ann, line, studio, spare = house.engine.peers(RoomId("r"))
    assert (ann.peer, ann.sent) == ("ann", None)
    assert (line.peer, line.state, line.received, line.lost) == ("trunk", PeerState.LIVE, 105, 0)
    assert line.level_dbov > -30
    assert line.reception.received > 100
    assert line.transport.bitrate_in > 10_000
    assert studio.peer == "forwarder:studio"
    assert studio.sent is not None
    assert (studio.sent.packets, studio.sent.reports, studio.sent.lost) == (105, 1, 25)
    assert (studio.transport.loss_out, studio.transport.jitter_out_s) == (0.25, 0.01)
    assert studio.transport.bitrate_out > 30_000
    assert spare.sent is not None
    assert spare.sent.reports == 0


async def test_who_ends_is_said_goodbye(house: House) -> None:
    """A forwarder that is taken away, and every line of a room that empties."""
    house.apply("ann", rtp=(trunk(),), forwarders=(forwarder(), forwarder("spare", BACKUP[0])))
    await house.join(1, "ann")
    await house.run(0.6, plain=RtpCodec.OPUS)
    house.apply("ann", rtp=(trunk(),), forwarders=(forwarder(),))
    await house.run(0.1)
    house.apply()
    await house.settle()
    await house.run(0.1)
    byes = [address for address, packets in house.reports if isinstance(packets[-1], rtcp.Bye)]
    assert byes[0] == BACKUP
    assert sorted(byes[1:]) == sorted([STUDIO, TRUNK])


async def test_a_new_ssrc_begins_a_stream(house: House) -> None:
    """What was buffered of the old one is forgotten."""
    house.apply(rtp=(trunk(),))
    await house.run(0.3, plain=RtpCodec.OPUS)
    packet = bytearray(house._packet(RtpCodec.OPUS))
    packet[8:12] = b"\1\2\3\4"
    house.inside.inbox.append((bytes(packet), TRUNK))
    await house.run(0.1)
    assert house.counter("plain_rtp_received") == 16


async def test_a_closed_room_ends_its_lines(house: House) -> None:
    """And so does the last participant who leaves."""
    house.apply(rtp=(trunk(),), forwarders=(forwarder(),))
    await house.run(0.2, plain=RtpCodec.OPUS)
    assert len(house.heard[STUDIO]) == 10
    house.apply()
    assert house.gauge("plain_rtp_participants") == house.gauge("plain_rtp_forwarders") == 0
    house.apply(rtp=(trunk(),))
    house.apply(closed=True)
    assert house.gauge("plain_rtp_participants") == 0
    assert house.engine._occupied == {}


async def test_over_capacity_is_counted_and_harmless(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds no place is not there; the others are."""
    monkeypatch.setattr("mixer.rtc.plain.MAX_STREAMS", 1)
    house.apply(rtp=(trunk(), RtpParticipantSpec(PeerId("late"))), forwarders=(forwarder(),))
    await house.run(0.1, plain=RtpCodec.OPUS)
    assert house.counter("plain_rtp_over_capacity") >= 2
    assert house.counter("plain_rtp_received") == 5


async def test_a_forwarder_of_a_bus_hears_that_bus(house: House) -> None:
    """Who speaks to it, and not the floor."""
    people = (
        AnchorSpec(PeerId("ann"), speaks=("booth",)),
        AnchorSpec(PeerId("bob")),
    )
    spec = RoomSpec(
        RoomId("r"),
        1,
        people,
        buses=("booth",),
        forwarders=(forwarder(bus="booth"),),
        rtp=(trunk(),),
    )
    house.engine.apply(spec)
    ann = await house.join(1, "ann")
    await house.run(1.0, ann, plain=RtpCodec.OPUS)
    heard = house.decoded(STUDIO)[-24_000:]
    assert level_db(heard, 440) > -12
    assert level_db(heard, 1000) < -50


async def test_a_forwarder_of_no_bus_is_refused(house: House) -> None:
    """As a person's would be."""
    with pytest.raises(ClientMistake, match="no bus 'booth'"):
        house.apply(forwarders=(forwarder(bus="booth"),))


@pytest.mark.parametrize("codec", [RtpCodec.OPUS, RtpCodec.PCMU])
async def test_a_music_room_is_forwarded_too(house: House, codec: RtpCodec) -> None:
    """In stereo as Opus, its mean as G.711."""
    house.apply("ann", profile=Profile.MUSIC, forwarders=(forwarder(codec=codec),))
    ann = await house.join(1, "ann")
    await house.run(1.0, ann)
    heard = house.decoded(STUDIO, codec)
    level = level_db if codec is RtpCodec.OPUS else level_8k
    assert level(heard[-len(heard) // 2 :], 440) > -16
