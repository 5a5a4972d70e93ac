"""A voice led in and out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mixer.core.mix import ramp


@pytest.mark.parametrize("samples", [480, 960, 2000])
def test_a_ramp_leads_from_one_gain_to_the_other(samples: int) -> None:
    """The gain moves in equal steps for `samples`, then stays; a short frame cuts it off."""
    gain = ramp(np.full(960, 10_000, np.int16), 0.0, 1.0, samples) / 10_000
    assert gain[0] == pytest.approx(0.5 / samples, abs=1e-4)
    assert np.abs(np.diff(gain)[: samples - 1] - 1 / samples).max() < 2e-4
    assert (gain[samples:] == 1.0).all()


@given(hnp.arrays(np.int16, st.integers(0, 50)), st.floats(0, 1), st.floats(0, 1))
def test_a_ramp_never_wraps(frame: NDArray[np.int16], start: float, stop: float) -> None:
    """Between gains of 0 and 1 every sample keeps its sign and grows no larger."""
    ramped = ramp(frame, start, stop, 20).astype(np.int32)
    assert (np.abs(ramped) <= np.abs(frame.astype(np.int32))).all()
    assert (ramped * frame >= 0).all()


def test_a_ramp_leaves_its_input_alone() -> None:
    """The frame that was faded can still be used."""
    frame = np.full(960, 7, np.int16)
    ramp(frame, 1.0, 0.0)
    assert (frame == 7).all()


def test_both_channels_are_led_alike() -> None:
    """A stereo frame's sides are each what they would be alone."""
    sides = np.arange(1920, dtype=np.int16).reshape(960, 2)
    ramped = ramp(sides, 1.0, 0.0)
    for side in (0, 1):
        np.testing.assert_array_equal(ramped[:, side], ramp(sides[:, side], 1.0, 0.0))
