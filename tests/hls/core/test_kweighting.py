import numpy as np
import pytest
from scipy.signal import lfilter  # type: ignore[attr-defined]

from hls.core.kweighting import KWeighting

# ITU-R BS.1770-4, tables 1 and 2.
SHELF = (
    [1.53512485958697, -2.69169618940638, 1.19839281085285],
    [1.0, -1.69065929318241, 0.73248077421585],
)
HIGH_PASS = ([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621])


@pytest.mark.parametrize("channels", [1, 2])
def test_as_a_recursion(channels: int) -> None:
    """Blocks give the energies that scipy's filter gives sample by sample, over many frames."""
    sound = np.random.default_rng(1).standard_normal((channels, 1024 * 40))
    weighted = lfilter(*HIGH_PASS, lfilter(*SHELF, sound))
    expected = np.square(weighted).reshape(channels, -1, 64).sum(axis=(0, 2))
    weighting = KWeighting(channels)
    found = [weighting.energies(frame) for frame in np.split(sound, 40, axis=1)]
    assert np.concatenate(found) == pytest.approx(expected, rel=1e-9)
