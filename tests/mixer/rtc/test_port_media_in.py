"""Media that comes in at a port: what is delivered, skipped, refused."""

import pytest

from mixer.core.gate import CLOSE_DBOV, OPEN_DBOV, Gate
from mixer.core.red import pack_red
from mixer.rtc.peers import MAX_SSRCS, Peer, Wants
from mixer.rtc.receive import BURST_PACKETS, PACKETS_PER_S
from mixer.types import PeerId, PeerState
from tests.support.callers import PAYLOAD_TYPE, RED_PAYLOAD_TYPE, Rig


async def test_a_repeated_packet_is_delivered_once(rig: Rig) -> None:
    """Replay protection is libsrtp's; a refusal is counted."""
    caller = await rig.connect()
    packet = caller.rtp()
    caller.send(packet)
    caller.send(packet)
    rig.exchange()
    assert len(rig.listener.packets) == 1
    assert rig.port.counters["srtp_refused"] == 1


async def test_reordered_packets_all_arrive(rig: Rig) -> None:
    """Order is the jitter buffer's business."""
    caller = await rig.connect()
    packets = [caller.rtp() for _ in range(4)]
    for packet in (packets[0], packets[3], packets[1], packets[2]):
        caller.send(packet)
    rig.exchange()
    assert rig.listener.sequences == [1001, 1004, 1002, 1003]


async def test_a_sequence_that_wraps_is_one_stream(rig: Rig) -> None:
    """65535 is followed by 0, also for the roll-over counter of SRTP."""
    caller = await rig.connect()
    caller.sequence = 65_533
    for _ in range(6):
        caller.send(caller.rtp())
        rig.exchange()
    assert rig.listener.sequences == [65_534, 65_535, 0, 1, 2, 3]
    assert rig.listener.streams == 0


async def test_known_silence_is_skipped_but_for_a_proof_now_and_then(rig: Rig) -> None:
    """A silent stream costs one decryption in two seconds, which also proves who sends."""
    caller = await rig.connect()
    rig.port.table.want(rig.peer(), Wants.VOICED)
    for _ in range(200):
        caller.send(caller.rtp(level_dbov=-70))
        await rig.run(0.02)
    fresh = {packet.sequence for _, packet, _ in rig.listener.packets}
    assert rig.port.counters["rtp_skipped"] >= 190
    assert 2 <= len(fresh) <= 4
    assert rig.peer().state is PeerState.LIVE


async def test_skipped_packets_count_as_received(rig: Rig) -> None:
    """Our receiver reports tell no loss where nothing was lost, pre-roll or not."""
    caller = await rig.connect()
    rig.port.table.want(rig.peer(), Wants.VOICED)
    for number in range(230):
        caller.send(caller.rtp(level_dbov=-20 if number % 60 == 59 else -70))
        await rig.run(0.02)
    reception = rig.peer().reception
    assert reception is not None
    assert reception.lost == 0
    assert rig.port.table.skipped[rig.peer().row] == 50


@pytest.mark.parametrize(
    ("level", "voice", "is_skipped"),
    [
        (OPEN_DBOV, False, True),
        (OPEN_DBOV + 1, False, False),
        (OPEN_DBOV, True, False),
        (CLOSE_DBOV + 1, True, False),
        (CLOSE_DBOV, True, True),
    ],
)
async def test_only_what_would_not_open_the_gate_is_skipped(
    rig: Rig, level: int, *, voice: bool, is_skipped: bool
) -> None:
    """A quiet voice is read: the thresholds are the gate's own, the voice bit counts."""
    caller = await rig.connect()
    rig.port.table.want(rig.peer(), Wants.VOICED)
    caller.send(caller.rtp())
    rig.exchange()
    caller.send(caller.rtp(level_dbov=level, voice=voice))
    rig.exchange()
    gate = Gate()
    gate.update(level, 0.0, voice=voice)
    assert (len(rig.listener.packets) == 1) == is_skipped == (not gate.is_open(0.0))


