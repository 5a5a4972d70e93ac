"""A bounded ring of frames."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.core.frame_ring import FrameRing


def frame(value: int) -> NDArray[np.int16]:
    return np.full(960, value, np.int16)


def test_frames_come_out_in_order() -> None:
    """And then none, without waiting."""
    ring = FrameRing()
    for value in range(3):
        assert ring.push(frame(value))
    taken = [ring.take_nowait() for _ in range(4)]
    assert [None if one is None else int(one[0]) for one in taken] == [0, 1, 2, None]


def test_a_full_ring_refuses_the_newest() -> None:
    """It says so and counts it; what was taken in stays."""
    ring = FrameRing(2)
    assert [ring.push(frame(value)) for value in range(3)] == [True, True, False]
    assert (ring.space, ring.refused) == (0, 1)
    first = ring.take_nowait()
    assert first is not None
    assert first[0] == 0
    assert ring.space == 1


def test_it_is_over_when_it_is_closed_and_empty() -> None:
    """A closed ring takes nothing more."""
    ring = FrameRing()
    ring.push(frame(1))
    assert not ring.is_over
    ring.close()
    assert not ring.push(frame(2))
    assert not ring.is_over
    ring.take_nowait()
    assert ring.is_over


def test_what_is_pushed_may_be_changed_afterwards() -> None:
    """The ring has its own copy."""
    ring, pushed = FrameRing(), frame(5)
    ring.push(pushed)
    pushed[:] = 0
    taken = ring.take_nowait()
    assert taken is not None
    assert (taken == 5).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(959, np.int16),
        np.zeros((960, 3), np.int16),
        np.zeros(960, np.float32),
        np.int16(3),
        np.zeros((2, 960), np.int16),
    ],
)
def test_other_forms_are_refused(wrong: NDArray[np.int16]) -> None:
    """Whatever is not 20 ms of one or two channels is an error of who pushes it."""
    with pytest.raises(ValueError, match="no 20 ms"):
        FrameRing().push(wrong)


def test_stereo_is_taken() -> None:
    """int16[960, 2]."""
    assert FrameRing().push(np.zeros((960, 2), np.int16))
