"""Gains and places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.gain import factor, pan_mono, pan_stereo


@pytest.mark.parametrize(("gain_db", "expected"), [(0, 1), (20, 10), (-20, 0.1), (-60, 0.001)])
def test_20_db_are_a_factor_of_ten(gain_db: float, expected: float) -> None:
    """And 0 dB change nothing at all."""
    assert factor(gain_db) == pytest.approx(expected)
    assert factor(0.0) == 1.0


@given(st.floats(-1, 1))
def test_power_is_the_same_everywhere(pan: float) -> None:
    """Left and right together, wherever a voice stands."""
    left, right = pan_mono(pan)
    assert left**2 + right**2 == pytest.approx(2)
    assert left >= 0
    assert right >= 0


def test_the_ends_are_one_side_alone() -> None:
    """Nothing is left on the other."""
    np.testing.assert_allclose([pan_mono(-1), pan_mono(1)], [[2**0.5, 0], [0, 2**0.5]])


def test_the_middle_is_unity() -> None:
    """Exactly, so that samples pass unchanged."""
    assert pan_mono(0.0) == pan_stereo(0.0) == (1.0, 1.0)


@given(st.floats(-1, 1))
def test_a_balance_turns_one_side_down(pan: float) -> None:
    """The side a stereo voice is moved to stays, the other falls."""
    left, right = pan_stereo(pan)
    assert max(left, right) == pytest.approx(1)
    assert (left < right) == (pan > 0) or pan == pytest.approx(0, abs=1e-6)
