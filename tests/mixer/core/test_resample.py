"""Resampling, judged by spectrum."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.core.resample import FACTOR, Decimator, Interpolator

Pcm = NDArray[np.int16]


def sine(hertz: float, rate: int, seconds: float = 1.0) -> Pcm:
    t = np.arange(round(seconds * rate)) / rate
    return np.round(10_000 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def level_db(pcm: Pcm, hertz: float, rate: int) -> float:
    """The level of one frequency relative to what `sine` has."""
    kept = pcm[len(pcm) // 4 :].astype(np.float64)
    window = np.blackman(len(kept))
    t = np.arange(len(kept)) / rate
    amplitude = 2 * np.abs(np.sum(kept * window * np.exp(-2j * np.pi * hertz * t))) / window.sum()
    return float(20 * np.log10(max(amplitude, 1e-6) / 10_000))


def down(pcm: Pcm, step: int = 960) -> Pcm:
    decimator = Decimator()
    return np.concatenate([decimator.push(pcm[at : at + step]) for at in range(0, len(pcm), step)])


def up(pcm: Pcm, step: int = 160) -> Pcm:
    interpolator = Interpolator()
    return np.concatenate(
        [interpolator.push(pcm[at : at + step]) for at in range(0, len(pcm), step)]
    )


@pytest.mark.parametrize("hertz", [100, 1000, 3000, 3400])
def test_speech_passes_both_ways(hertz: float) -> None:
    """Within 0.7 dB over telephony's band."""
    assert level_db(down(sine(hertz, 48_000)), hertz, 8_000) == pytest.approx(0, abs=0.7)
    assert level_db(up(sine(hertz, 8_000)), hertz, 48_000) == pytest.approx(0, abs=0.7)


@pytest.mark.parametrize("hertz", [4600, 5000, 7000, 15_000])
def test_what_8_khz_cannot_hold_does_not_come_back_as_something_else(hertz: float) -> None:
    """Its alias is 60 dB down."""
    alias = abs(hertz - 8_000 * round(hertz / 8_000))
    assert level_db(down(sine(hertz, 48_000)), alias, 8_000) < -60


@pytest.mark.parametrize("hertz", [1000, 3000])
def test_going_up_makes_no_images(hertz: float) -> None:
    """The mirror of a tone around 8 kHz is 60 dB down."""
    made = up(sine(hertz, 8_000))
    for image in (8_000 - hertz, 8_000 + hertz, 16_000 - hertz):
        assert level_db(made, image, 48_000) < -60


def test_frames_make_no_seams() -> None:
    """Whatever the frames' length, the stream is the same."""
    wide, narrow = sine(440, 48_000), sine(440, 8_000)
    assert (down(wide, 960) == down(wide, 96)).all()
    assert (up(narrow, 160) == up(narrow, 4)).all()


def test_full_scale_does_not_wrap() -> None:
    """What overshoots is clipped."""
    square = np.where(np.arange(1600) // 8 % 2, 32_767, -32_768).astype(np.int16)
    made = up(square)
    assert made.max() == 32_767
    assert made.min() == -32_768
    assert np.abs(np.diff(made.astype(np.int32))).max() < 40_000
    assert len(made) == FACTOR * len(square)
