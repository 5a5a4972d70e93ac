"""How the jitter buffer's delay grows and shrinks: bursts, trims, steering, drift."""

import pytest

from mixer.core.jitter import (
    SHRINK_AFTER,
    TRIM_SILENT_AFTER,
    TRIM_VOICE_AFTER,
    WAIT_FOR_PAUSE,
    Arrival,
    JitterBuffer,
    Play,
)
from tests.support.jitter_player import FRAME, TICK_S, Player, packet, payload
from tests.support.netem import Network


def late_burst(first: int, last: int, arrival_s: float, **fields: object) -> list[Arrival]:
    """Return packets that arrive together."""
    return [packet(n, arrival_s=arrival_s, **fields) for n in range(first, last)]


def test_a_stall_shorter_than_the_conceals_costs_no_delay() -> None:
    """Packets that a stall delayed, and whose places were concealed, are late; the rest go on."""
    player = Player()
    stall = late_burst(20, 24, 23 * TICK_S)
    player.run([*map(packet, range(20)), *stall, *map(packet, range(24, 60))])
    assert player.statistics.concealed == player.statistics.late == 3
    assert player.waits_s[-1] == pytest.approx(player.waits_s[0])


def test_a_delay_that_lasts_moves_the_position_back() -> None:
    """When the way becomes 30 ms longer, nothing is lost and the delay follows."""
    player = Player()
    longer = [packet(n, arrival_s=n * TICK_S + 0.03) for n in range(20, 60)]
    player.run([*map(packet, range(20)), *longer])
    assert player.played == list(range(len(player.played)))
    assert player.statistics.concealed == 1
    assert player.waits_s[-1] == pytest.approx(0.005)


@pytest.mark.parametrize("silent_from", [700, 42])
def test_a_burst_does_not_deepen_the_buffer_for_good(silent_from: int) -> None:
    """What a stall left above the target is trimmed: silence soon, voice after five seconds."""
    player = Player()
    stall = late_burst(20, 30, 29 * TICK_S)
    rest = [packet(n, silent=n >= silent_from) for n in range(30, 700)]
    player.run([*map(packet, range(20)), *stall, *rest])
    assert max(player.depths) > 8
    assert max(player.waits_s[-100:]) < 0.03
    trims = [n for n in range(player.played[-1]) if n not in player.played]
    assert len(trims) == player.statistics.trimmed
    assert min(trims) >= (42 if silent_from == 42 else 20 + TRIM_VOICE_AFTER - 1)


def test_above_the_maximum_voice_is_trimmed_at_once() -> None:
    """A burst deeper than `max_frames` and one loses its oldest packets."""
    player = Player(JitterBuffer(max_frames=6))
    player.run([*map(packet, range(20)), *late_burst(20, 50, 50 * TICK_S)])
    assert player.buffer.depth_frames == 7
    assert player.statistics.trimmed == 23


def test_without_ticks_the_buffer_keeps_the_newest() -> None:
    """A buffer that nobody pops stays bounded."""
    buffer = JitterBuffer()
    for number in range(1000):
        buffer.push(packet(number))
    assert buffer.depth_frames == 11
    assert buffer.pop(20.0) == Play((payload(989),), silent=False)


def test_while_ticks_pause_the_position_follows() -> None:
    """Two seconds without a tick cost their packets and nothing else."""
    player = Player()
    player.run(map(packet, range(20)))
    for number in range(20, 120):
        player.buffer.push(packet(number))
    player.now = 120 * TICK_S + 0.015
    player.run(map(packet, range(120, 500)))
    assert player.played[-50:] == list(range(449, 499))
    assert player.statistics.resyncs == 0
    assert player.statistics.concealed == 0


def test_steering_asks_for_more_delay_when_jitter_grows() -> None:
    """A reader that can, holds a tick; then the delay is what is needed, and nothing was lost."""
    player = Player(JitterBuffer(window=50), phase_s=0.018)
    player.run(map(packet, range(60)))
    assert player.buffer.steering == 0
    held = 0
    for number in range(60, 200):
        player.run([packet(number, arrival_s=(number + 0.8 * (number % 4 == 0)) * TICK_S)])
        if player.buffer.steering > 0:
            player.buffer.hold()
            player.now += TICK_S
            held += 1
    statistics = player.statistics
    assert held == statistics.expanded == 1
    assert (statistics.concealed, statistics.late, statistics.target_frames) == (0, 0, 2)


