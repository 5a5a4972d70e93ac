"""A port in a hostile world."""

import numpy as np
import pytest

from mixer.types import PeerState
from tests.support.callers import ELSEWHERE, Caller, Rig, frame


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
        rig.port._checks.new_tick()
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
        rig.port._checks.new_tick()
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
