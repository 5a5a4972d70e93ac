import numpy as np

from hls.core.channels import fitted

STEREO = np.array([100, 300, -32768, -32768, 32767, 32767, -1, 0], np.int16)


def test_both_sides() -> None:
    """One channel is heard from both sides."""
    assert fitted(np.array([1, -2], np.int16), 2, 2).tolist() == [1, 1, -2, -2]


def test_the_mean() -> None:
    """Two channels become their mean, without overflow."""
    mean = fitted(STEREO, 4, 1)
    assert mean.tolist() == [200, -32768, 32767, -1]
    assert mean.dtype == np.int16


def test_what_fits() -> None:
    """Nothing is copied where nothing need be."""
    assert fitted(STEREO, 4, 2) is STEREO
    assert fitted(STEREO, 8, 1) is STEREO
