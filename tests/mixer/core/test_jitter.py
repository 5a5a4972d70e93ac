"""The jitter buffer, on numbers for time: order, losses, pauses."""

import pytest

from mixer.core.jitter import MAX_CONCEALED, STOP_AFTER, Conceal, Idle, JitterBuffer, Play
from tests.support.jitter_player import FRAME, TICK_S, WITH_FEC, Player, number_of, packet, payload


@pytest.mark.parametrize(
    ("target", "phase_s", "expected_s"),
    [(1, 0.015, 0.015), (1, 0.004, 0.024), (2, 0.006, 0.026), (2, 0.015, 0.035), (3, 0.004, 0.064)],
)
def test_playout_starts_within_a_frame_of_its_margin(
    target: int, phase_s: float, expected_s: float
) -> None:
    """The first packet waits (target - 1) frames and 5 ms, and for the next tick."""
    player = Player(JitterBuffer(min_frames=target), phase_s)
    player.run(map(packet, range(10)))
    assert player.waits_s == pytest.approx([expected_s] * len(player.waits_s))


def test_nothing_is_due_before_the_first_packet() -> None:
    """A buffer that never saw a packet idles."""
    assert Player().run([], more=3) == [Idle()] * 3


def test_numbers_may_start_anywhere(wrap_start: int) -> None:
    """Sequence numbers and timestamps wrap without a trace, reordered packets included."""
    stream = [
        packet(
            number,
            sequence=(wrap_start - 3 + number) & 0xFFFF,
            timestamp=(wrap_start * 65536 + wrap_start - 3 * FRAME + number * FRAME) % 2**32,
        )
        for number in range(12)
    ]
    stream[5], stream[6] = stream[6], stream[5]
    player = Player(JitterBuffer(min_frames=4))
    player.run(stream, more=4)
    assert player.kinds.endswith("P" * 12)
    assert player.played == list(range(12))


@pytest.mark.parametrize("phase_s", [0.001, 0.005, 0.0095, 0.0105, 0.015, 0.0199])
@pytest.mark.parametrize("target", [1, 2, 3, 5])
@pytest.mark.parametrize("burst", [1, 2, 4])
def test_a_loss_changes_its_own_place_only(phase_s: float, target: int, burst: int) -> None:
    """One conceal per lost packet; before and after, depth and delay are as without the loss."""
    whole = Player(JitterBuffer(min_frames=target), phase_s)
    holed = Player(JitterBuffer(min_frames=target), phase_s)
    lost = range(40, 40 + burst)
    whole.run(map(packet, range(100)))
    holed.run(packet(number) for number in range(100) if number not in lost)
    place = [index for index, outcome in enumerate(holed.outcomes) if isinstance(outcome, Conceal)]
    assert len(place) == burst
    assert number_of(whole.outcomes[place[0]].payloads[0]) == 40  # type: ignore[union-attr]
    others = [index for index in range(len(whole.outcomes)) if index not in place]
    assert [whole.outcomes[i] for i in others] == [holed.outcomes[i] for i in others]
    assert whole.depths[:40] + whole.depths[60:] == holed.depths[:40] + holed.depths[60:]


def test_a_conceal_brings_the_next_packet_if_it_is_here() -> None:
    """In-band FEC lives in the packet after the gap, and only in that."""
    player = Player(JitterBuffer(min_frames=4))
    stream = [packet(n, payload=WITH_FEC + bytes([n])) for n in range(40)]
    stream[18] = packet(18)
    player.run(each for each in stream if each.sequence not in (8, 12, 13, 17))
    conceals = [outcome for outcome in player.outcomes if isinstance(outcome, Conceal)]
    fec = [Conceal(stream[9].payload), Conceal(None), Conceal(stream[14].payload), Conceal(None)]
    assert conceals == fec
    statistics = player.statistics
    assert (statistics.lost, statistics.recovered_fec, statistics.concealed) == (4, 2, 2)


def test_a_duplicate_is_dropped() -> None:
    """A packet is played once, whether its copy comes before or after it was played."""
    player = Player()
    twice = [packet(n, arrival_s=(n + late) * TICK_S) for n in range(20) for late in (0, 0)]
    player.run([*twice, packet(3, arrival_s=20 * TICK_S)], more=2)
    assert player.played == list(range(20))
    assert player.statistics.duplicate == 21


def test_a_late_packet_is_dropped() -> None:
    """A packet whose place was concealed while its successor was here is not played."""
    player = Player(phase_s=0.001)
    stream = [packet(n) for n in range(20) if n != 5]
    player.run([*stream[:8], packet(5, arrival_s=7.9 * TICK_S), *stream[8:]], more=2)
    assert player.played == [n for n in range(20) if n != 5]
    assert player.statistics.late == 1
    assert player.statistics.concealed == 1


