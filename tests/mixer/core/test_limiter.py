"""The look-ahead limiter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer.core.limiter import (
    CEILING,
    LOOKAHEAD_SAMPLES,
    LimiterState,
    limit,
)

TICK = 960


def tone(ticks: int, amplitude: float, hertz: float = 440.0) -> NDArray[np.int32]:
    """Return a sine as one mix of that many ticks: int32[n]."""
    phase = 2 * np.pi * hertz * np.arange(ticks * TICK) / 48_000
    return np.rint(amplitude * np.sin(phase)).astype(np.int32)


def run(signal: NDArray[np.int32]) -> NDArray[np.int16]:
    """Limit one mix tick by tick."""
    state = LimiterState()
    ticks = signal.reshape(-1, 1, TICK)
    return np.concatenate([limit(tick, [state])[0] for tick in ticks])


def delayed(signal: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the signal as it would leave without limiting."""
    return np.concatenate((np.zeros(LOOKAHEAD_SAMPLES, np.int32), signal))[: len(signal)]


def test_what_stays_under_the_ceiling_is_only_delayed() -> None:
    """Bit for bit, across ticks, up to the ceiling itself."""
    signal = tone(5, CEILING)
    assert np.abs(signal).max() >= CEILING - 1
    np.testing.assert_array_equal(run(signal), delayed(signal))


BLOCKS = st.lists(
    st.tuples(st.integers(-1_310_720, 1_310_720), st.integers(0, TICK - 1)), min_size=1, max_size=6
)


@given(st.lists(BLOCKS, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_nothing_leaves_beyond_full_scale(ticks: list[list[tuple[int, int]]]) -> None:
    """Forty talkers at full scale, in steps and spikes anywhere: never wrapped, never clipped.

    The output is the input times a gain between 0 and 1, so no sign ever turns.
    """
    signal = np.zeros(len(ticks) * TICK, np.int32)
    for number, tick in enumerate(ticks):
        for value, start in tick:
            signal[number * TICK + start : (number + 1) * TICK] = value
            signal[number * TICK + start] = -value
    out, wanted = run(signal).astype(np.int64), delayed(signal).astype(np.int64)
    assert np.abs(out).max() <= CEILING + 1 <= 32_767
    assert (out * wanted >= 0).all()
    assert (np.abs(out) <= np.abs(wanted)).all()


@pytest.mark.parametrize("value", [-(2**31) + 1, 2**31 - 1, -32_768, 32_768])
def test_the_largest_sums_are_held(value: int) -> None:
    """Even what 32 bits just hold comes out at the ceiling, with its sign."""
    out = run(np.full(2 * TICK, value, np.int32))
    settled = out[LOOKAHEAD_SAMPLES + 48 :]
    assert np.abs(settled).max() <= CEILING
    assert (np.sign(settled) == np.sign(value)).all()


def test_the_gain_is_down_when_the_peak_comes() -> None:
    """The attack happens in the 3 ms before a peak and in none earlier."""
    signal = np.full(3 * TICK, 10_000, np.int32)
    peak = TICK + 480
    signal[peak] = 64_000
    out = run(signal)
    assert abs(out[peak + LOOKAHEAD_SAMPLES] - CEILING) <= 1
    assert (out[LOOKAHEAD_SAMPLES:peak] == 10_000).all()
    assert out[peak + LOOKAHEAD_SAMPLES - 1] < 5_300


@pytest.mark.parametrize("peak", [TICK - 1, TICK, TICK + 1, 2 * TICK - 145, 2 * TICK - 143])
def test_the_gain_moves_without_steps(peak: int) -> None:
    """Wherever the peak falls in the tick, the gain changes by at most 1/48 of a third a sample."""
    signal = np.full(4 * TICK, 10_000, np.int32)
    signal[peak] = 1_000_000
    gain = np.delete(run(signal)[LOOKAHEAD_SAMPLES:] / 10_000, peak)
    assert np.abs(np.diff(gain)).max() <= 1 / 48 / 3 * 2 + 2e-4


def test_the_gain_comes_back_over_100_ms_and_to_exactly_one() -> None:
    """100 ms after a peak 63 % of the loss is back, after two seconds the mix passes unchanged."""
    signal = np.full(110 * TICK, 10_000, np.int32)
    signal[0] = 64_000
    out = run(signal)
    assert out[LOOKAHEAD_SAMPLES + 4_800] / 10_000 == pytest.approx(1 - 0.5 / np.e, abs=0.02)
    np.testing.assert_array_equal(out[-5 * TICK :], signal[-5 * TICK :])


def test_loud_tones_keep_their_shape() -> None:
    """A tone 12 dB over full scale comes out as a tone at the ceiling, not as a square."""
    out = run(tone(30, 4 * 32_767.0))[20 * TICK :].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    fundamental = spectrum.argmax()
    rest = np.delete(spectrum, range(fundamental - 4, fundamental + 5))
    assert np.sqrt((rest**2).sum()) < 0.02 * spectrum.max()


def distortion(out: NDArray[np.float64], hertz: list[float]) -> float:
    """Return what is in a signal beside these tones, as a share of its amplitude."""
    time = np.arange(len(out)) / 48_000
    basis = [np.ones(len(out))]
    for one in hertz:
        basis += [np.sin(2 * np.pi * one * time), np.cos(2 * np.pi * one * time)]
    columns = np.stack(basis, axis=1)
    rest = out - columns @ np.linalg.lstsq(columns, out, rcond=None)[0]
    return float(np.sqrt((rest**2).mean() / (out**2).mean()))


def test_ten_full_scale_talkers_stay_clean() -> None:
    """Ten tones at full scale, 18 dB too much together: no sample beyond the ceiling.

    What the moving gain adds is under 4 %, most of it swells within 80 Hz of the tones; a clipper
    adds 46 %, most of it far from them, where it is heard as crackle.
    """
    pitches = [211 * 1.31**number for number in range(10)]
    talkers = np.stack([tone(100, 32_767.0, hertz) for hertz in pitches])
    mix = np.add.reduce(talkers, axis=0, dtype=np.int32)
    assert np.abs(mix).max() > 8 * 32_767
    out = run(mix)[50 * TICK :].astype(np.float64)
    clipped = np.clip(mix, -32_768, 32_767)[50 * TICK :].astype(np.float64)
    assert np.abs(out).max() <= CEILING
    assert distortion(out, pitches) < 0.04
    assert distortion(clipped, pitches) > 0.4
    assert crackle(out, pitches) < 0.015
    assert crackle(clipped, pitches) > 0.3


def crackle(out: NDArray[np.float64], hertz: list[float]) -> float:
    """Return what is more than 80 Hz away from all of these tones, as a share of the amplitude."""
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)))) ** 2
    frequencies = np.fft.rfftfreq(len(out), 1 / 48_000)
    is_near = np.any([np.abs(frequencies - one) < 80 for one in hertz], axis=0)
    return float(np.sqrt(spectrum[~is_near].sum() / spectrum.sum()))


