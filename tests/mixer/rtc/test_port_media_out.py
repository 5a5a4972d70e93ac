"""Media that goes out of a port, its redundancy, reports and statistics."""

import dataclasses

import pytest

from mixer.core.red import Block, split_red
from mixer.rtc.srtp import MAX_PAYLOAD_BYTES
from mixer.rtc.transmit import SEND_ROWS
from mixer.types import Outgoing
from tests.support.callers import Rig, frame


def sequences(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4], "big") for packet in packets]


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
