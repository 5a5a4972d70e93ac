"""A channel strip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.strip import Strip

FRAME = np.linspace(-32_768, 32_767, 960).astype(np.int16)
STEREO = np.stack((FRAME, FRAME[::-1] // 2), axis=1)


def test_at_unity_a_frame_passes_as_it_is() -> None:
    """Mono in mono: not even copied. Stereo in stereo: interleaved. Mono in stereo: on both."""
    assert np.shares_memory(Strip(1).shape(FRAME), FRAME)
    np.testing.assert_array_equal(Strip(2).shape(STEREO), STEREO.reshape(-1))
    np.testing.assert_array_equal(Strip(2).shape(FRAME), np.repeat(FRAME, 2))


def test_stereo_is_averaged_for_a_mono_room() -> None:
    """Without wrapping at the extremes."""
    loud = np.full((960, 2), 32_767, np.int16)
    assert (Strip(1).shape(loud) == 32_767).all()
    mean = Strip(1).shape(STEREO)
    assert np.abs(mean - STEREO.astype(np.float64).mean(axis=1)).max() <= 0.5


@pytest.mark.parametrize("channels", [1, 2])
def test_a_new_gain_is_reached_over_one_frame(channels: int) -> None:
    """In equal steps on all channels, then it stays; and back to unity, exactly."""
    strip, flat = Strip(channels), np.full(960, 9_600, np.int16)
    strip.gain = 2.0
    moving = strip.shape(flat).reshape(960, channels)
    assert (np.diff(moving[:, 0]) == 10).all()
    assert (moving[0, 0], moving[-1, -1]) == (9_610, 19_200)
    assert (strip.shape(flat) == 19_200).all()
    strip.gain = 1.0
    assert (np.diff(strip.shape(flat).reshape(960, channels)[:, 0]) == -10).all()
    assert (strip.shape(flat) == 9_600).all()


def test_nothing_is_clipped() -> None:
    """20 dB above full scale come out as they are: limiting is for the mix."""
    strip = Strip(1)
    strip.gain = 10.0
    strip.shape(FRAME)
    np.testing.assert_array_equal(strip.shape(FRAME), FRAME.astype(np.int32) * 10)


@given(st.floats(-1, 1), st.floats(0, 10), st.booleans())
def test_a_place_says_how_loud_each_side_is(pan: float, gain: float, stereo: bool) -> None:  # noqa: FBT001
    """The power of both sides is that of the middle for mono; a stereo voice never grows."""
    strip = Strip(2)
    strip.pan, strip.gain = pan, gain
    frame = STEREO if stereo else FRAME
    strip.shape(frame)
    shaped = strip.shape(frame).reshape(960, 2).astype(np.float64)
    if stereo:
        assert (np.abs(shaped) <= np.abs(STEREO.astype(np.float64)) * gain + 1).all()
    else:
        loudness = np.sqrt((shaped**2).sum(axis=1) / 2)
        assert np.abs(loudness - np.abs(FRAME.astype(np.float64)) * gain).max() <= 1


def test_a_place_changes_nothing_in_mono() -> None:
    """There is no side to go to."""
    strip = Strip(1)
    strip.pan = 1.0
    np.testing.assert_array_equal(strip.shape(FRAME), FRAME)


def test_a_closed_strip_opens_from_silence() -> None:
    """It lets nothing through until it has a gain again, which begins at zero."""
    strip = Strip(1)
    assert not strip.is_closed
    strip.close()
    assert strip.is_closed
    assert not strip.shape(FRAME).any()
    strip.gain = 1.0
    assert not strip.is_closed
    assert abs(strip.shape(FRAME)[0]) <= 35
    np.testing.assert_array_equal(strip.shape(FRAME), FRAME)


def test_a_strip_that_fades_out_is_closed_after_it() -> None:
    """A gain of zero is reached like any other."""
    strip = Strip(1)
    strip.gain = 0.0
    assert not strip.is_closed
    assert strip.shape(FRAME).any()
    assert strip.is_closed
