"""One UDP port of WebRTC peers: connecting, media, time, removal."""

import dataclasses

import numpy as np
import pytest
from aiortc import RTCCertificate

from mixer.core.gate import CLOSE_DBOV, OPEN_DBOV, Gate
from mixer.core.red import Block, pack_red, split_red
from mixer.rtc.peers import MAX_SSRCS, Peer, Wants
from mixer.rtc.port import (
    BURST_PACKETS,
    PACKETS_PER_S,
    STRANGERS_PER_TICK,
    STRAYS_PER_TICK,
)
from mixer.rtc.sdp import read_offer
from mixer.rtc.srtp import MAX_PAYLOAD_BYTES
from mixer.rtc.transmit import SEND_ROWS
from mixer.types import GoneReason, Outgoing, PeerId, PeerState
from tests.support import callers
from tests.support.callers import PAYLOAD_TYPE, RED_PAYLOAD_TYPE, Caller, Rig

ELSEWHERE = ("203.0.113.7", 7000)


def frame(*rows: int, payload: bytes = b"\xf8mix") -> Outgoing:
    return Outgoing(payload, np.array(rows, np.intp), -30)


def sequences(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4], "big") for packet in packets]


# Connecting


async def test_a_caller_connects_and_is_live(rig: Rig) -> None:
    """Checks, handshake, media: the person is live and their packet arrives."""
    caller = await rig.connect()
    caller.send(caller.rtp(b"\xf8hello"))
    rig.exchange()
    assert rig.listener.changes == [("ann", PeerState.LIVE, None)]
    assert [packet.payload for _, packet, _ in rig.listener.packets] == [b"\xf8hello"]
    assert rig.listener.packets[0][2] == -20


async def test_a_peer_that_insists_on_being_the_server_is_called(rig: Rig) -> None:
    """We begin the handshake when its first check tells its address, not a lost second before."""
    caller = await rig.connect(setup="passive")
    caller.send(caller.rtp())
    rig.exchange()
    assert len(rig.listener.packets) == 1


async def test_a_check_is_answered_with_the_address_it_came_from(rig: Rig) -> None:
    """The response maps the caller's address and is signed."""
    caller = rig.caller()
    peer = rig.invite(caller)
    caller.send(caller.check())
    rig.exchange()
    assert caller.replies[0].attributes["XOR-MAPPED-ADDRESS"] == caller.address
    assert caller.replies[0].check_message_integrity(peer.local.password.encode())


@pytest.mark.parametrize(
    ("forged", "counter"),
    [
        ({"password": "x" * 24}, "stun_bad_integrity"),
        ({"ufrag": "nobody"}, "stun_unknown_ufrag"),
    ],
)
async def test_a_forged_check_gets_no_answer(
    rig: Rig, forged: dict[str, str], counter: str
) -> None:
    """Wrong password or unknown ufrag: counted, no reply, no address learned."""
    caller = rig.caller()
    peer = rig.invite(caller)
    caller.send(caller.check(**forged))  # type: ignore[arg-type]
    rig.exchange()
    assert caller.replies == []
    assert rig.port.counters[counter] == 1
    assert not rig.port.table.has_address[peer.row]


async def test_a_peer_that_believes_itself_controlled_is_told(rig: Rig) -> None:
    """487 Role Conflict, and nothing learned from the check."""
    caller = rig.caller()
    peer = rig.invite(caller)
    caller.send(caller.check(role="ICE-CONTROLLED"))
    rig.exchange()
    assert caller.replies[0].attributes["ERROR-CODE"][0] == 487
    assert not rig.port.table.has_address[peer.row]


async def test_a_certificate_that_was_not_announced_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong fingerprint: FAILED, and no media either way."""
    monkeypatch.setattr(callers, "CERTIFICATE", RTCCertificate.generateCertificate())
    caller = rig.caller()
    monkeypatch.setattr(callers, "CERTIFICATE", RTCCertificate.generateCertificate())
    rig.invite(caller)
    caller.send(caller.check())
    rig.exchange()
    handshake = rig.tasks(caller.handshake(), name="handshake")
    await rig.settle()
    await handshake
    assert rig.listener.changes == [("ann", PeerState.GONE, GoneReason.FAILED)]
    caller.send(caller.rtp())
    rig.exchange()
    assert rig.listener.packets == []
    assert rig.port.counters["dtls_failed"] == 1


async def test_a_certificate_that_breaks_its_parser_is_a_failed_handshake(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever aiortc raises over a peer's certificate ends that peer only, at once and quietly."""
    caller = rig.caller()
    peer = rig.invite(caller)
    assert peer.dtls is not None

    def refuse(_parameters: object) -> None:
        raise ValueError("error parsing asn1 value")

    monkeypatch.setattr(peer.dtls._transport, "_validate_peer_identity", refuse)
    caller.send(caller.check())
    rig.exchange()
    handshake = rig.tasks(caller.handshake(), name="handshake")
    await rig.settle()
    handshake.cancel()
    assert rig.listener.changes == [("ann", PeerState.GONE, GoneReason.FAILED)]