def test_steering_asks_for_less_delay_when_it_is_too_long() -> None:
    """Frames are taken ahead until the delay is short, and then no more; nothing is lost by it."""
    player = Player(JitterBuffer(min_frames=1))
    slow = [packet(n, arrival_s=n * TICK_S + 0.06) for n in range(10)]
    player.run([*slow, *map(packet, range(10, 320))])
    assert player.statistics.trimmed == 0
    taken = 0
    for number in range(320, 700):
        player.run([packet(number)])
        if player.buffer.steering < 0:
            while player.buffer.ahead(player.now - TICK_S) is not None:
                taken += 1
    statistics = player.statistics
    assert (taken, statistics.trimmed, statistics.late) == (statistics.compressed, 0, 0)
    assert taken == 3
    assert player.waits_s[-1] < 0.03


@pytest.mark.parametrize(("last", "patience"), [(60, WAIT_FOR_PAUSE), (30, SHRINK_AFTER)])
def test_a_pause_is_waited_for_before_a_voice_is_sped_up(last: int, patience: int) -> None:
    """After 200 ms pauses may be shortened; words after 2 s, after 1 s if much is to be won."""
    player = Player()
    player.run([*map(packet, range(20)), *late_burst(20, last, (last - 1) * TICK_S)])
    wishes = []
    for number in range(last, last + 200):
        player.run([packet(number)])
        wishes.append(player.buffer.steering)
    wishes = wishes[wishes.index(-1) :]
    assert wishes.index(-2) == patience - TRIM_SILENT_AFTER
    assert set(wishes[: wishes.index(-2)]) == {-1}


def test_there_is_nothing_ahead_in_a_hole() -> None:
    """Nor before the stream has begun, nor while all is well."""
    player = Player()
    assert player.buffer.ahead(player.now) is None
    assert player.buffer.steering == 0
    player = Player(JitterBuffer(min_frames=4))
    for number in range(40):
        if number != 20:
            player.run([packet(number)])
        assert player.buffer.ahead(player.now) is None
    assert player.statistics.compressed == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("drift_ppm", [300.0, -300.0])
def test_an_hour_of_drift_costs_a_frame_a_minute(drift_ppm: float) -> None:
    """At 300 ppm 20 ms gather in 67 s: one trim or one conceal each, and the delay stays."""
    buffer = JitterBuffer()
    sent = ((number * TICK_S, number) for number in range(180_000))
    body, tick, deepest = payload(0), 0, 0
    for arrival_s, n in Network(drift_ppm=drift_ppm, jitter_s=0.001, seed=7).carry(sent):
        while tick * TICK_S <= arrival_s:
            buffer.pop(tick * TICK_S)
            tick += 1
        buffer.push(Arrival(n & 0xFFFF, n * FRAME & 0xFFFFFFFF, body, arrival_s, silent=False))
        deepest = max(deepest, buffer.depth_frames)
    statistics = buffer.statistics()
    assert 50 <= statistics.trimmed + statistics.concealed <= 60
    assert statistics.late <= 5
    assert deepest <= 3


@pytest.mark.parametrize("drift_ppm", [300.0, -300.0])
def test_a_reader_that_follows_the_steering_hears_no_drift(drift_ppm: float) -> None:
    """In ten minutes nine frames are played ahead or waited for; none is lost, none made up."""
    buffer = JitterBuffer()
    sent = ((number * TICK_S, number) for number in range(30_000))
    body, tick, deepest = payload(0), 0, 0
    for arrival_s, n in Network(drift_ppm=drift_ppm, jitter_s=0.0005, seed=7).carry(sent):
        while tick * TICK_S <= arrival_s:
            if buffer.steering > 0:
                buffer.hold()
            else:
                buffer.pop(tick * TICK_S)
                buffer.ahead(tick * TICK_S)
            tick += 1
        buffer.push(Arrival(n & 0xFFFF, n * FRAME & 0xFFFFFFFF, body, arrival_s, silent=False))
        deepest = max(deepest, buffer.depth_frames)
    statistics = buffer.statistics()
    assert 8 <= statistics.compressed + statistics.expanded <= 10
    assert statistics.trimmed + statistics.concealed + statistics.late <= 1
    assert deepest <= 3
