"""Sound for loops: no seam, the right pitch, the right loudness."""

import numpy as np
import pyloudnorm
import pytest
from numpy.typing import NDArray

from hls.core.loopsound import LEAST_SAMPLES, grid_frames, levelled, loudness_lufs, on_grid
from hls.core.loudness import SILENCE_LUFS
from hls.core.timeline import AAC_SAMPLES


def tone(samples: int, periods: int, amplitude: float = 8000.0) -> NDArray[np.int16]:
    """Return a sine that goes on into its own beginning, int16[samples, 1]."""
    phase = 2 * np.pi * periods * np.arange(samples) / samples
    return np.rint(amplitude * np.sin(phase)).astype(np.int16)[:, None]


def looped(sound: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return its frames, int16[frames, 1024, channels]."""
    return np.stack(list(on_grid(sound)))


def test_what_fits_is_not_touched() -> None:
    """A sound of whole frames comes back as it was."""
    sound = tone(500 * AAC_SAMPLES, 4321)
    assert (looped(sound).reshape(-1, 1) == sound).all()


@pytest.mark.parametrize("samples", [LEAST_SAMPLES, 48_000 * 13 + 511, 48_000, 1000, 1])
def test_the_end_goes_on_into_the_beginning(samples: int) -> None:
    """Whatever its length: over the seam the sine is as smooth as anywhere."""
    loop = looped(tone(samples, samples // 100)).reshape(-1)
    assert len(loop) >= LEAST_SAMPLES - AAC_SAMPLES
    assert len(loop) == grid_frames(samples) * AAC_SAMPLES
    twice = np.concatenate((loop, loop)).astype(np.int64)
    bends = np.abs(np.diff(twice, 2))
    around = bends[len(loop) - 40 : len(loop) + 40].max()
    assert around <= bends[1000:-1000].max()
    assert around < 60 or samples == 1


def test_it_is_fitted_cleanly() -> None:
    """A tone of 10 kHz keeps its pitch, and what is added lies 60 dB below."""
    loop = looped(tone(48_000 * 11 + 300, 110_000)).reshape(-1).astype(float)
    spectrum = np.abs(np.fft.rfft(loop)) ** 2
    at = int(spectrum.argmax())
    assert at * 48_000 / len(loop) == pytest.approx(10_000, rel=0.0012)
    assert 10 * np.log10(spectrum[at] / (spectrum.sum() - spectrum[at])) > 60


def test_both_channels() -> None:
    """Each stays what it is."""
    left, right = tone(LEAST_SAMPLES + 77, 3000), tone(LEAST_SAMPLES + 77, 500)
    loop = looped(np.concatenate((left, right), axis=1))
    for side, alone in enumerate((left, right)):
        beside = loop[:, :, side].astype(int) - looped(alone)[:, :, 0]
        assert np.abs(beside).max() <= 1  # sums of floats in another order


@pytest.mark.parametrize("channels", [1, 2])
def test_the_loudness(channels: int) -> None:
    """As another meter reads it, before and after."""
    rng = np.random.default_rng(11)
    sound = rng.normal(0, 900, (600 * AAC_SAMPLES, channels)).round().astype(np.int16)
    loop = sound.reshape(600, AAC_SAMPLES, channels)
    meter = pyloudnorm.Meter(48_000)
    before = loudness_lufs(loop)
    assert before == pytest.approx(meter.integrated_loudness(sound / 32_768), abs=0.1)
    made = np.stack(list(levelled(loop, before, -20.0)))
    after = meter.integrated_loudness(made.reshape(-1, channels) / 32_768)
    assert after == pytest.approx(-20, abs=0.1)


def test_peaks_are_held_down() -> None:
    """One gain for all of it, but where peaks would be too high; also over the seam."""
    loop = tone(300 * AAC_SAMPLES, 9000, 700.0).reshape(300, AAC_SAMPLES, 1)
    loop[0, :100] *= 20
    loop[200, 300:400] *= 20
    made = np.stack(list(levelled(loop, -30.0, -16.0)))
    gain = made[100].max() / loop[100].max()
    assert 20 * np.log10(gain) == pytest.approx(14, abs=0.1)
    assert 20 * np.log10(made.max() / 32_768) < -2
    assert made[199, -1, 0] / loop[199, -1, 0] == pytest.approx(gain, rel=0.05)
    assert np.abs(made[-1, -64:]).max() < 0.9 * gain * np.abs(loop[-1, -64:]).max()


def test_silence_stays_silent() -> None:
    """There is nothing to be brought to a loudness."""
    loop = np.zeros((20, AAC_SAMPLES, 1), np.int16)
    assert loudness_lufs(loop) == SILENCE_LUFS
    assert not np.stack(list(levelled(loop, SILENCE_LUFS, -16.0))).any()