async def test_voice_after_silence_brings_its_pre_roll(rig: Rig) -> None:
    """The two silent packets before a voiced one are decrypted after all, in order."""
    caller = await rig.connect()
    rig.port.table.want(rig.peer(), Wants.VOICED)
    caller.send(caller.rtp(level_dbov=-70))
    rig.exchange()
    for _ in range(5):
        caller.send(caller.rtp(level_dbov=-70))
        rig.exchange()
    caller.send(caller.rtp(level_dbov=-20))
    rig.exchange()
    assert rig.listener.sequences == [1001, 1005, 1006, 1007]
    assert [packet.silent for _, packet, _ in rig.listener.packets] == [True, True, True, False]


async def test_pre_roll_survives_a_burst(rig: Rig) -> None:
    """Silent packets that come in one block are kept as if they had come one by one."""
    caller = await rig.connect()
    rig.port.table.want(rig.peer(), Wants.VOICED)
    caller.send(caller.rtp(level_dbov=-70))
    rig.exchange()
    for _ in range(5):
        caller.send(caller.rtp(level_dbov=-70))
    rig.exchange()
    caller.send(caller.rtp(level_dbov=-20))
    rig.exchange()
    assert rig.listener.sequences == [1001, 1005, 1006, 1007]


async def test_what_a_muted_person_said_is_not_kept(rig: Rig) -> None:
    """Unmuting brings no pre-roll from before it."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    rig.exchange()
    rig.port.table.want(rig.peer(), Wants.NONE)
    for _ in range(3):
        caller.send(caller.rtp(b"secret"))
    rig.exchange()
    rig.port.table.want(rig.peer(), Wants.ALL)
    caller.send(caller.rtp(b"public"))
    rig.exchange()
    assert [p.payload for _, p, _ in rig.listener.packets][1:] == [b"public"]


async def test_another_payload_type_does_not_take_the_stream(rig: Rig) -> None:
    """A second stream that is not our audio is counted and changes nothing."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    caller.ssrc = 0x9999
    caller.send(caller.rtp(payload_type=96))
    caller.ssrc = 0x1234
    caller.send(caller.rtp())
    rig.exchange()
    assert rig.port.counters["rtp_unknown_payload_type"] == 1
    assert rig.listener.streams == 0
    assert len(rig.listener.packets) == 2


