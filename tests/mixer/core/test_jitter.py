"""The jitter buffer, on numbers for time."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.core.jitter import (
    MAX_CONCEALED,
    MAX_PACKETS,
    STOP_AFTER,
    TRIM_VOICE_AFTER,
    TRIM_VOICE_EVERY,
    Arrival,
    Conceal,
    Continue,
    Idle,
    JitterBuffer,
    JitterStatistics,
    Play,
)
from tests.support.netem import Network

TICK_S = 0.02
FRAME = 960
TOC = {2.5: 0xE0, 10: 0xF0, 20: 0xF8, 40: 0x50, 60: 0x58}
WITH_FEC = b"\x48\x40"  # SILK, 20 ms, its LBRR bit set
Outcome = Play | Continue | Conceal | Idle


def payload(number: int, milliseconds: float = 20) -> bytes:
    """Return a packet of that duration which carries its number."""
    return bytes([TOC[milliseconds]]) + number.to_bytes(4, "big")


def number_of(played: bytes) -> int:
    """Return the number such a packet carries."""
    return int.from_bytes(played[1:5], "big")


def packet(number: int, **fields: object) -> Arrival:
    """Return the stream's packet of that number: 20 ms, arriving every 20 ms from 0 s."""
    arrival = Arrival(
        sequence=number & 0xFFFF,
        timestamp=number * FRAME & 0xFFFFFFFF,
        payload=payload(number),
        arrival_s=number * TICK_S,
        silent=False,
    )
    return replace(arrival, **fields)  # type: ignore[arg-type]


class Player:
    """A buffer with its ticker: takes packets in order of arrival, pops at every tick."""

    def __init__(self, buffer: JitterBuffer | None = None, phase_s: float = 0.015) -> None:
        self.buffer = buffer or JitterBuffer()
        self.now = phase_s
        self.outcomes: list[Outcome] = []
        self.depths: list[int] = []
        self.waits_s: list[float] = []
        self._arrivals: dict[bytes, float] = {}

    def run(self, arrivals: Iterable[Arrival], more: int = 0) -> list[Outcome]:
        """Tick until all packets have arrived, then `more` times; return all outcomes so far."""
        for arrival in arrivals:
            while self.now <= arrival.arrival_s:
                self.tick()
            self.buffer.push(arrival)
            self._arrivals[arrival.payload] = arrival.arrival_s
        for _ in range(more):
            self.tick()
        return self.outcomes

    def tick(self) -> Outcome:
        self.depths.append(self.buffer.depth_frames)
        outcome = self.buffer.pop(self.now)
        if isinstance(outcome, Play):
            first = outcome.payloads[0]
            self.waits_s.append(self.now - self._arrivals.get(first, self.now))
        self.outcomes.append(outcome)
        self.now += TICK_S
        return outcome

    @property
    def played(self) -> list[int]:
        """The numbers of the packets played, in order."""
        plays = (outcome for outcome in self.outcomes if isinstance(outcome, Play))
        return [number_of(each) for play in plays for each in play.payloads]

    @property
    def kinds(self) -> str:
        """The outcomes as letters: Play, Continue (+), Conceal, Idle."""
        letters = {Play: "P", Continue: "+", Conceal: "C", Idle: "I"}
        return "".join(letters[type(outcome)] for outcome in self.outcomes)

    @property
    def statistics(self) -> JitterStatistics:
        return self.buffer.statistics()


def through(network: Network, count: int, first: int = 0) -> Iterator[Arrival]:
    """Send `count` packets through a network."""
    sent = ((number * TICK_S, packet(first + number)) for number in range(count))
    for arrival_s, each in network.carry(sent):
        yield replace(each, arrival_s=arrival_s)


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
    talk[9] = replace(talk[9], payload=pause)
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
    """What a stall left above the target is trimmed: silence soon, voice after three seconds."""
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
    """After a second of it; a frame taken ahead costs nothing, and the next is not due at once."""
    player = Player(JitterBuffer(min_frames=1))
    slow = [packet(n, arrival_s=n * TICK_S + 0.06) for n in range(10)]
    player.run([*slow, *map(packet, range(10, 320))])
    assert player.statistics.trimmed == 0
    taken = 0
    assert player.buffer.steering == -1
    for number in range(320, 700):
        player.run([packet(number)])
        if player.buffer.steering < 0:
            more = player.buffer.ahead(player.now - TICK_S)
            taken += more is not None
            assert more is None or player.buffer.ahead(player.now - TICK_S) is None
    statistics = player.statistics
    assert (taken, statistics.trimmed, statistics.late) == (statistics.compressed, 0, 0)
    assert taken == 3
    assert player.waits_s[-1] < 0.03


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
