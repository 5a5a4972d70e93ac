"""What a jitter buffer hands out, as sound."""

from collections.abc import Callable

import numpy as np
import pytest

from mixer.core.jitter import Arrival, JitterBuffer
from mixer.core.toc import has_fec
from mixer.opus import Application, Decoder, Encoder
from mixer.room.playout import Playout
from mixer.types import FRAME_SAMPLES, TICK_S, Int16Frame

Delay = Callable[[int], float | None]


def buzz(count: int) -> Int16Frame:
    """Return a voice of 120 Hz that says the same syllable again and again: int16[count, 960]."""
    at = np.arange(count * FRAME_SAMPLES) / 48_000
    wave = sum(np.sin(2 * np.pi * 120 * n * at + n * n) / n for n in range(1, 20))
    return (
        (5000 * wave * (0.3 + 0.7 * np.sin(2 * np.pi * 3 * at) ** 2))
        .astype(np.int16)
        .reshape(count, FRAME_SAMPLES)
    )


def encoded(count: int, channels: int = 1) -> list[bytes]:
    encoder = Encoder(
        channels=channels, application=Application.VOIP, bitrate_bps=24_000, complexity=5
    )
    encoder.set_fec(enabled=True)
    encoder.set_expected_loss(20)
    return [encoder.encode(np.repeat(frame, channels)) for frame in buzz(count)]


PACKETS = encoded(900)


class Line:
    """A playout at the end of a network that delays or loses packets."""

    def __init__(self, delay: Delay, *, channels: int = 1) -> None:
        self.buffer = JitterBuffer()
        self.playout = Playout(self.buffer, channels=channels)
        self.frames: list[Int16Frame | None] = []
        self._delay = delay

    def run(self, packets: list[bytes], ticks: int) -> list[Int16Frame | None]:
        """Return the frames of `ticks` ticks, each 12 ms after a packet was sent."""
        waiting = []
        for number, payload in enumerate(packets):
            delay_s = self._delay(number)
            if delay_s is not None:
                arrival_s = number * TICK_S + delay_s
                waiting.append(Arrival(number, number * 960, payload, arrival_s, silent=False))
        waiting.sort(key=lambda each: each.arrival_s, reverse=True)
        for tick in range(ticks):
            now = tick * TICK_S + 0.012
            while waiting and waiting[-1].arrival_s <= now:
                self.buffer.push(waiting.pop())
            is_sounding = any(frame is not None for frame in self.frames)
            self.frames.append(self.playout.next(now, sounding=is_sounding))
        return self.frames


def joined(frames: list[Int16Frame | None]) -> Int16Frame:
    return np.concatenate([frame for frame in frames if frame is not None])


def test_a_clean_line_is_decoded_as_it_is() -> None:
    """Not a sample is changed."""
    decoder = Decoder()
    expected = [decoder.decode(packet) for packet in PACKETS[:100]]
    heard = Line(lambda _: 0.0).run(PACKETS[:100], 100)
    np.testing.assert_array_equal(joined(heard), np.concatenate(expected))


def test_delay_that_is_no_longer_needed_is_won_back_unheard() -> None:
    """Sped up by pitch periods: no packet is dropped, and no step is larger than in the voice."""
    line = Line(lambda number: 0.1 if number < 12 else 0.0)
    heard = line.run(PACKETS, 860)
    statistics = line.buffer.statistics()
    assert all(frame is not None and len(frame) == FRAME_SAMPLES for frame in heard[8:])
    assert (statistics.trimmed, statistics.late) == (0, 0)
    assert statistics.compressed >= 4
    assert statistics.expanded <= 1  # what is taken ahead is not waited for again
    assert statistics.played == statistics.received - line.buffer.depth_frames
    usual = np.abs(np.diff(joined(heard[8:200]).astype(int))).max()
    assert np.abs(np.diff(joined(heard[8:]).astype(int))).max() <= 1.25 * usual
    assert line.buffer.depth_frames <= 2


def burst(first: int) -> Delay:
    """Return the delay of a line that holds ten packets up and hands them out at once."""
    return lambda number: max(0.0, first + 10 - number) * TICK_S if number >= first else 0.0


def test_what_never_repeats_is_sped_up_all_the_same() -> None:
    """The surplus of a hiss waits for a second for a place; no packet is dropped."""
    encoder = Encoder(application=Application.AUDIO, bitrate_bps=64_000, complexity=5)
    rng = np.random.default_rng(2)
    hiss = (rng.standard_normal((500, FRAME_SAMPLES)) * 3000).astype(np.int16)
    line = Line(burst(20))
    line.run([encoder.encode(frame) for frame in hiss], 500)
    statistics = line.buffer.statistics()
    assert statistics.trimmed == 0
    assert statistics.compressed >= 3
    assert line.buffer.depth_frames <= 5


