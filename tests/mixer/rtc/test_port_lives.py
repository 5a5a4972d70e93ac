"""How long a peer lives, and how it leaves."""

import pytest

from mixer.types import GoneReason, PeerState
from tests.support.callers import Rig


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
    assert not rig.port.is_joining


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