def test_after_100_ms_of_conceals_the_buffer_idles_and_begins_anew() -> None:
    """A stream that stops is concealed five times; its return waits for the margin again."""
    player = Player(phase_s=0.004)
    player.run([packet(n) for n in (*range(10), *range(60, 70))], more=2)
    assert player.kinds == "I" + "P" * 10 + "C" * MAX_CONCEALED + "I" * 45 + "P" * 10
    assert player.statistics.resyncs == 0
    assert player.waits_s == pytest.approx([0.024] * 20)


def test_a_long_gap_that_is_seen_coming_is_concealed_for_100_ms() -> None:
    """With the packets after the gap at hand, the buffer idles until their time comes."""
    player = Player(JitterBuffer(min_frames=10, max_frames=20))
    player.run([packet(n) for n in (*range(20), *range(28, 60))])
    assert "P" * 20 + "C" * MAX_CONCEALED + "III" + "P" in player.kinds


def test_a_pause_in_the_timestamps_alone_is_no_loss() -> None:
    """DTX: consecutive sequence numbers around a gap in time give Idle, not Conceal."""
    player = Player()
    talk = [packet(n) for n in range(10)]
    pause = packet(9).payload[:1]
    talk[9] = talk[9]._replace(payload=pause)
    again = [packet(n + 35, sequence=n + 10) for n in range(10)]
    player.run([*talk, *again], more=2)
    assert player.kinds == "P" * 10 + "I" * 25 + "P" * 10 + "C"
    assert player.statistics.concealed == 1


def test_a_pause_that_is_seen_coming_idles() -> None:
    """With the packet after the pause at hand, its sequence number tells a pause from a loss."""
    player = Player(JitterBuffer(min_frames=10, max_frames=20))
    again = [packet(n + 3, sequence=n) for n in range(20, 50)]
    player.run([*map(packet, range(20)), *again])
    assert "P" * 20 + "III" + "P" in player.kinds
    assert player.statistics.concealed == 0


def test_a_loss_within_a_pause_is_concealed_once() -> None:
    """Of a gap of many frames in time and one in numbers, one frame is a loss."""
    player = Player(JitterBuffer(min_frames=10, max_frames=20))
    again = [packet(n + 4, sequence=n + 1) for n in range(20, 50)]
    player.run([*map(packet, range(20)), *again])
    assert "P" * 20 + "CIII" + "P" in player.kinds


def test_silence_that_ends_is_not_concealed() -> None:
    """After a silent packet nothing is missing to the ear: no conceals, and a stop after 1 s."""
    player = Player()
    player.run([packet(n, silent=True) for n in range(5)], more=60)
    assert player.kinds == "P" * 5 + "I" * 59
    assert player.buffer.pop(player.now) == Idle()


def test_silence_is_passed_on() -> None:
    """Play says whether its packets are known to be silent; those may be empty."""
    player = Player()
    player.run([packet(0, silent=True, payload=b""), packet(1, silent=False)], more=2)
    assert player.outcomes[:2] == [Play((b"",), silent=True), Play((payload(1),), silent=False)]


def test_a_pause_forgets_what_is_buffered_and_no_jitter() -> None:
    """A gate that closes leaves the target as it is; the gap behind it is no loss."""
    player = Player(JitterBuffer(min_frames=3))
    player.run(map(packet, range(20)))
    player.buffer.pause()
    assert player.buffer.depth_frames == 0
    player.run(packet(n) for n in range(40, 60))
    assert player.played[-10:] == list(range(player.played[-1] - 9, player.played[-1] + 1))
    assert player.statistics.lost == 0


def test_while_a_sender_pauses_its_decoder_may_make_noise() -> None:
    """DTX: after a packet of a byte or two, for a second at most; not after one left encrypted."""
    player = Player()
    player.run([packet(0), packet(1, payload=b"\xf8")], more=60)
    noise = [outcome for outcome in player.outcomes if outcome == Idle(comfort=True)]
    assert len(noise) == STOP_AFTER - 1
    assert player.outcomes[-1] == Idle(comfort=False)


def test_losses_that_can_be_repaired_are_worth_a_frame() -> None:
    """With FEC in the packets and losses among them, the next packet is waited for."""
    player = Player(phase_s=0.012)
    for number in range(400):
        if number % 10 != 5:
            player.run([packet(number, payload=WITH_FEC + number.to_bytes(2, "big"))])
        if player.buffer.steering > 0:
            player.buffer.hold()
            player.now += TICK_S
    statistics = player.statistics
    assert statistics.target_frames == 2
    assert statistics.recovered_fec > 35
    assert statistics.recovered_fec + statistics.concealed == statistics.lost
