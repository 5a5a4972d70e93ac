"""Copies from redundancy (RED) in the jitter buffer."""

import pytest

from mixer.core.jitter import Arrival, JitterBuffer
from tests.support.jitter_player import FRAME, TICK_S, Player, packet, payload


def red(number: int, *levels: int, **fields: object) -> Arrival:
    """Return the packet of that number with copies of those that many before it."""
    copies = tuple((level * FRAME, payload(number - level)) for level in levels if level <= number)
    return packet(number, redundancy=copies, **fields)


@pytest.mark.parametrize("levels", [(1,), (2, 1)])
def test_a_copy_fills_a_hole(levels: tuple[int, ...]) -> None:
    """What the next packet brings along is played in the lost one's place."""
    player = Player(JitterBuffer(min_frames=4))
    lost = {20, 30, 31} if len(levels) > 1 else {20, 30}
    player.run(red(n, *levels) for n in range(60) if n not in lost)
    assert player.played == list(range(len(player.played)))
    statistics = player.statistics
    assert (statistics.lost, statistics.recovered_red, statistics.concealed) == (
        len(lost),
        len(lost),
        0,
    )
    assert (statistics.late, statistics.duplicate) == (0, 0)


def test_copies_of_what_is_here_do_nothing() -> None:
    """Without loss a stream with redundancy is played, measured and counted as one without."""
    plain, redundant = Player(phase_s=0.012), Player(phase_s=0.012)
    plain.run(map(packet, range(100)))
    redundant.run(red(n, 2, 1) for n in range(100))
    assert redundant.outcomes == plain.outcomes
    assert redundant.statistics == plain.statistics


@pytest.mark.parametrize(("target", "level"), [(1, 1), (2, 2)])
def test_a_copy_that_comes_too_late_is_not_counted(target: int, level: int) -> None:
    """The hole was concealed; the copy is neither recovered nor late."""
    player = Player(JitterBuffer(min_frames=target), phase_s=0.012)
    player.run(red(n, level) for n in range(300) if n != 250)
    statistics = player.statistics
    assert (statistics.lost, statistics.concealed) == (1, 1)
    assert (statistics.recovered_red, statistics.late, statistics.duplicate) == (0, 0, 0)


def test_a_loss_that_teaches_to_wait_is_still_repaired() -> None:
    """The first loss of a stream is concealed, and its copy played behind: the delay must grow."""
    player = Player(phase_s=0.012)
    player.run(red(n, 1) for n in range(60) if n != 20)
    assert player.played == list(range(len(player.played)))
    assert (player.statistics.concealed, player.statistics.recovered_red) == (1, 1)


def test_the_packet_itself_replaces_its_copy() -> None:
    """A packet that was only overtaken is played, and nothing is counted lost."""
    player = Player(JitterBuffer(min_frames=4))
    other = b"\xf8" + bytes(4)
    stream = [packet(n) for n in range(40)]
    stream[20] = packet(20, arrival_s=21.1 * TICK_S)
    stream[21] = packet(21, redundancy=((FRAME, other),))
    stream[20], stream[21] = stream[21], stream[20]
    player.run(stream)
    assert player.played == list(range(len(player.played)))
    assert (player.statistics.lost, player.statistics.recovered_red) == (0, 0)


def test_a_stream_does_not_begin_with_a_copy() -> None:
    """What was said before somebody was let in is not heard."""
    player = Player()
    player.run(red(n, 2, 1) for n in range(10, 30))
    assert player.played[0] == 10


def test_after_a_stop_a_copy_leads_in() -> None:
    """The first packet after an outage brings the one before it, if that was not played."""
    player = Player()
    player.run([packet(n) for n in range(20)], more=20)
    player.run([red(n, 1) for n in range(60, 70)], more=2)
    assert player.played[20:22] == [59, 60]
    assert player.statistics.recovered_red == 1


@pytest.mark.parametrize(
    "copies",
    [
        ((FRAME, b""),),  # no packet
        ((FRAME, b"\xfb\x00"),),
        ((480, b"\xf8"),),  # reaches into the packet itself
        ((16_000, b"\xf8"),),  # long played
        ((2 * FRAME, b"\xfb\x06"),),  # 120 ms, over everything
        ((2 * FRAME - 480, b"\xf8"),),  # across two packets
        ((2 * FRAME + 480, b"\xf8"),),
        ((-FRAME, b"\xf8"),),  # in the future
        ((2**31, b"\xf8"),),
    ],
)
def test_odd_copies_are_ignored(copies: tuple[tuple[int, bytes], ...]) -> None:
    """Only what fits a hole is taken."""
    plain, odd = Player(JitterBuffer(min_frames=4)), Player(JitterBuffer(min_frames=4))
    plain.run(packet(n) for n in range(60) if n != 22)
    odd.run(packet(n, redundancy=copies) for n in range(60) if n != 22)
    assert odd.kinds == plain.kinds
    assert odd.played == plain.played


def test_a_copy_whose_time_passes_is_dropped_unseen() -> None:
    """A copy that a stall brought too late for its place counts nowhere."""
    player = Player(phase_s=0.012)
    stall = [packet(n, arrival_s=23 * TICK_S) for n in (20, 22)]
    late = packet(23, arrival_s=23 * TICK_S, redundancy=((2 * FRAME, payload(21)),))
    player.run([*map(packet, range(20)), *stall, late, *map(packet, range(24, 40))])
    statistics = player.statistics
    assert statistics.recovered_red == 0
    assert statistics.received == statistics.played + statistics.late + 1  # one waits
