import numpy as np
import pytest
from numpy.typing import NDArray

from hls.core.limiter import AHEAD_BLOCKS, Limiter

NOTHING = np.zeros(AHEAD_BLOCKS)


def peaks(**at: float) -> NDArray[np.float64]:
    """Return peaks of 0.1, and others by block (`b3=2.0`)."""
    found = np.full(16, 0.1)
    for name, value in at.items():
        found[int(name[1:])] = value
    return found


def gains(
    limiter: Limiter, now: NDArray[np.float64], ahead: NDArray[np.float64] = NOTHING
) -> NDArray[np.float64]:
    """Return the gains, which must not be all 1."""
    found = limiter.gains(now, ahead)
    assert found is not None
    return found


def test_nothing_to_do() -> None:
    """Below the ceiling nothing is touched."""
    assert Limiter(0.5).gains(peaks(b3=0.5), NOTHING) is None


@pytest.mark.parametrize("block", range(16))
def test_below_the_ceiling(block: int) -> None:
    """All of a block is brought down as far as its peak needs; nothing is brought up."""
    found = gains(Limiter(0.5), peaks(**{f"b{block}": 2.0})).reshape(16, 64)
    assert found[block].max() <= 0.25 + 1e-12
    assert (found <= 1).all()


def test_no_step() -> None:
    """What is foreseen is met by a ramp: at most 3 dB a block down, slowly up again."""
    limiter = Limiter(0.5)
    first = gains(limiter, peaks(), np.array([0.1, 0.1, 1.0, 1.0]))
    second = gains(limiter, peaks(b2=1.0, b3=1.0))
    assert first[0] == 1.0
    whole = np.concatenate((first, second))
    assert np.abs(np.diff(20 * np.log10(whole))).max() < 3 / 64 * 1.3
    assert second.reshape(16, 64)[3:, 0].min() == pytest.approx(0.5)
    third = gains(limiter, peaks())
    rise_db = 20 * np.log10(third[-64] / third[0])
    assert rise_db == pytest.approx(0.1 * 15, abs=0.02)


def test_unforeseen() -> None:
    """A peak that was not there yet when the frame before went out is met with a step."""
    limiter = Limiter(0.5)
    assert limiter.gains(peaks(), NOTHING) is None
    assert gains(limiter, peaks(b0=2.0))[0] == 0.25


def test_back_to_nothing() -> None:
    """Once the gain is 1 again, or after a pause, nothing is touched."""
    limiter = Limiter(0.5)
    gains(limiter, peaks(b0=0.55))
    frames = 0
    while limiter.gains(peaks(), NOTHING) is not None:
        frames += 1
    assert frames < 3
    gains(limiter, peaks(b15=2.0))
    limiter.rest()
    assert limiter.gains(peaks(), NOTHING) is None
