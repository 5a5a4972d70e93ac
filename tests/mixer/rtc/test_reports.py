"""What peers report of our packets, and how we send to them from then on."""

import struct

import numpy as np

from mixer.core.red import Block, split_red
from mixer.rtc.sdp import read_offer
from mixer.types import LinkMode, Outgoing
from tests.support.callers import Rig


def frame(*rows: int, payload: bytes = b"\xf8mix", previous: tuple[bytes, ...] = ()) -> Outgoing:
    return Outgoing(payload, np.array(rows, np.intp), -20, previous=previous)


async def test_of_redundancy_too_long_for_a_path_the_oldest_goes_first(rig: Rig) -> None:
    """As much as fits into one datagram."""
    caller = await rig.connect(red=True)
    row = rig.peer().row
    rig.port.table.red_depth[row] = 2
    rig.say([frame(row, payload=b"x" * 700, previous=(b"y" * 350, b"z" * 350))])
    assert split_red(caller.heard[0][20:]) == (
        Block(111, 960, b"y" * 350),
        Block(111, 0, b"x" * 700),
    )


async def test_who_loses_more_gets_the_two_frames_before(rig: Rig) -> None:
    """Each depth is packed once for all who need it."""
    names = ("ann", "bob", "cyd", "dan")
    callers = [await rig.connect(number, name, red=True) for number, name in enumerate(names, 1)]
    rows = [rig.peer(name).row for name in names]
    for caller, row, lost in zip(callers, rows, (0.3, 0.1, 0.3, 0.0), strict=True):
        caller.send(caller.report(lost=lost, about=int(rig.port.table.ssrc_out[row])))
    rig.exchange()
    rig.say([frame(*rows, previous=(b"\xf8last", b"\xf8first"))])
    earlier = [Block(111, 1920, b"\xf8first"), Block(111, 960, b"\xf8last")]
    now = Block(111, 0, b"\xf8mix")
    assert [split_red(caller.heard[0][20:]) for caller in callers[:3]] == [
        (*earlier, now),
        (earlier[1], now),
        (*earlier, now),
    ]
    assert callers[3].heard[0][20:] == b"\xf8mix"
    assert rig.port.counters["red_sent"] == 3


async def test_an_estimate_of_the_peers_counts(rig: Rig) -> None:
    """REMB of less than the mix: neither redundancy nor all of its bits."""
    caller = await rig.connect(red=True)
    word = struct.pack("!I", 1 << 24 | 60_000)
    caller.send(caller.rtcp(struct.pack("!BBHII", 0x8F, 206, 4, caller.ssrc, 0) + b"REMB" + word))
    rig.exchange()
    told = rig.port.statistics(rig.peer())
    assert (told.mode, told.capacity_bps) == (LinkMode.ROBUST, 40_000)
    assert rig.port.deliver(rig.peer(), mix_bps=96_000, now=rig.clock()).bitrate_bps == 40_000


async def test_another_offer_may_take_redundancy_back(rig: Rig) -> None:
    """From the answer on no packet carries more than one frame."""
    caller = await rig.connect(red=True)
    peer = rig.peer()
    caller.send(caller.report(lost=0.3, about=int(rig.port.table.ssrc_out[peer.row])))
    rig.exchange()
    assert rig.port.table.red_depth[peer.row] == 2
    caller._red = False
    assert rig.port.renegotiate(peer, read_offer(caller.offer()))
    assert rig.port.table.red_depth[peer.row] == 0


async def test_reports_are_rarer_where_nothing_is_lost(rig: Rig) -> None:
    """Each second until the round trip is known and while packets are lost, else every three."""
    caller = await rig.connect()
    about = int(rig.port.table.ssrc_out[rig.peer().row])

    async def count(seconds: int) -> int:
        caller.reports.clear()
        await rig.run(seconds)
        return len(caller.reports)

    assert await count(6) == 6
    rig.peer().round_trip_s = 0.04
    assert await count(6) == 2
    assert rig.peer().bitrate_out == 0
    caller.send(caller.report(lost=0.1, about=about))
    assert await count(6) == 6