def test_a_pause_is_used_before_a_word_is_sped_up() -> None:
    """Between words what is too much is left out at once, as nobody hears it."""
    encoder = Encoder(application=Application.VOIP, bitrate_bps=24_000, complexity=5)
    words = buzz(400)
    words[60:80] = 0
    line = Line(burst(20))
    waiting = [encoder.encode(frame) for frame in words]
    line.run(waiting, 62)
    assert line.buffer.statistics().compressed == 0
    line = Line(burst(20))
    line.run(waiting, 78)
    assert line.buffer.statistics().compressed >= 3


def test_a_little_surplus_waits_for_a_pause() -> None:
    """Less than 10 ms are not worth a seam within a word; they are left out when it is over."""
    playout = Line(lambda _: 0.0).playout
    voice = buzz(4).reshape(-1)
    playout._surplus = 400
    playout._pending = voice[: FRAME_SAMPLES + 400]
    playout._pace(0.0)
    assert playout._surplus == 400
    for surplus in (400, 30):
        playout._surplus = surplus
        playout._pending = np.zeros(FRAME_SAMPLES + surplus, np.int16)
        playout._pace(0.0)
        assert playout._surplus == 0
        assert len(playout._pending) == FRAME_SAMPLES


def test_delay_that_is_needed_is_gained_unheard() -> None:
    """Slowed down by pitch periods: once losses are seen, FEC repairs them."""
    line = Line(lambda number: None if number % 20 == 9 else 0.0)
    line.run(PACKETS[:600], 590)
    statistics = line.buffer.statistics()
    assert statistics.expanded == 1
    assert statistics.lost == 29
    carried = sum(has_fec(PACKETS[n + 1]) for n in range(9, 589, 20))
    assert carried - 2 <= statistics.recovered_fec <= carried
    assert statistics.recovered_fec + statistics.concealed == statistics.lost


def test_a_frame_from_fec_is_better_than_a_made_up_one() -> None:
    """It has the sound of what was lost, not of what was before."""
    at = next(n for n in range(100, 200) if has_fec(PACKETS[n + 1]))
    whole, fec, made_up = Decoder(), Decoder(), Decoder()
    for packet in PACKETS[:at]:
        for decoder in (whole, fec, made_up):
            decoder.decode(packet)
    line = Line(lambda number: None if number == at else 0.0)
    assert len(line.playout._repair(None)) == FRAME_SAMPLES
    line.playout._decoder = fec
    repaired = line.playout._repair(PACKETS[at + 1])
    truth = whole.decode(PACKETS[at])
    np.testing.assert_array_equal(repaired, _fec_of(at))
    assert np.corrcoef(repaired, truth)[0, 1] > 0.9


def _fec_of(at: int) -> Int16Frame:
    decoder = Decoder()
    for packet in PACKETS[:at]:
        decoder.decode(packet)
    return decoder.decode_fec(PACKETS[at + 1])


def test_a_packet_with_broken_fec_is_concealed() -> None:
    """A successor that cannot be decoded is no reason to be silent."""
    playout = Line(lambda _: 0.0).playout
    assert len(playout._repair(b"\x4b\xff\xff")) == FRAME_SAMPLES


def test_a_stereo_line_is_heard_in_stereo() -> None:
    """Frames are int16[960, 2], made longer and shorter as well, and bridged."""
    packets = encoded(400, channels=2)
    line = Line(lambda number: None if number % 20 == 9 else 0.0, channels=2)
    heard = line.run(packets, 420)
    assert all(frame.shape == (FRAME_SAMPLES, 2) for frame in heard if frame is not None)
    assert line.buffer.statistics().expanded == 1
    bridge = line.playout.bridge()
    assert bridge is not None
    assert bridge.shape == (FRAME_SAMPLES, 2)
    assert line.playout.is_empty


def test_a_pause_is_filled_with_the_decoders_noise() -> None:
    """For a second at most, and only if something was heard before."""
    line = Line(lambda _: 0.0)
    heard = line.run([*PACKETS[:50], PACKETS[49][:1]], 130)
    last = max(index for index, frame in enumerate(heard) if frame is not None)
    assert last == 50 + 49


@pytest.mark.parametrize("at", [0, 7])
def test_nothing_leads_out_of_nothing(at: int) -> None:
    """Before the first sound there is no bridge."""
    assert Line(lambda _: None).playout.bridge() is None
    line = Line(lambda _: None)
    assert line.run(PACKETS[:at], 3) == [None] * 3
