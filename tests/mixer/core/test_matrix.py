"""The gain matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mixer.core.matrix import Matrix, fade

SAMPLES = 24


@st.composite
def matrices(
    draw: st.DrawFn, gains: st.SearchStrategy[float]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return gains float32[m, k] and frames int32[k, n], up to 20 dB above full scale."""
    voices, mixes = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    rows = st.lists(gains, min_size=voices, max_size=voices)
    drawn = draw(st.lists(rows, min_size=mixes, max_size=mixes))
    samples = st.integers(-327_680, 327_680)
    frames = draw(hnp.arrays(np.int32, (voices, SAMPLES), elements=samples))
    return np.array(drawn, np.float32).reshape(mixes, voices), frames


@given(matrices(st.sampled_from([0.0, 1.0])))
def test_rows_of_ones_and_zeros_are_exact(
    matrix: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    """Every mix is the sum of its voices, bit for bit."""
    gains, frames = matrix
    expected = gains.astype(np.int64) @ frames.astype(np.int64)
    np.testing.assert_array_equal(Matrix(gains).mix(frames), expected)


@given(matrices(st.floats(0, 10, width=32) | st.sampled_from([0.0, 1.0])))
def test_any_row_is_within_one_step(
    matrix: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    """Each sample is the weighed sum, to one step or, where that is larger, 2^-20 of the sum."""
    gains, frames = matrix
    wide = gains.astype(np.float64)
    bound = np.maximum(1.0, (wide @ np.abs(frames).astype(np.float64)) * 2.0**-20)
    error = np.abs(Matrix(gains).mix(frames) - wide @ frames.astype(np.float64))
    assert (error <= bound).all()


@given(matrices(st.just(1.0)))
def test_a_mix_without_oneself_and_oneself_are_the_full_mix(
    matrix: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    """For every person, before the limiter: exactly where gains are one."""
    _, frames = matrix
    full = Matrix(np.ones((1, len(frames)), np.float32)).mix(frames)[0]
    minus = Matrix((1 - np.eye(len(frames))).astype(np.float32)).mix(frames)
    for own, rest in zip(frames, minus, strict=True):
        np.testing.assert_array_equal(own + rest, full)


@given(matrices(st.floats(0, 10, width=32)), st.data())
def test_the_same_holds_for_other_gains(
    matrix: tuple[NDArray[np.float32], NDArray[np.int32]], data: st.DataObject
) -> None:
    """Within one step: what is weighed out and what is left are the whole.

    Voices are within 16 bits here, gains are any.
    """
    gains, frames = matrix
    frames = np.clip(frames, -32_768, 32_767).astype(np.int32)
    row = gains[0]
    voice = data.draw(st.integers(0, len(row) - 1))
    without, alone = row.copy(), np.zeros_like(row)
    without[voice], alone[voice] = 0, row[voice]
    full, rest, own = Matrix(np.stack((row, without, alone))).mix(frames).astype(np.int64)
    assert np.abs(rest + own - full).max() <= 1 + (row.sum() * 32_768) * 2.0**-22


def test_ten_thousand_full_scale_voices_do_not_wrap() -> None:
    """Nor does the mix that lacks one of them."""
    gains = np.ones((2, 10_000), np.float32)
    gains[1, 5_000] = 0
    mixed = Matrix(gains).mix(np.full((10_000, 2), -32_768, np.int16))
    assert mixed.tolist() == [[-327_680_000] * 2, [-327_680_000 + 32_768] * 2]


def test_one_voice_for_one_mix_is_not_copied() -> None:
    """The commonest case costs nothing."""
    frames = np.arange(5, dtype=np.int16).reshape(1, 5)
    assert Matrix(np.ones((1, 1), np.float32)).mix(frames) is frames


@settings(max_examples=30)
@given(st.permutations(range(5)))
def test_mixes_may_stand_in_any_order(order: list[int]) -> None:
    """Rows that lack one voice each are each their own, in order or not."""
    gains = (1 - np.eye(5, dtype=np.float32))[order]
    frames = np.arange(20, dtype=np.int16).reshape(5, 4)
    np.testing.assert_array_equal(Matrix(gains).mix(frames), gains @ frames)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_fade_leads_from_one_mix_to_the_other(channels: int) -> None:
    """In equal steps, there by the middle; both channels alike."""
    before = np.full(960 * channels, 48_000, np.int32)
    faded = fade(before, np.zeros_like(before), channels).reshape(960, channels)
    assert (faded == faded[:, :1]).all()
    assert faded[0, 0] == 47_950
    assert (np.diff(faded[:480, 0]) == -100).all()
    assert not faded[480:].any()


@given(hnp.arrays(np.int32, 8), hnp.arrays(np.int32, 8))
def test_a_fade_stays_between_its_ends(before: NDArray[np.int32], after: NDArray[np.int32]) -> None:
    """Whatever 32 bits hold."""
    faded = fade(before, after, 1)
    assert (np.minimum(before, after) <= faded).all()
    assert (faded <= np.maximum(before, after)).all()
    np.testing.assert_array_equal(faded[4:], after[4:])
