"""Sums of voices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mixer.core.mix import mix_minus, ramp

FRAMES = hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(FRAMES)
def test_a_mix_without_oneself_is_the_sum_of_the_others(frames: NDArray[np.int16]) -> None:
    """Exact in every sample, for every voice."""
    total, minus = mix_minus(frames)
    wide = frames.astype(np.int64)
    np.testing.assert_array_equal(total, wide.sum(axis=0))
    for row in range(len(frames)):
        np.testing.assert_array_equal(minus[row], np.delete(wide, row, axis=0).sum(axis=0))


@pytest.mark.parametrize("extreme", [-32_768, 32_767])
def test_ten_thousand_full_scale_voices_do_not_wrap(extreme: int) -> None:
    """The sum of 10,000 extremes is exact in the 32 bits it is returned in."""
    total, minus = mix_minus(np.full((10_000, 4), extreme, np.int16))
    assert total.dtype == minus.dtype == np.int32
    assert (total == 10_000 * extreme).all()
    assert (minus == 9_999 * extreme).all()


def test_nobody_is_silence() -> None:
    """No voices sum up to zeros of the right length."""
    total, minus = mix_minus(np.zeros((0, 960), np.int16))
    assert total.tolist() == [0] * 960
    assert minus.shape == (0, 960)


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
