"""Automatic gain."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.agc import DOWN_DB, MAX_CHANGE_DB, UP_DB, Agc

NOISE = -65.0


def speech(level: float, seconds: float, seed: int = 1) -> list[float]:
    """Return levels of ticks: words of a third of a second, gaps of a tenth at room noise."""
    random = np.random.default_rng(seed)
    ticks = int(seconds * 50)
    return [
        NOISE + random.normal() if tick % 22 >= 17 else level + 2 * random.normal()
        for tick in range(ticks)
    ]


def after(agc: Agc, levels: list[float]) -> float:
    """Return the gain after these levels."""
    for level in levels:
        agc.follow(level)
    return agc.gain_db


@pytest.mark.parametrize(("level", "gain"), [(-32, 10), (-22, 0), (-16, -6)])
def test_speech_comes_to_the_target(level: float, gain: float) -> None:
    """Within ten seconds, to 2 dB."""
    assert after(Agc(-22), speech(level, 10)) == pytest.approx(gain, abs=2)


@pytest.mark.parametrize(("level", "gain"), [(-45, MAX_CHANGE_DB), (-1, -MAX_CHANGE_DB)])
def test_the_gain_is_bounded(level: float, gain: float) -> None:
    """12 dB up or down and no more."""
    assert after(Agc(-22), speech(level, 30)) == pytest.approx(gain)


@given(st.lists(st.floats(-127, 0), min_size=2, max_size=300), st.floats(-40, -6))
def test_the_gain_moves_slowly(levels: list[float], target: float) -> None:
    """Whatever comes: no step is larger than 6 dB a second, none goes beyond the bounds."""
    agc = Agc(target)
    gains = [0.0, *(agc.follow(level) for level in levels)]
    for before, now in pairwise(gains):
        assert -DOWN_DB - 1e-9 <= now - before <= UP_DB + 1e-9
        assert abs(now) <= MAX_CHANGE_DB


@pytest.mark.parametrize("level", [-30.0, -45.0, -60.0, -127.0])
def test_noise_is_not_lifted(level: float) -> None:
    """A minute of anything that does not rise above itself: a fan, a hum, silence."""
    random = np.random.default_rng(2)
    assert after(Agc(-12), list(level + random.normal(size=3_000))) == 0.0


def test_pauses_leave_the_gain_where_it_was() -> None:
    """Half a minute of room noise after speech changes nothing."""
    agc = Agc(-22)
    gain = after(agc, speech(-30, 10))
    assert gain > 5
    assert after(agc, [NOISE] * 1_500) == gain


def test_a_new_target_is_gone_to() -> None:
    """From where the gain is."""
    agc = Agc(-22)
    after(agc, speech(-22, 10))
    agc.target_dbov = -28
    assert after(agc, speech(-22, 10)) == pytest.approx(-6, abs=2)
