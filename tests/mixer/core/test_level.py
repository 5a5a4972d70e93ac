"""Levels in dBov."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mixer.core.level import level_dbov, levels_dbov


@pytest.mark.parametrize(
    ("amplitude", "expected"), [(32_767, -3), (3_277, -23), (328, -43), (26, -65)]
)
def test_a_tone_is_3_db_below_its_peak(amplitude: int, expected: int) -> None:
    """0 dBov is a square wave at full scale, so a full-scale sine has -3."""
    tone = amplitude * np.sin(2 * np.pi * 1_000 * np.arange(960) / 48_000)
    assert level_dbov(np.rint(tone).astype(np.int16)) == expected


@pytest.mark.parametrize(("sample", "expected"), [(-32_768, 0), (32_767, 0), (1, -90), (0, -127)])
def test_the_scale_ends_at_0_and_minus_127(sample: int, expected: int) -> None:
    """Overload is 0, digital silence -127, and the smallest step -90."""
    assert level_dbov(np.full(960, sample, np.int16)) == expected


def test_nothing_is_silent() -> None:
    """A frame without samples has the lowest level."""
    assert level_dbov(np.zeros(0, np.int16)) == -127


@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_rows_have_the_levels_of_their_frames(frames: NDArray[np.int16]) -> None:
    """Levels of many frames are those of each, and within the scale."""
    levels = levels_dbov(frames)
    assert np.abs(levels - [level_dbov(frame) for frame in frames]).max() <= 1
    assert ((levels <= 0) & (levels >= -127)).all()
