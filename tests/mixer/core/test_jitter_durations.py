"""Packets longer and shorter than a tick in the jitter buffer."""

import math

import pytest

from mixer.core.jitter import JitterBuffer, Play
from tests.support.jitter_player import Player, packet, payload


@pytest.mark.parametrize(
    ("milliseconds", "kinds"), [(40, "P+"), (60, "P++"), (20, "P"), (10, "P"), (2.5, "P")]
)
@pytest.mark.parametrize("offset", [0, 7, 959])
def test_packets_of_any_duration_fill_their_ticks(
    milliseconds: float, kinds: str, offset: int
) -> None:
    """Long packets take several ticks, short ones share one, wherever their timestamps begin."""
    step = int(milliseconds * 48)
    count = math.ceil(80 * 20 / milliseconds)
    player = Player(JitterBuffer(min_frames=4))
    player.run(
        packet(
            n,
            timestamp=offset + n * step,
            payload=payload(n, milliseconds),
            arrival_s=n * milliseconds / 1000,
        )
        for n in range(count)
    )
    steady = player.outcomes[6:66]
    assert player.kinds[3 + player.kinds.index("P") :][:60] in (kinds * 61)
    plays = [outcome for outcome in steady if isinstance(outcome, Play)]
    assert {play.frames for play in plays} == {len(kinds)}
    assert {len(play.payloads) for play in plays} == {max(1, 20 / milliseconds)}
    assert player.played == list(range(len(player.played)))


def test_a_lost_long_packet_is_concealed_for_its_length() -> None:
    """A missing 60 ms packet is three conceals, and its successor is in place."""
    player = Player(JitterBuffer(min_frames=6))
    player.run(
        packet(n, timestamp=n * 2880, payload=payload(n, 60), arrival_s=n * 0.06)
        for n in range(20)
        if n != 8
    )
    assert "P++CCCP++" in player.kinds
    assert player.statistics.concealed == 3


def test_half_a_lost_frame_is_left_to_the_reader() -> None:
    """Of two 10 ms packets the one that came is played; nothing moves."""
    player = Player()
    player.run(
        packet(n, timestamp=n * 480, payload=payload(n, 10), arrival_s=n * 0.01)
        for n in range(80)
        if n != 30
    )
    short = [play for play in player.outcomes if isinstance(play, Play) and len(play.payloads) < 2]
    assert short == [Play((payload(31, 10),), silent=False)]
    assert player.statistics.concealed == 0


def test_long_packets_are_trimmed_only_if_their_whole_length_is_too_much() -> None:
    """A 60 ms packet is not dropped to win 20 ms."""
    player = Player()
    first = [
        packet(n, timestamp=n * 2880, payload=payload(n, 60), arrival_s=n * 0.06 + 0.03)
        for n in range(20)
    ]
    then = [
        packet(n, timestamp=n * 2880, payload=payload(n, 60), arrival_s=n * 0.06)
        for n in range(20, 400)
    ]
    player.run([*first, *then])
    assert player.statistics.trimmed == 0


def test_a_packet_longer_than_the_maximum_is_played() -> None:
    """The limit never drops the only packet there is."""
    player = Player(JitterBuffer(max_frames=2))
    long = b"\xfb\x06" + bytes(6)
    player.run([packet(0, payload=long)], more=1)
    assert player.outcomes[-1] == Play((long,), silent=False, frames=6)
