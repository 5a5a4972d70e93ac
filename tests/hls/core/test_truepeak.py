import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly  # type: ignore[attr-defined]

from hls.core.truepeak import MOST_ABOVE, REACH, block_peaks


def around(sound: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return it as `block_peaks` takes it, with silence on either side."""
    planar = np.pad(np.atleast_2d(sound), ((0, 0), (REACH, REACH)))
    return np.ascontiguousarray(planar, np.float32)


def test_between_samples() -> None:
    """A sine at a quarter of the rate, sampled beside its peaks, is found to rise 3 dB above."""
    sound = np.sin(np.pi / 2 * np.arange(640) + np.pi / 4)
    assert np.abs(sound).max() == pytest.approx(0.7071, abs=1e-4)
    assert block_peaks(around(sound))[2:-2] == pytest.approx(np.ones(6), abs=0.005)


def test_as_another_oversampler() -> None:
    """Noise below 20 kHz peaks where scipy's resampler says, at four times the rate."""
    noise = np.random.default_rng(3).standard_normal(6400)
    sound = resample_poly(resample_poly(noise, 5, 6), 6, 5)[:6400]
    expected = np.abs(resample_poly(sound, 4, 1)).reshape(-1, 256).max(axis=1)
    assert block_peaks(around(sound))[2:-2] == pytest.approx(expected[2:-2], rel=0.06)


def test_no_peak_is_missed() -> None:
    """One on a sample, and one between two blocks (which belongs to both)."""
    sound = np.zeros(192)
    sound[100] = 0.5
    assert block_peaks(around(sound))[1] == 0.5
    sound = np.zeros(192)
    sound[63:65] = 0.5
    first, second, third = block_peaks(around(sound))
    assert first == second > 0.6
    assert third < 0.1


def test_channels() -> None:
    """The louder one counts."""
    quiet, loud = np.full(128, 0.1), np.full(128, 0.4)
    assert block_peaks(around(np.array([quiet, loud]))) == pytest.approx(
        block_peaks(around(loud)), rel=1e-6
    )


def test_bound() -> None:
    """Even the worst samples rise no higher than MOST_ABOVE times themselves."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        sound = rng.choice([-1.0, 1.0], 640)
        assert block_peaks(around(sound)).max() <= MOST_ABOVE < 2.5
