"""The jitter buffer on bad networks, and with streams that make no sense."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.core.jitter import MAX_PACKETS, TRIM_VOICE_EVERY, Arrival, JitterBuffer
from tests.support.jitter_player import TICK_S, Player, packet, through
from tests.support.netem import Network


@pytest.mark.parametrize("seed", range(10))
def test_a_bad_network_is_played_in_order(seed: int) -> None:
    """Loss, bursts, jitter, reordering and doubles: every packet is accounted for, in order."""
    network = Network(
        seed=seed,
        loss=0.05,
        burst_enter=0.01,
        burst_leave=0.3,
        jitter_s=0.01,
        reorder=0.02,
        duplicate=0.02,
    )
    player = Player(JitterBuffer(min_frames=4))
    player.run(through(network, 1000, first=65_500), more=20)
    assert player.played == sorted(set(player.played)), f"seed {seed}"
    assert len(player.played) > 850, f"seed {seed}"
    statistics = player.statistics
    accounted = (
        statistics.played
        - statistics.recovered_red
        + statistics.late
        + statistics.duplicate
        + statistics.trimmed
    )
    assert accounted == statistics.received


HOSTILE = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 40), st.integers(0, 0xFFFF)),
        st.one_of(st.integers(0, 40).map(lambda n: n * 960), st.integers(0, 2**32 - 1)),
        st.binary(max_size=3),
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=30,
)


@given(HOSTILE, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_no_stream_breaks_the_buffer(
    stream: list[tuple[int, int, bytes, bool, int]], target: int
) -> None:
    """Any numbers in any order are survived within bounds, and a sane stream is heard after."""
    player = Player(JitterBuffer(min_frames=target))
    for sequence, timestamp, body, silent, ticks in stream:
        copies = ((timestamp & 0x3FFF, body), (960, b"\xf8"))
        player.buffer.push(Arrival(sequence, timestamp, body, player.now, silent, copies))
        assert len(player.buffer._packets) <= MAX_PACKETS
        for _ in range(ticks):
            player.tick()
    start = math.ceil(player.now / TICK_S)
    player.run(packet(start + n, sequence=(n + 7) & 0xFFFF) for n in range(400))
    last = player.played[-50:]
    assert last == sorted(set(last))
    assert last[-1] - last[0] <= 49 + 50 / TRIM_VOICE_EVERY  # delay may still be won back
    assert player.played[-1] > start + 380
