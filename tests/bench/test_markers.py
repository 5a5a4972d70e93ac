"""Markers from ear to ear: which is which, whatever the delay does."""

import numpy as np
import pytest

from bench.eartap import Tapped, origin_s
from bench.markers import delays_s, marked_sound, onsets_s
from mixer.types import SAMPLE_RATE

COUNT = 20
SOUND = marked_sound(COUNT)


def test_chirps_are_found_where_they_are() -> None:
    """As many as there are, to the millisecond, however quiet."""
    found = onsets_s(Tapped(SOUND, 100.0))
    quieter = onsets_s(Tapped((SOUND * 0.1).astype(np.int16), 100.0))
    assert len(found) == COUNT
    assert quieter == pytest.approx(found, abs=0.001)
    assert (np.abs(found - 100.0 - np.arange(COUNT) - 0.5) < 0.36).all()


def test_noise_is_no_marker() -> None:
    """Nothing is found where nothing was said, nor in nothing."""
    noise = np.random.default_rng(3).normal(0, 300, 5 * SAMPLE_RATE).astype(np.int16)
    assert not len(onsets_s(Tapped(noise, 0.0)))
    assert not len(onsets_s(Tapped(noise[:100], 0.0)))


@pytest.mark.parametrize("delay", [0.3, 1.27, 6.9, 11.2])
def test_a_delay_longer_than_the_spacing(delay: float) -> None:
    """Markers that were said before or are missing do not confuse which is which."""
    given = onsets_s(Tapped(SOUND, 0.0))
    heard = np.delete(given + delay, 7)
    found = delays_s(given[2:15], heard, 12.0)
    assert len(found) == 12
    assert found == pytest.approx([delay] * 12, abs=1e-6)


def test_a_delay_that_wanders() -> None:
    """A player that catches up is followed."""
    given = onsets_s(Tapped(SOUND, 0.0))
    delays = np.linspace(2.5, 1.2, COUNT)
    assert delays_s(given, given + delays, 5.0) == pytest.approx(delays.tolist())


def test_nothing_heard() -> None:
    """No delay, and no error."""
    given = onsets_s(Tapped(SOUND, 0.0))
    assert delays_s(given, np.zeros(0), 5.0) == []
    assert delays_s(np.zeros(0), given, 5.0) == []
    assert delays_s(given, given - 100.0, 5.0) == []


def test_the_clock_of_a_tap() -> None:
    """Chunks that came late do not move it."""
    frames = [4800 * number for number in range(20)]
    times = [1e6 + frame / 48 for frame in frames]
    times[3] += 80
    times[9] += 45
    assert origin_s(frames, times) == pytest.approx(1000.0)
    assert origin_s([], []) == 0.0
