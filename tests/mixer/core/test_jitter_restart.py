"""Streams that begin anew, for the jitter buffer and in their own numbers."""

import pytest

from mixer.core.jitter import Idle
from tests.support.jitter_player import FRAME, TICK_S, Player, packet


@pytest.mark.parametrize("jump", [FRAME * 51, -FRAME * 51, 2**31 - 1, -(2**31), 12_345_678])
def test_a_jump_of_the_timestamps_begins_anew(jump: int) -> None:
    """A sender that restarts its clock is heard again after the margin, not after the jump."""
    player = Player()
    after = [packet(n, timestamp=(n * FRAME + jump) % 2**32) for n in range(20, 60)]
    player.run([*map(packet, range(20)), *after], more=1)
    assert player.played == list(range(60))
    assert player.statistics.resyncs == 1


def test_a_small_step_back_of_the_timestamps_heals_itself() -> None:
    """Less than a second back: the stream stops as if lost and begins anew."""
    player = Player()
    after = [packet(n, timestamp=(n - 20) * FRAME) for n in range(40, 80)]
    player.run([*map(packet, range(40)), *after], more=1)
    assert player.played[-30:] == list(range(50, 80))


def test_a_small_step_ahead_of_the_timestamps_heals_itself() -> None:
    """Less than a second ahead: the missing time is skipped down to the maximum, then trimmed."""
    player = Player()
    after = [packet(n, timestamp=(n + 30) * FRAME) for n in range(40, 400)]
    player.run([*map(packet, range(40)), *after], more=1)
    assert player.waits_s[-1] < 0.03
    assert player.statistics.resyncs == 0


def test_sequence_numbers_that_begin_anew_are_followed() -> None:
    """RFC 3550 A.1: one packet far behind is late, the second in order is the new stream."""
    player = Player()
    after = [packet(n, sequence=(n - 30_000) & 0xFFFF) for n in range(20, 60)]
    player.run([*map(packet, range(20)), *after], more=1)
    assert player.played == [*range(20), *range(21, 60)]
    assert (player.statistics.late, player.statistics.resyncs) == (1, 1)


def test_a_stray_old_packet_is_only_late() -> None:
    """A packet from long ago does not disturb the stream, however odd its timestamp."""
    player = Player()
    stray = packet(3, arrival_s=300 * TICK_S)
    odd = packet(295, timestamp=5, sequence=250, arrival_s=300 * TICK_S)
    player.run([*(packet(n) for n in range(300) if n != 250), stray, odd], more=1)
    assert player.statistics.resyncs == 0
    assert player.statistics.late == 2


def test_a_straggler_does_not_wake_a_stream_that_ended() -> None:
    """A packet from before the end, after the buffer has stopped, is late."""
    player = Player()
    player.run([packet(n) for n in range(20) if n != 10], more=20)
    player.buffer.push(packet(10, arrival_s=player.now))
    assert player.tick() == player.tick() == Idle()
    assert player.statistics.late == 1


def test_reset_begins_anew_with_any_numbers() -> None:
    """After a change of SSRC no number of the old stream matters; the counters go on."""
    player = Player()
    player.buffer.reset()
    player.run(map(packet, range(20)))
    player.buffer.reset()
    player.run([packet(n, sequence=n + 40_000, timestamp=n) for n in range(20, 22)], more=2)
    assert player.played == [*range(19), 20]
    assert (player.statistics.received, player.statistics.resyncs) == (22, 0)
