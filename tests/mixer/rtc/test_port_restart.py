"""ICE restart, and other offers to a connection that stands."""

from mixer.rtc.sdp import read_offer
from mixer.types import GoneReason, PeerState
from tests.support.callers import ELSEWHERE, Caller, Rig, frame


def sequences(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4], "big") for packet in packets]


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
    assert len(rig.port._checks._by_ufrag) == 1
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