# Paths


async def test_the_nominated_path_carries_the_handshake(rig: Rig) -> None:
    """Of two addresses that pass checks, our answers go to the nominated one."""
    caller, other = rig.caller(1), rig.caller(2)
    peer = rig.invite(caller)
    caller.send(caller.check(nominate=False))
    caller.send(caller.check(nominate=False), source=other.address)
    rig.exchange()
    assert rig.port.table.address[peer.row].tobytes() == peer.paths[0]
    caller.send(caller.check(), source=other.address)
    rig.exchange()
    assert rig.port.table.address[peer.row].tobytes() == peer.paths[1]


async def test_records_are_taken_and_answered_on_any_checked_path(rig: Rig) -> None:
    """A handshake that comes over another path than the nominated one is answered over that."""
    caller = rig.caller()
    rig.invite(caller)
    caller.send(caller.check(), source=ELSEWHERE)
    caller.send(caller.check(nominate=False))
    rig.exchange()
    handshake = rig.tasks(caller.handshake(), name="handshake")
    await rig.settle()
    await handshake
    assert rig.listener.changes == [("ann", PeerState.LIVE, None)]


async def test_a_peer_that_moves_is_followed_by_its_media(rig: Rig) -> None:
    """A check from the new address opens it, the first authentic packet from there moves us."""
    caller = await rig.connect()
    caller.send(caller.check(nominate=False), source=ELSEWHERE)
    caller.send(caller.rtp(), source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert rig.lost[ELSEWHERE] == 2  # the check's answer, the frame
    assert rig.port.counters["address_migrations"] == 1
    assert len(rig.listener.packets) == 1


async def test_a_peer_that_only_listens_moves_with_its_reports(rig: Rig) -> None:
    """Without media, authentic RTCP tells where a peer is."""
    caller = await rig.connect(direction="recvonly")
    caller.send(caller.check(), source=ELSEWHERE)
    caller.send(caller.rtcp(), source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert rig.lost[ELSEWHERE] == 2


async def test_a_replayed_check_steals_nothing(rig: Rig) -> None:
    """A recorded check sent again from elsewhere, nomination and all, redirects no media."""
    caller = await rig.connect()
    caller.send(caller.check())
    caller.send(caller.sent[0], source=ELSEWHERE)
    caller.send(caller.sent[-2], source=ELSEWHERE)
    caller.send(caller.rtp())
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert len(caller.heard) == 1
    assert len(rig.listener.packets) == 1


async def test_a_replayed_packet_from_a_replayed_path_moves_nobody(rig: Rig) -> None:
    """Neither does media that was already received."""
    caller = await rig.connect()
    packet = caller.rtp()
    caller.send(packet)
    caller.send(caller.sent[0], source=ELSEWHERE)
    caller.send(packet, source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert len(caller.heard) == 1
    assert len(rig.listener.packets) == 1


async def test_a_straggler_from_the_old_path_does_not_move_back(rig: Rig) -> None:
    """An older packet that took the way the peer has left is played, but not followed."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    late = caller.rtp()
    caller.send(caller.check(), source=ELSEWHERE)
    caller.send(caller.rtp(), source=ELSEWHERE)
    rig.exchange()
    caller.send(late)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert caller.heard == []
    assert len(rig.listener.packets) == 3


async def test_a_live_peers_address_cannot_be_claimed(rig: Rig) -> None:
    """Another peer's valid check from there is counted and not answered."""
    ann, bob = await rig.connect(1, "ann"), rig.caller(2)
    rig.invite(bob, "bob")
    before = len(ann.replies)
    bob.send(bob.check(), source=ann.address)
    ann.send(ann.rtp())
    rig.exchange()
    assert rig.port.counters["stun_address_taken"] == 1
    assert len(ann.replies) == before
    assert rig.listener.packets[0][0] == "ann"


async def test_a_check_under_anothers_address_delays_a_join_at_most(rig: Rig) -> None:
    """Who squats on an address that is still connecting loses it to its owner's next check."""
    ann, bob = rig.caller(1), rig.caller(2)
    rig.invite(ann, "ann")
    rig.invite(bob, "bob")
    ann.send(ann.check())
    bob.send(bob.check(), source=ann.address)
    ann.send(ann.check())
    rig.exchange()
    handshake = rig.tasks(ann.handshake(), name="handshake")
    await rig.settle()
    await handshake
    assert rig.listener.changes == [("ann", PeerState.LIVE, None)]


async def test_strangers_checks_are_bounded_and_members_go_first(rig: Rig) -> None:
    """In one tick a flood of checks costs a bounded number of parses; a live peer's is answered."""
    caller = await rig.connect()
    await rig.run(0.02)
    before, unknown = len(caller.replies), rig.port.counters["stun_unknown_ufrag"]
    for number in range(STRANGERS_PER_TICK + 30):
        caller.send(caller.check(ufrag="nobody"), source=("203.0.113.1", number + 1))
    caller.send(caller.check())
    rig.exchange()
    assert rig.port.counters["stun_unknown_ufrag"] - unknown == STRANGERS_PER_TICK
    assert rig.port.counters["stun_over_budget"] == 30
    assert len(caller.replies) == before + 1


async def test_a_silent_person_is_followed_by_their_next_report(rig: Rig) -> None:
    """Muted or silent, without checks on the new way yet: the first authentic RTCP moves them.

    (The new address must be known by a check: without one nothing tells whose datagram it is.)
    """
    caller = await rig.connect()
    caller.send(caller.rtp())
    rig.exchange()
    await rig.run(3.0)
    caller.send(caller.check(nominate=False), source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert rig.lost[ELSEWHERE] == 1  # the check's answer
    caller.send(caller.rtcp(), source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert rig.lost[ELSEWHERE] == 2


async def test_media_from_an_unchecked_address_is_found_by_its_key(rig: Rig) -> None:
    """A NAT that gives a peer another address between two checks loses no packet of theirs."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    rig.exchange()
    for _ in range(3):
        caller.send(caller.rtp(level_dbov=-70), source=ELSEWHERE)
        rig.exchange()
        rig.say([frame(rig.peer().row)])
    assert rig.listener.sequences == [1001, 1002, 1003, 1004]
    assert rig.lost[ELSEWHERE] == 3
    assert rig.port.counters["address_migrations"] == 1
    assert rig.port.counters["foreign_datagrams"] == 0


async def test_a_report_from_an_unchecked_address_is_found_by_its_key(rig: Rig) -> None:
    """The same for somebody who is silent: the next authentic RTCP moves them."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    rig.exchange()
    await rig.run(3.0)
    caller.send(caller.rtcp(), source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert rig.lost[ELSEWHERE] == 1


async def test_two_peers_with_one_ssrc_are_told_apart_by_their_keys(rig: Rig) -> None:
    """Of those who send with an SSRC, the one whose key fits has moved."""
    ann, bob = await rig.connect(1, "ann"), await rig.connect(2, "bob")
    for caller in (ann, bob):
        caller.send(caller.rtp())
    rig.exchange()
    bob.send(bob.rtp(), source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer("ann").row, rig.peer("bob").row)])
    assert (len(ann.heard), len(bob.heard), rig.lost[ELSEWHERE]) == (1, 0, 1)


async def test_a_copy_of_a_skipped_packet_moves_nobody(rig: Rig) -> None:
    """Silence that was not decrypted is unknown to libsrtp: its copy is authentic, and no news."""
    caller = await rig.connect()
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
    for _ in range(5):
        caller.send(caller.rtp(level_dbov=-70))
        rig.exchange()
    copy = caller.sent[-1]
    caller.send(caller.sent[-3])
    caller.send(copy)
    caller.send(caller.sent[-5])
    rig.exchange()
    caller.send(copy, source=ELSEWHERE)
    caller.send(caller.sent[0], source=ELSEWHERE)  # a check: now that is one of its paths
    caller.send(copy, source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert len(caller.heard) == 1
    assert rig.port.counters["address_migrations"] == 0


async def test_a_copy_of_skipped_silence_is_not_played(rig: Rig) -> None:
    """Neither is what a muted person said, when it comes again after the mute."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    rig.exchange()
    row = rig.peer().row
    rig.port.table.wants[row] = Wants.NONE
    caller.send(caller.rtp(b"secret"))
    rig.exchange()
    rig.port.table.wants[row] = Wants.ALL
    caller.send(caller.sent[-1])
    caller.send(caller.rtp(b"public"))
    rig.exchange()
    assert [packet.payload for _, packet, _ in rig.listener.packets][1:] == [b"public"]
    assert rig.port.counters["rtp_stale"] == 1


async def test_what_was_skipped_is_forgotten_in_time(rig: Rig) -> None:
    """Numbers wrap: a skip long ago makes no later packet stale, not even across 2**16."""
    caller = await rig.connect()
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
    for _ in range(3):
        caller.send(caller.rtp(level_dbov=-70))
        rig.exchange()
    before = len(rig.listener.packets)
    for _ in range(80):
        caller.sequence = (caller.sequence + 998) & 0xFFFF
        caller.send(caller.rtp())
        await rig.run(0.02)
    assert len(rig.listener.packets) - before >= 80
    assert rig.port.counters["rtp_stale"] == 0


async def test_forged_silence_does_not_displace_the_pre_roll(rig: Rig) -> None:
    """When somebody is found to send in a peer's name, its silence is read for a while."""
    caller = await rig.connect()
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
    caller.send(caller.rtp(level_dbov=-70))
    rig.exchange()
    caller.send(caller.sent[-1])  # a replay gives the forger away
    for _ in range(4):
        real = caller.rtp(level_dbov=-70)
        caller.send(real[:-1] + bytes([real[-1] ^ 1]))
        caller.send(real)
        rig.exchange()
    caller.send(caller.rtp(level_dbov=-20))
    rig.exchange()
    assert rig.listener.sequences[-3:] == [1004, 1005, 1006]


async def test_an_original_is_taken_before_its_copy(rig: Rig) -> None:
    """Of two that came in one read, that from the known path is the peer's."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    rig.exchange()
    packet = caller.rtp()
    caller.send(packet, source=ELSEWHERE)
    caller.send(packet)
    rig.exchange()
    assert rig.port.counters["address_migrations"] == 0
    assert len(rig.listener.packets) == 2


async def test_forged_media_from_elsewhere_moves_nobody(rig: Rig) -> None:
    """Replays, changed and invented packets under a known SSRC: foreign, in bounded work."""
    caller = await rig.connect()
    packet = caller.rtp()
    caller.send(packet)
    rig.exchange()
    forged = [packet, packet[:-1] + b"!", packet[:20], b"\x80\xc9\0\1" + packet[8:12] + b"\0" * 20]
    for number in range(60):
        caller.send(forged[number % 4], source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert len(caller.heard) == 1
    assert rig.port.counters["foreign_datagrams"] == 60
    tried = rig.port.counters["srtp_refused"] + rig.port.counters["srtcp_refused"]
    assert 0 < tried <= STRAYS_PER_TICK


# ICE restart


def restart(rig: Rig, caller: Caller, ufrag: str = "again") -> tuple[str, str]:
    """Offer anew as `pc.restartIce()` does; return the credentials that were in force."""
    before = caller._remote
    caller.ufrag = ufrag
    assert rig.port.renegotiate(rig.peer(), read_offer(caller.offer()))
    caller.accept(rig.port.write_answer(rig.peer(), addresses=("192.0.2.99",), port=10_000))
    return before


async def test_a_restart_keeps_the_connection(rig: Rig) -> None:
    """Other credentials, the same keys, streams and state: audio goes on both ways."""
    caller = await rig.connect()
    peer, ssrc = rig.peer(), int(rig.port.table.ssrc_out[rig.peer().row])
    caller.send(caller.rtp())
    rig.say([frame(peer.row)])
    old = restart(rig, caller)
    assert caller._remote != old
    caller.send(caller.check())
    caller.send(caller.rtp())
    rig.say([frame(peer.row)])
    assert caller.replies[-1].check_message_integrity(caller._remote[1].encode())
    assert sequences(caller.heard)[1] == sequences(caller.heard)[0] + 1
    assert {int.from_bytes(packet[8:12], "big") for packet in caller.heard} == {ssrc}
    assert len(rig.listener.packets) == 2
    assert rig.listener.changes == [("ann", PeerState.LIVE, None)]
    assert rig.port.counters["ice_restarts"] == 1


async def test_the_old_path_serves_until_the_new_one_is_nominated(rig: Rig) -> None:
    """Checks with the old credentials are answered until then, and not afterwards."""
    caller = await rig.connect()
    old_ufrag, old_password = restart(rig, caller)
    old = {"ufrag": old_ufrag, "password": old_password, "user": "caller"}
    caller.send(caller.check(**old))  # type: ignore[arg-type]
    caller.send(caller.check(nominate=False), source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert (len(caller.replies), len(caller.heard)) == (2, 1)
    caller.send(caller.check(), source=ELSEWHERE)
    rig.exchange()
    caller.send(caller.check(**old))  # type: ignore[arg-type]
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert (len(caller.replies), len(caller.heard)) == (2, 1)
    assert rig.port.counters["stun_unknown_ufrag"] == 1
    assert rig.lost[ELSEWHERE] == 3  # two answers, a frame


async def test_a_recorded_nomination_moves_nobody_after_a_restart(rig: Rig) -> None:
    """Only the first nomination of a restart moves the peer without media."""
    caller = await rig.connect()
    restart(rig, caller)
    caller.send(caller.check())
    caller.send(caller.sent[-1], source=ELSEWHERE)
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert len(caller.heard) == 1


async def test_credentials_of_two_sides_do_not_mix(rig: Rig) -> None:
    """Our new ufrag with the peer's old one belongs to no generation."""
    caller = await rig.connect()
    restart(rig, caller)
    caller.send(caller.check(user="caller"))
    rig.exchange()
    assert rig.port.counters["stun_bad_integrity"] == 1


async def test_a_restart_that_is_offered_again_is_one(rig: Rig) -> None:
    """Its first answer was lost: the newest credentials count, those in force stay."""
    caller = await rig.connect()
    in_force = restart(rig, caller, "first")
    lost = restart(rig, caller, "second")
    caller.send(caller.check(ufrag=lost[0], password=lost[1], user="first"))
    rig.exchange()
    assert rig.port.counters["stun_unknown_ufrag"] == 1
    old = {"ufrag": in_force[0], "password": in_force[1], "user": "caller"}
    caller.send(caller.check(**old))  # type: ignore[arg-type]
    caller.send(caller.check())
    rig.exchange()
    assert len(caller.replies) == 3
    assert rig.port.counters["ice_restarts"] == 1


async def test_a_restart_that_is_taken_back_leaves_the_connection(rig: Rig) -> None:
    """An offer with the credentials in force again (a rollback) is answered with ours of before."""
    caller = await rig.connect()
    in_force = restart(rig, caller)
    restart(rig, caller, "caller")
    assert caller._remote == in_force
    assert len(rig.port._by_ufrag) == 1
    caller.send(caller.check())
    rig.exchange()
    assert rig.port.counters["ice_restarts"] == 0


async def test_a_change_of_direction_changes_nothing_else(rig: Rig) -> None:
    """Who stops to speak is answered with the same credentials, and not heard any more."""
    caller = await rig.connect()
    caller.direction = "recvonly"
    in_force = restart(rig, caller, "caller")
    assert caller._remote == in_force
    caller.send(caller.rtp())
    rig.exchange()
    rig.say([frame(rig.peer().row)])
    assert rig.listener.packets == []
    assert len(caller.heard) == 1


async def test_an_offer_of_another_connection_does_not_continue_one(rig: Rig) -> None:
    """The same certificate in another RTCPeerConnection is another handshake."""
    await rig.connect()
    other = read_offer(rig.caller(2).offer())
    assert not rig.port.renegotiate(rig.peer(), other)
    rig.port.remove(rig.peer(), GoneReason.REMOVED)


async def test_answers_of_a_connection_have_one_session(rig: Rig) -> None:
    """Session and SSRC stay, the version counts (RFC 8829 §5.3.1)."""
    caller = await rig.connect()
    texts = [rig.port.write_answer(rig.peer(), addresses=("::1",), port=1) for _ in range(2)]
    origins = [text.split("\r\n")[1].split() for text in texts]
    assert origins[0][1] == origins[1][1]
    assert [origin[2] for origin in origins] == ["2", "3"]
    assert caller.dtls.state == "connected"


# Media in


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


async def test_known_silence_is_skipped_but_for_one_packet_a_second(rig: Rig) -> None:
    """A silent stream costs one decryption a second, which also proves who sends."""
    caller = await rig.connect()
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
    for _ in range(200):
        caller.send(caller.rtp(level_dbov=-70))
        await rig.run(0.02)
    fresh = {packet.sequence for _, packet, _ in rig.listener.packets}
    assert rig.port.counters["rtp_skipped"] >= 190
    assert 4 <= len(fresh) <= 16
    assert rig.peer().state is PeerState.LIVE


async def test_skipped_packets_count_as_received(rig: Rig) -> None:
    """Our receiver reports tell no loss where nothing was lost, pre-roll or not."""
    caller = await rig.connect()
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
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
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
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
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
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
    rig.port.table.wants[rig.peer().row] = Wants.VOICED
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
    row = rig.peer().row
    rig.port.table.wants[row] = Wants.NONE
    for _ in range(3):
        caller.send(caller.rtp(b"secret"))
    rig.exchange()
    rig.port.table.wants[row] = Wants.ALL
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
    assert len(rig.listener.packets) == BURST_PACKETS + PACKETS_PER_S


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


# Media out


async def test_a_frame_reaches_its_hearers(rig: Rig) -> None:
    """One payload, a header and SRTP per hearer, with and without a level."""
    ann, bob = await rig.connect(1, "ann"), await rig.connect(2, "bob", level_id=0)
    rig.say([frame(rig.peer("ann").row, rig.peer("bob").row)])
    assert [packet[20:] for packet in ann.heard] == [b"\xf8mix"]
    assert [packet[12:] for packet in bob.heard] == [b"\xf8mix"]


async def test_what_we_send_wraps_like_any_stream(rig: Rig) -> None:
    """Sequence numbers go over 65535, timestamps over 2**32."""
    caller = await rig.connect()
    row = rig.peer().row
    rig.port.table.sequence_out[row] = 65_534
    rig.port.table.timestamp_base[row] = 2**32 - 1
    for tick in range(4):
        rig.say([frame(row)], tick=tick)
    assert sequences(caller.heard) == [65_534, 65_535, 0, 1]
    assert [int.from_bytes(p[4:8], "big") for p in caller.heard] == [2**32 - 1, 959, 1919, 2879]


async def test_a_row_that_cannot_be_protected_is_never_sent(rig: Rig) -> None:
    """The clear text stays here, the others get theirs."""
    ann, bob = await rig.connect(1, "ann"), await rig.connect(2, "bob")
    rig.port.table.send_handles[rig.peer("ann").row] = None
    rig.say([frame(rig.peer("ann").row, rig.peer("bob").row)])
    assert ann.heard == []
    assert len(bob.heard) == 1
    assert rig.port.counters["srtp_protect_failures"] == 1


async def test_more_hearers_than_a_block_holds_are_served(rig: Rig) -> None:
    """Frames are split over blocks; nobody is left out."""
    caller = await rig.connect()
    row = rig.peer().row
    rig.port.send([frame(*[row] * (SEND_ROWS // 2 + 1)), frame(*[row] * SEND_ROWS)], tick=1)
    assert len(rig.socket.outbox) == SEND_ROWS // 2 + 1 + SEND_ROWS
    rig.socket.outbox.clear()
    assert caller.heard == []


async def test_a_frame_too_long_for_a_row_is_left_out(rig: Rig) -> None:
    """Others of the same tick are sent."""
    caller = await rig.connect()
    row = rig.peer().row
    rig.say([frame(row, payload=b"x" * (MAX_PAYLOAD_BYTES + 1))])
    rig.say([frame(row, payload=b"y" * MAX_PAYLOAD_BYTES)])
    assert [packet[20:21] for packet in caller.heard] == [b"y"]


def redundant(*rows: int) -> Outgoing:
    return dataclasses.replace(frame(*rows), previous=(b"\xf8before",))


async def test_who_loses_packets_gets_them_twice(rig: Rig) -> None:
    """Redundancy for those who report loss and take it; the others' payload is what it was."""
    ann, bob = await rig.connect(1, "ann", red=True), await rig.connect(2, "bob", red=True)
    old = await rig.connect(3, "old")
    rows = [rig.peer(name).row for name in ("ann", "bob", "old")]
    for caller, row in ((ann, rows[0]), (old, rows[2])):
        caller.send(caller.report(lost=0.2, about=int(rig.port.table.ssrc_out[row])))
    rig.exchange()
    rig.say([redundant(*rows)])
    assert [packet[1] & 0x7F for packet in (ann.heard[0], bob.heard[0])] == [63, 111]
    assert split_red(ann.heard[0][20:]) == (
        Block(111, 960, b"\xf8before"),
        Block(111, 0, b"\xf8mix"),
    )
    assert bob.heard[0][20:] == old.heard[0][20:] == b"\xf8mix"
    assert rig.port.counters["red_sent"] == 1
    losses = [rig.peer(name).link.loss for name in ("ann", "bob", "old")]
    assert losses == pytest.approx([0.1, 0.0, 0.1], abs=0.01)


async def test_redundancy_ends_when_the_loss_has(rig: Rig) -> None:
    """It begins at 3 % of smoothed loss, stays above 1 %, and ends below."""
    caller = await rig.connect(red=True)
    row, table = rig.peer().row, rig.port.table
    states = []
    for lost in (0.04, 0.06, 0.0, 0.0, *[0.0] * 20):
        caller.send(caller.report(lost=lost, about=int(table.ssrc_out[row])))
        rig.exchange()
        states.append((bool(table.red_depth[row]), rig.peer().link.loss))
    assert [is_on for is_on, _ in states[:4]] == [False, True, True, True]
    assert all(loss >= 0.01 for is_on, loss in states if is_on)
    assert states[-1][0] is False


async def test_redundancy_too_long_for_a_path_is_left_out(rig: Rig) -> None:
    """Frames of a high bit rate go alone rather than in pieces."""
    caller = await rig.connect(red=True)
    row = rig.peer().row
    rig.port.table.red_depth[row] = 1
    long = dataclasses.replace(frame(row, payload=b"x" * 700), previous=(b"y" * 700,))
    rig.say([long])
    assert split_red(caller.heard[0][20:]) == (Block(111, 0, b"x" * 700),)


async def test_a_report_about_another_stream_says_nothing(rig: Rig) -> None:
    """Loss of an SSRC that is not ours is somebody else's."""
    caller = await rig.connect(red=True)
    row = rig.peer().row
    caller.send(caller.report(lost=0.5, about=int(rig.port.table.ssrc_out[row]) ^ 1))
    rig.exchange()
    assert rig.peer().link.loss == 0


async def test_statistics_tell_how_a_connection_does(rig: Rig) -> None:
    """Loss both ways, jitter both ways, bit rates over a second."""
    caller = await rig.connect()
    row, table = rig.peer().row, rig.port.table
    for number in range(100):
        packet = caller.rtp(b"\xf8" * 80)
        if number % 10:
            caller.send(packet)
        rig.port.send([frame(row, payload=b"\xf8" * 100)], tick=number)
        await rig.run(0.02)
    caller.send(caller.report(lost=0.5, about=int(table.ssrc_out[row]), jitter=480))
    rig.exchange()
    told = rig.peer()
    assert told.round_trip_s is None
    assert told.loss_in == pytest.approx(0.1, abs=0.05)
    assert told.link.loss == pytest.approx(0.25, abs=0.01)
    assert told.jitter_out_s == pytest.approx(0.01)
    assert told.bitrate_in == pytest.approx(45 * 110 * 8, rel=0.1)
    assert told.bitrate_out == pytest.approx(50 * 100 * 8, rel=0.05)


async def test_reports_go_out_once_a_second(rig: Rig) -> None:
    """A compound sender report per peer and second, with a block about what it sends."""
    caller = await rig.connect()
    caller.send(caller.rtp())
    rig.say([frame(rig.peer().row)])
    await rig.run(3.0)
    assert [report[1] for report in caller.reports] == [200] * 3
    assert {report[0] & 0x1F for report in caller.reports} == {1}


# Time and removal


async def test_a_silent_peer_is_interrupted_then_gone(rig: Rig) -> None:
    """After 5 s interrupted, after 15 s gone."""
    await rig.connect()
    counts = []
    for seconds in (4.9, 0.7, 8.8, 1.2):
        await rig.run(seconds)
        counts.append(len(rig.listener.changes))
    assert counts == [1, 2, 2, 3]
    assert rig.listener.changes[1:] == [
        ("ann", PeerState.INTERRUPTED, None),
        ("ann", PeerState.GONE, GoneReason.TIMEOUT),
    ]
    assert rig.port.table.count == 0


@pytest.mark.parametrize("sign", ["check", "rtp", "rtcp"])
async def test_an_interrupted_peer_comes_back(rig: Rig, sign: str) -> None:
    """Anything authentic makes it live again."""
    caller = await rig.connect()
    await rig.run(6.0)
    caller.send(getattr(caller, sign)())
    rig.exchange()
    assert [state for _, state, _ in rig.listener.changes] == [
        PeerState.LIVE,
        PeerState.INTERRUPTED,
        PeerState.LIVE,
    ]


async def test_nothing_unauthentic_keeps_a_peer_alive(rig: Rig) -> None:
    """Corrupt media, replays and records in the clear are no signs of life."""
    caller = await rig.connect()
    packet = caller.rtp()
    caller.send(packet)
    rig.exchange()
    for _ in range(60):
        caller.send(packet)
        caller.send(packet[:-1] + bytes([packet[-1] ^ 1]))
        caller.send(b"\x16\xfe\xfd" + b"\0" * 40)
        await rig.run(0.1)
    assert rig.listener.changes[-1][1] is PeerState.INTERRUPTED


async def test_who_never_connects_is_forgotten(rig: Rig) -> None:
    """Checks without a handshake hold a row for 15 s."""
    caller = rig.caller()
    rig.invite(caller)
    for _ in range(16):
        caller.send(caller.check())
        await rig.run(1.0)
    assert rig.listener.changes == [("ann", PeerState.GONE, GoneReason.TIMEOUT)]
    assert rig.port.table.count == 0
    assert not rig.port.is_handshaking


async def test_removal_says_goodbye(rig: Rig) -> None:
    """The peer gets BYE and close_notify; its row and address are free again."""
    caller = await rig.connect()
    rig.port.remove(rig.peer(), GoneReason.REMOVED)
    await rig.settle()
    assert caller.dtls.state == "closed"
    assert caller.reports[-1][-8:-4] == b"\x81\xcb\x00\x01"
    assert rig.port.table.count == 0
    caller.send(caller.rtp())
    rig.exchange()
    assert rig.port.counters["foreign_datagrams"] == 1


async def test_a_removed_peer_cannot_write_to_who_takes_its_row(rig: Rig) -> None:
    """A late record of the old connection goes nowhere."""
    await rig.connect(1, "ann")
    old = rig.peer("ann")
    rig.port.remove(old, GoneReason.REMOVED)
    await rig.settle()
    bob = await rig.connect(2, "bob")
    before = len(bob.records)
    assert rig.peer("bob").row == old.row
    rig.port._send_to(old, b"\x16late")
    rig.exchange()
    assert len(bob.records) == before


async def test_removing_twice_is_removing_once(rig: Rig) -> None:
    """Two reasons at the same time: the first counts, the row is given back once."""
    await rig.connect()
    peer = rig.peer()
    rig.port.remove(peer, GoneReason.REPLACED)
    rig.port.remove(peer, GoneReason.REMOVED)
    await rig.settle()
    assert rig.listener.changes[1:] == [("ann", PeerState.GONE, GoneReason.REPLACED)]
    assert rig.port.table.count == 0


async def test_closing_ends_everybody_and_the_socket(rig: Rig) -> None:
    """Every peer is told before the socket closes."""
    callers_ = [await rig.connect(number, f"p{number}") for number in (1, 2)]
    await rig.port.close()
    await rig.settle()
    assert [caller.dtls.state for caller in callers_] == ["closed", "closed"]
    assert rig.socket.is_closed


# A hostile world


def hostile(caller: Caller) -> list[bytes]:
    """What a port may get from anywhere."""
    rng = np.random.default_rng(7)
    rtp, rtcp, check = caller.rtp(), caller.rtcp(), caller.check()
    return [
        b"",
        *(bytes([first]) * size for first in (0, 22, 128, 255) for size in range(1, 20)),
        *(bytes([first]) + rng.bytes(int(rng.integers(20, 1400))) for first in range(256)),
        *(rng.bytes(size) for size in (1500, 1501, 1600, 1601, 9000)),
        *(rtp[:cut] for cut in range(1, len(rtp), 3)),
        *(rtcp[:cut] for cut in range(1, len(rtcp), 3)),
        *(check[:cut] for cut in range(1, len(check), 3)),
        *(bytes([*rtp[:at], rtp[at] ^ 0x55, *rtp[at + 1 :]]) for at in range(len(rtp))),
        *(bytes([*check[:at], check[at] ^ 0x55, *check[at + 1 :]]) for at in range(len(check))),
        *caller.sent,
    ]


@pytest.mark.parametrize("is_spoofed", [False, True], ids=["from elsewhere", "from its address"])
async def test_a_call_survives_anything(rig: Rig, *, is_spoofed: bool) -> None:
    """Junk, corrupted and replayed datagrams during a call: nobody is lost, media goes on."""
    ann, bob = await rig.connect(1, "ann"), await rig.connect(2, "bob")
    ann.send(ann.rtp())
    rig.exchange()
    for datagram in hostile(ann):
        ann.send(datagram, source=None if is_spoofed else ELSEWHERE)
        rig.port._strangers_left = STRANGERS_PER_TICK
        await rig.settle(1)
    for caller in (ann, bob):
        caller.send(caller.rtp(b"\xf8after"))
    await rig.settle()
    rig.say([frame(rig.peer("ann").row, rig.peer("bob").row)])
    assert [change[1] for change in rig.listener.changes] == [PeerState.LIVE] * 2
    assert [p.payload for _, p, _ in rig.listener.packets][-2:] == [b"\xf8after"] * 2
    assert (len(ann.heard), len(bob.heard)) == (1, 1)
    assert rig.port.counters["datagram_failures"] == 0


@pytest.mark.parametrize("is_spoofed", [False, True], ids=["from elsewhere", "from its address"])
async def test_a_join_survives_anything(rig: Rig, *, is_spoofed: bool) -> None:
    """The same between every two datagrams of the handshake, and those of the handshake again."""
    donor = await rig.connect(9, "donor")
    donor.sent.clear()  # a whole handshake under the peer's own address is beyond defence
    junk = hostile(donor)
    caller = rig.caller()
    rig.invite(caller)
    caller.send(caller.check())
    rig.exchange()

    def disturb(_datagram: bytes, _address: object) -> bool:
        for datagram in (*junk, *caller.sent[:4]):
            rig.socket.inbox.append((datagram, caller.address if is_spoofed else ELSEWHERE))
        rig.port._strangers_left = STRANGERS_PER_TICK
        return True

    rig.on_deliver = disturb
    handshake = rig.tasks(caller.handshake(), name="handshake")
    await rig.settle(30)
    rig.on_deliver = lambda _datagram, _address: True
    await rig.settle()
    await handshake
    assert ("ann", PeerState.LIVE, None) in rig.listener.changes
    assert rig.port.counters["datagram_failures"] == 0


@pytest.mark.parametrize("record", [b"\x15\xfe\xfd%s\x00\x02\x02\x28", b"\x17\xfe\xfd%s\x00\x01x"])
async def test_a_handshake_is_not_ended_by_a_record_in_the_clear(rig: Rig, record: bytes) -> None:
    """An alert or data without a key, even from the peer's own address, is refused."""
    caller = rig.caller()
    rig.invite(caller)
    caller.send(caller.check())
    caller.send(record % (b"\0" * 8))
    await rig.settle()
    handshake = rig.tasks(caller.handshake(), name="handshake")
    await rig.settle()
    await handshake
    assert rig.listener.changes == [("ann", PeerState.LIVE, None)]
    assert rig.port.counters["dtls_refused"] == 1
