"""One UDP port of WebRTC peers: connecting."""

import pytest
from aiortc import RTCCertificate

from mixer.types import GoneReason, PeerState
from tests.support import callers
from tests.support.callers import Rig


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
