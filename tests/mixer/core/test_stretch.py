"""Sound made shorter or longer by a period."""

import numpy as np
import pytest

from mixer.core.stretch import (
    FADE,
    GOOD,
    MAX_PERIOD,
    MIN_PERIOD,
    PATIENT_TICKS,
    QUIET_RMS,
    _sums,
    cut,
    is_quiet,
    least_likeness,
    lengthen,
    shorten,
)
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
    pcm = voice(hertz, 3840)
    before, here, after = pcm[:960], pcm[960:2880], pcm[2880:]
    usual = np.abs(np.diff(pcm.astype(int))).max()
    for changed in (shorten(here), lengthen(before, here)):
        joined = np.concatenate((before, changed, after)).astype(int)
        assert np.abs(np.diff(joined)).max() <= 1.1 * usual
        assert changed[0] == here[0]
        assert abs(int(changed[-1]) - here[-1]) <= 0.1 * usual


def test_the_sides_of_stereo_do_not_hide_each_other() -> None:
    """A voice that cancels in the sum is cut by its period all the same; hiss is not cut."""
    mono = voice(160, 2880)
    wide = np.stack((mono, -mono), axis=1)
    for taken in (1920 - len(shorten(wide[960:])), len(lengthen(wide[:960], wide[960:])) - 1920):
        assert taken % 300 in {0, 1, 299}
        assert taken > 0
    hiss = noise(2880, 3000.0)
    hiss = np.stack((hiss, -hiss), axis=1)
    assert len(shorten(hiss[960:])) == 1920


def test_a_chord_is_cut_where_its_tones_meet() -> None:
    """Three tones whose common period is too long are alike again before it, to the ear."""
    at = np.arange(1920) / 48_000
    tones = [4000 * np.sin(2 * np.pi * hertz * at) for hertz in (261.6, 329.6, 392.0)]
    chord = np.sum(tones, axis=0)
    shorter = shorten(chord.astype(np.int16))
    assert len(shorter) < 1920
    assert np.abs(np.diff(shorter.astype(int), 2)).max() < 40


def test_a_pause_is_taken_before_what_is_said() -> None:
    """Of hiss and the quiet behind it, the quiet is cut."""
    pcm = np.concatenate((noise(900, 3000.0), noise(1020, 20.0)))
    shorter = shorten(pcm, 300)
    assert 1920 - 300 <= len(shorter) <= 1920 - MIN_PERIOD
    np.testing.assert_array_equal(shorter[:880], pcm[:880])


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


def test_who_waited_long_takes_any_place() -> None:
    """So that the delay does not stay for as long as nothing repeats."""
    hiss = noise(2880, 3000.0)
    assert least_likeness(PATIENT_TICKS) == GOOD
    assert least_likeness(PATIENT_TICKS + 10) < GOOD
    least = least_likeness(2 * PATIENT_TICKS + 6)
    assert least == 0
    assert 960 <= len(shorten(hiss[960:], least=least)) <= 1920 - MIN_PERIOD
    assert len(lengthen(hiss[:960], hiss[960:], least=least)) >= 1920 + MIN_PERIOD


@pytest.mark.parametrize("channels", [1, 2])
def test_quiet_is_what_room_noise_is(channels: int) -> None:
    """In any number of channels."""
    for rms, quiet in ((QUIET_RMS * 0.8, True), (QUIET_RMS * 1.2, False)):
        assert is_quiet(noise(960 * channels, rms).reshape(960, channels)) is quiet


def test_sums_are_exact() -> None:
    """At full scale as well: floating point adds whole numbers, so that no order matters."""
    rng = np.random.default_rng(3)
    coarse = rng.choice([-(2**15) * 12, 2**15 * 12 - 1], size=(2, 320))
    squares = (coarse * coarse).sum(axis=0)
    exact = np.convolve(squares, np.ones(40, np.int64), mode="valid")
    np.testing.assert_array_equal(_sums(squares.astype(np.float64), 40), exact)


@pytest.mark.parametrize("seed", range(30))
def test_odd_lengths_are_cut_within_bounds(seed: int) -> None:
    """Whatever is asked of whatever there is."""
    rng = np.random.default_rng(seed)
    before, pcm = noise(int(rng.integers(0, 1000)), 500), noise(int(rng.integers(0, 3000)), 900)
    at_most, least = int(rng.integers(0, 1200)), float(rng.random() * 0.3)
    shorter, longer = (
        shorten(pcm, at_most, least=least),
        lengthen(before, pcm, at_most, least=least),
    )
    for changed in (len(pcm) - len(shorter), len(longer) - len(pcm)):
        assert changed == 0 or MIN_PERIOD <= changed <= min(at_most, MAX_PERIOD)


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


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [1, 100, 479])
def test_a_cut_leaves_out_as_much_as_is_told(samples: int, channels: int) -> None:
    """It begins as it did and ends as it did: what stands between is faded over 10 ms."""
    pcm = noise((960 + samples) * channels, QUIET_RMS / 2).reshape(-1, channels)
    pcm = pcm[:, 0] if channels == 1 else pcm
    shorter = cut(pcm, samples)
    assert shorter.shape == (960, *pcm.shape[1:])
    np.testing.assert_array_equal(shorter[FADE:], pcm[FADE + samples :])
    assert np.abs(shorter[:5] - pcm[:5].astype(int)).max() <= 0.02 * np.abs(pcm).max() + 1
