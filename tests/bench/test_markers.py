"""Markers from ear to ear: which is which, whatever the delay does."""

import numpy as np
import pytest

from bench.eartap import Tapped, tapped_at
from bench.markers import KINDS, SPACING_S, Onset, delays_s, marked_sound, onsets
from mixer.types import SAMPLE_RATE

SOUND = marked_sound(KINDS - 1)


def test_markers_are_found_where_they_are() -> None:
    """As many as there are, of the kind they are, to the millisecond, however quiet."""
    found = onsets(tapped_at(SOUND, 100.0))
    quieter = onsets(tapped_at((SOUND * 0.1).astype(np.int16), 100.0))
    assert [one.kind for one in found] == [*range(KINDS)]
    assert [one.kind for one in quieter] == [one.kind for one in found]
    expected = [100.4 + number * SPACING_S for number in range(KINDS)]
    assert [one.at_s for one in found] == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("inside_s", [0.04, 0.05, 0.06, 0.07])
def test_a_marker_with_a_cut_in_it(inside_s: float) -> None:
    """A jitter buffer that catches up cuts 15 ms out of some: they are known all the same."""
    cut, kept, at = SAMPLE_RATE * 15 // 1000, [], 0
    for number in range(0, KINDS, 3):
        here = int((number * SPACING_S + 0.4 + inside_s) * SAMPLE_RATE)
        kept.append(SOUND[at:here])
        at = here + cut
    found = onsets(tapped_at(np.concatenate([*kept, SOUND[at:]]), 0.0))
    assert [one.kind for one in found] == [*range(KINDS)]
    expected = [0.4 + number * SPACING_S - 0.015 * (number // 3) for number in range(KINDS)]
    assert [one.at_s for one in found] == pytest.approx(expected, abs=0.016)


def test_noise_is_no_marker() -> None:
    """Nothing is found where nothing was said, nor in nothing."""
    noise = np.random.default_rng(3).normal(0, 300, 5 * SAMPLE_RATE).astype(np.int16)
    assert onsets(tapped_at(noise, 0.0)) == []
    assert onsets(tapped_at(noise[:100], 0.0)) == []


def test_each_marker_has_its_own_delay() -> None:
    """It may leap from one to the next, and what is missing confuses nobody."""
    given = [Onset(float(second), second % KINDS) for second in range(2 * KINDS)]
    delays = np.random.default_rng(9).uniform(0.2, 11.0, len(given)).tolist()
    heard = [
        Onset(one.at_s + delay, one.kind)
        for one, delay in zip(given, delays, strict=True)
        if one.at_s != 4.0
    ]
    del delays[4]
    assert delays_s(given, heard, 12.0) == pytest.approx(delays)


def test_too_late_is_not_heard() -> None:
    """What was said before, or comes later than is looked for, is no delay."""
    assert delays_s([Onset(5.0, 1)], [Onset(4.0, 1), Onset(11.0, 1)], 5.0) == []
    assert delays_s([], [Onset(4.0, 1)], 5.0) == delays_s([Onset(4.0, 1)], [], 5.0) == []


def test_the_clock_of_a_tap() -> None:
    """Chunks that came late do not move it, what was left out does."""
    starts = 4800 * np.arange(40)
    times = 1000.0 + starts / SAMPLE_RATE
    times[[3, 9]] += 0.08
    times[20:] += 2.5
    tapped = Tapped(np.zeros(40 * 4800, np.int16), starts, times)
    for sample, at_s in ((0, 1000.0), (48_000, 1001.0), (150_000, 1005.625)):
        assert tapped.at_s(sample) == pytest.approx(at_s)