async def test_a_new_ssrc_is_a_new_stream(rig: Rig) -> None:
    """The listener is told before its first packet."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    caller.ssrc = 0x5678
    caller.send(caller.rtp())
    rig.exchange()
    assert rig.listener.streams == 1
    assert len(rig.listener.packets) == 2


async def test_ssrcs_are_bounded(rig: Rig) -> None:
    """SRTP keeps a stream per SSRC, so a peer gets only so many."""
    caller = await rig.connect()
    for number in range(MAX_SSRCS + 5):
        caller.ssrc = number + 1
        caller.send(caller.rtp())
    rig.exchange()
    assert len(rig.listener.packets) == MAX_SSRCS
    assert rig.port.counters["rtp_too_many_ssrcs"] == 5


async def test_redundancy_is_unwrapped(rig: Rig) -> None:
    """A RED packet is its newest frame with the earlier ones beside it (RFC 2198)."""
    caller = await rig.connect(red=True)
    body = pack_red(PAYLOAD_TYPE, b"\xf8new", [(1920, b"\xf8older"), (960, b"\xf8old")])
    caller.send(caller.rtp(body, payload_type=RED_PAYLOAD_TYPE))
    caller.send(caller.rtp(b"\xf8plain"))
    rig.exchange()
    red, plain = (packet for _, packet, _ in rig.listener.packets)
    assert (red.payload, red.redundancy) == (b"\xf8new", ((1920, b"\xf8older"), (960, b"\xf8old")))
    assert (plain.payload, plain.redundancy) == (b"\xf8plain", ())


@pytest.mark.parametrize("body", [b"", b"\xef", pack_red(PAYLOAD_TYPE + 1, b"\xf8new")])
async def test_redundancy_around_something_else_is_malformed(rig: Rig, body: bytes) -> None:
    """Counted, not played, and a sign of life all the same."""
    caller = await rig.connect(red=True)
    caller.send(caller.rtp(body, payload_type=RED_PAYLOAD_TYPE))
    rig.exchange()
    assert rig.listener.packets == []
    assert rig.port.counters["red_malformed"] == 1


async def test_redundancy_nobody_negotiated_is_not_unwrapped(rig: Rig) -> None:
    """Its payload type means nothing then."""
    caller = await rig.connect()
    body = pack_red(PAYLOAD_TYPE, b"\xf8new")
    caller.send(caller.rtp(body, payload_type=RED_PAYLOAD_TYPE))
    rig.exchange()
    assert rig.listener.packets == []
    assert rig.port.counters["rtp_unknown_payload_type"] == 1


async def test_a_peer_that_sends_too_much_is_cut_off(rig: Rig) -> None:
    """Beyond the burst, packets are dropped unread; after a while some are taken again."""
    caller = await rig.connect()
    for _ in range(BURST_PACKETS + 50):
        caller.send(caller.rtp())
    caller.send(caller.rtcp())
    while rig.socket.inbox:
        rig.exchange()
    assert len(rig.listener.packets) == BURST_PACKETS
    assert rig.port.counters["rtp_over_limit"] == 50
    assert rig.port.counters["rtcp_over_limit"] == 1
    await rig.run(1.0)
    for _ in range(PACKETS_PER_S + 20):
        caller.send(caller.rtp())
    rig.exchange()
    more = len(rig.listener.packets) - BURST_PACKETS
    assert PACKETS_PER_S - 1 <= more <= PACKETS_PER_S  # seconds are counted in binary fractions


async def test_forgeries_use_up_nobodys_allowance(rig: Rig) -> None:
    """What is sent in a peer's name costs the peer nothing."""
    caller = await rig.connect()
    packet = caller.rtp()
    for _ in range(BURST_PACKETS + 50):
        caller.send(packet[:-1] + bytes([packet[-1] ^ 1]))
    caller.send(packet)
    while rig.socket.inbox:
        rig.exchange()
    assert len(rig.listener.packets) == 1


async def test_impossible_padding_is_malformed(rig: Rig) -> None:
    """Padding that claims more than there is can only be seen after decryption."""
    caller = await rig.connect()
    clear = bytearray(caller.clear_rtp(b"\xf8" + b"\xff"))
    clear[0] |= 0x20
    caller.send(bytes(caller._session.protect(bytes(clear))))
    rig.exchange()
    assert rig.port.counters["rtp_malformed"] == 1
    assert rig.listener.packets == []


async def test_media_before_the_keys_is_counted(rig: Rig) -> None:
    """RTP that overtakes the handshake is dropped."""
    caller = rig.caller()
    rig.invite(caller)
    caller.send(caller.check())
    rig.exchange()
    caller.send(caller.clear_rtp() + b"\0" * 10)
    caller.send(b"\x80\xc9\0\1" + b"\0" * 20)
    rig.exchange()
    assert rig.port.counters["rtp_before_keys"] == 1


async def test_one_packets_failure_is_not_the_next_ones(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever handling a datagram raises is counted and logged once; the others are handled."""
    ann, bob = await rig.connect(1, "ann"), await rig.connect(2, "bob")
    arrived = rig.listener.arrived

    def picky(peer: Peer, *rest: object, **more: object) -> None:
        if peer.id == PeerId("ann"):
            raise RuntimeError("ann's packets are cursed")
        arrived(peer, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.listener, "arrived", picky)
    for _ in range(3):
        ann.send(ann.rtp())
        bob.send(bob.rtp())
    rig.exchange()
    assert [name for name, _, _ in rig.listener.packets] == ["bob"] * 3
    assert rig.port.counters["datagram_failures"] == 3
    assert len(caplog.records) == 1
    caplog.clear()
