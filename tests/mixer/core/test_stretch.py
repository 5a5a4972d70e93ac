"""Speech made shorter or longer by a pitch period."""

import numpy as np
import pytest

from mixer.core.stretch import FADE, MAX_PERIOD, MIN_PERIOD, lengthen, shorten
from mixer.types import Int16Frame


def voice(hertz: float, samples: int = 1920, channels: int = 1) -> Int16Frame:
    """Return a buzz with the harmonics of a voice."""
    at = np.arange(samples) / 48_000
    parts = [np.sin(2 * np.pi * hertz * n * at + n * n) / n for n in range(1, 15)]
    mono = (5000 * np.sum(parts, axis=0)).astype(np.int16)
    return mono if channels == 1 else np.stack([mono // (n + 1) for n in range(channels)], axis=1)


def noise(samples: int, rms: float) -> Int16Frame:
    return (np.random.default_rng(5).standard_normal(samples) * rms).astype(np.int16)


def harmonic_share(pcm: Int16Frame, hertz: float) -> float:
    """Return the share of the power at multiples of `hertz`: less where there is a seam."""
    windowed = pcm * np.hanning(len(pcm))
    power = np.abs(np.fft.rfft(windowed)) ** 2
    at = np.arange(len(power)) * 48_000 / len(pcm)
    off = np.abs((at + hertz / 2) % hertz - hertz / 2)
    return float(power[off < 60].sum() / power.sum())


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("hertz", [70, 101, 160, 230, 390])
def test_whole_periods_are_left_out_and_said_again(hertz: float, channels: int) -> None:
    """Voices of all pitches; what comes out is as harmonic as what went in."""
    pcm = voice(hertz, 2880, channels)
    before, after = pcm[:960], pcm[960:]
    shorter, longer = shorten(after), lengthen(before, after)
    for taken in (len(after) - len(shorter), len(longer) - len(after)):
        periods = taken / (48_000 / hertz)
        assert MIN_PERIOD <= taken <= MAX_PERIOD
        assert periods == pytest.approx(round(periods), abs=0.03)
    for changed in (shorter, longer):
        assert changed.dtype == np.int16
        assert changed.shape[1:] == pcm.shape[1:]
        whole = np.concatenate((before, changed))
        mono = whole if channels == 1 else whole[:, 0]
        assert harmonic_share(mono, hertz) > 0.99


@pytest.mark.parametrize("hertz", [101, 230])
def test_the_ends_stay(hertz: float) -> None:
    """What was played before and what comes after join without a step."""
    pcm = voice(hertz, 2880)
    before, after = pcm[:960], pcm[960:]
    usual = np.abs(np.diff(pcm.astype(int))).max()
    for changed in (shorten(after), lengthen(before, after)):
        joined = np.concatenate((before, changed)).astype(int)
        assert np.abs(np.diff(joined)).max() <= 1.1 * usual
        np.testing.assert_array_equal(changed[-400:], after[-400:])


def test_what_does_not_repeat_stays_as_it_is() -> None:
    """Hiss has no period: a seam would be heard."""
    hiss = noise(2880, 3000.0)
    np.testing.assert_array_equal(shorten(hiss[960:]), hiss[960:])
    np.testing.assert_array_equal(lengthen(hiss[:960], hiss[960:]), hiss[960:])


@pytest.mark.parametrize("rms", [0.0, 30.0])
def test_in_room_noise_any_period_is_good_enough(rms: float) -> None:
    """Silence included."""
    room = noise(2880, rms)
    assert len(shorten(room[960:])) <= 1920 - MIN_PERIOD
    assert len(lengthen(room[:960], room[960:])) >= 1920 + MIN_PERIOD


@pytest.mark.parametrize("at_most", [0, MIN_PERIOD - 1, MIN_PERIOD, 300, 10_000])
def test_no_more_is_left_out_than_allowed(at_most: int) -> None:
    """If the allowed is less than any period, nothing."""
    taken = 1920 - len(shorten(noise(1920, 10.0), at_most))
    assert taken <= at_most
    assert (taken >= MIN_PERIOD) == (at_most >= MIN_PERIOD)


def test_what_is_too_short_stays_as_it_is() -> None:
    """There must be a period and a fade."""
    short = voice(200, MIN_PERIOD + FADE - 1)
    assert len(shorten(short)) == len(short)
    assert len(lengthen(voice(200), short[: FADE - 1])) == FADE - 1
    assert len(lengthen(short[: MIN_PERIOD - 1], voice(200))) == 1920


def test_full_scale_does_not_wrap() -> None:
    """The fade stays between its sides."""
    loud = np.where(np.arange(2880) // 120 % 2, 32767, -32768).astype(np.int16)
    for changed in (shorten(loud[960:]), lengthen(loud[:960], loud[960:])):
        assert len(changed) != 1920
        assert set(np.unique(changed)) == {-32768, 32767}
