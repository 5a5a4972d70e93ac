"""The paths to a peer: which is taken, who may move it, what a copy cannot do."""

from mixer.rtc.checks import STRANGERS_PER_TICK
from mixer.rtc.peers import Wants
from mixer.rtc.port import STRAYS_PER_TICK
from mixer.types import PeerState
from tests.support.callers import ELSEWHERE, Rig, frame


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
    rig.port.table.want(rig.peer(), Wants.VOICED)
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
    rig.port.table.want(rig.peer(), Wants.NONE)
    caller.send(caller.rtp(b"secret"))
    rig.exchange()
    rig.port.table.want(rig.peer(), Wants.ALL)
    caller.send(caller.sent[-1])
    caller.send(caller.rtp(b"public"))
    rig.exchange()
    assert [packet.payload for _, packet, _ in rig.listener.packets][1:] == [b"public"]
    assert rig.port.counters["rtp_stale"] == 1


async def test_what_was_skipped_is_forgotten_in_time(rig: Rig) -> None:
    """Numbers wrap: a skip long ago makes no later packet stale, not even across 2**16."""
    caller = await rig.connect()
    rig.port.table.want(rig.peer(), Wants.VOICED)
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
    rig.port.table.want(rig.peer(), Wants.VOICED)
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