def stereo(left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return both channels by turns."""
    return np.stack((left, right), axis=1).reshape(-1)


def run_stereo(signal: NDArray[np.int32]) -> NDArray[np.int16]:
    """Limit one stereo mix tick by tick; return int16[n, 2]."""
    state = LimiterState(2)
    ticks = signal.reshape(-1, 1, 2 * TICK)
    return np.concatenate([limit(tick, [state])[0] for tick in ticks]).reshape(-1, 2)


def test_both_channels_have_the_same_gain() -> None:
    """A loud voice on the left turns the right down by as much, and nothing wanders."""
    out = run_stereo(stereo(tone(20, 90_000), np.full(20 * TICK, 10_000, np.int32)))
    np.testing.assert_array_equal(out[:, 0], run(tone(20, 90_000)))
    wanted = delayed(tone(20, 90_000))
    loud = np.abs(wanted) > 30_000
    assert np.abs(out[loud, 0] / wanted[loud] - out[loud, 1] / 10_000).max() < 1e-4


def test_quiet_stereo_is_only_delayed() -> None:
    """Bit for bit, by 3 ms, each channel for itself."""
    left, right = tone(5, 20_000), tone(5, 30_000, 100.0)
    out = run_stereo(stereo(left, right))
    np.testing.assert_array_equal(out[:, 0], delayed(left))
    np.testing.assert_array_equal(out[:, 1], delayed(right))


@pytest.mark.parametrize("amplitude", [9_000, 90_000])
def test_a_branch_goes_on_from_where_it_was(amplitude: float) -> None:
    """As the one it came from would, and without touching it."""
    signal = tone(6, amplitude).reshape(6, 1, TICK)
    state = LimiterState()
    for tick in signal[:3]:
        limit(tick, [state])
    branch = state.branch()
    assert branch.attenuation.any() == state.attenuation.any() == (amplitude >= CEILING)
    first = [limit(tick, [branch]) for tick in signal[3:]]
    np.testing.assert_array_equal(first, [limit(tick, [state]) for tick in signal[3:]])


def test_a_loud_mix_beside_a_quiet_one_leaves_it_alone() -> None:
    """Only the mix that needs it is worked on, bit for bit."""
    states = [LimiterState(), LimiterState()]
    loud, quiet = tone(2, 90_000), tone(2, 20_000)
    ticks = np.split(np.stack((loud, quiet)), 2, axis=1)
    out = np.concatenate([limit(tick, states) for tick in ticks], axis=1)
    np.testing.assert_array_equal(out[1], delayed(quiet))
    assert states[0].attenuation.any()
    # The loud one goes quiet while its gain is still on the way back.
    out = limit(np.stack((quiet[:TICK], quiet[:TICK])), states)
    assert np.abs(out[0][200:]).max() < np.abs(out[1]).max()


def test_mixes_do_not_touch_each_other() -> None:
    """Each row is limited as if it were alone, loud or quiet, whatever rows stand beside it."""
    signals = np.stack([tone(6, 9_000), tone(6, 90_000), tone(6, 40_000, 100.0)])
    states = [LimiterState() for _ in signals]
    ticks = np.split(signals, 6, axis=1)
    together = np.concatenate([limit(tick, states) for tick in ticks], axis=1)
    np.testing.assert_array_equal(together, [run(signal) for signal in signals])


def test_a_mix_may_miss_ticks() -> None:
    """Its state is all a mix needs: it can be limited with others or not at all for a while."""
    state, other = LimiterState(), LimiterState()
    signal = tone(2, 50_000).reshape(2, 1, TICK)
    first = limit(signal[0], [state])
    limit(signal[0], [other])
    second = limit(np.concatenate((signal[1], signal[1])), [other, state])[1]
    np.testing.assert_array_equal(np.concatenate((first[0], second)), run(signal.reshape(-1)))


def test_no_mixes_are_no_work() -> None:
    """An empty batch gives an empty batch."""
    assert limit(np.zeros((0, TICK), np.int32), []).shape == (0, TICK)


def test_the_input_stays_as_it_was() -> None:
    """Neither the mixes nor what the state keeps of them is shared."""
    mixes = np.full((1, TICK), 5_000, np.int32)
    state = LimiterState()
    limit(mixes, [state])
    mixes[:] = 0
    assert (state.tail == 5_000).all()
