import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hls.core.loudness import HOP_BLOCKS, SILENCE_LUFS, Meter, gated_lufs, lufs


def level(level_lufs: float, blocks: int) -> NDArray[np.float64]:
    """Return the energies of blocks that are so loud."""
    return np.full(blocks, 64 * 10 ** ((level_lufs + 0.691) / 10))


def test_silence() -> None:
    """Nothing is as loud as silence."""
    meter = Meter()
    for value in (meter.momentary_lufs, meter.short_term_lufs, meter.integrated_lufs, lufs(0.0)):
        assert value == SILENCE_LUFS


def test_windows() -> None:
    """Momentary is the last 400 ms, short-term the last 3 s."""
    meter = Meter()
    meter.push(level(-20, 30 * HOP_BLOCKS))
    assert (meter.momentary_lufs, meter.short_term_lufs) == pytest.approx((-20, -20))
    meter.push(level(-30, 4 * HOP_BLOCKS))
    assert meter.momentary_lufs == pytest.approx(-30)
    assert meter.short_term_lufs == pytest.approx(-20.56, abs=0.02)


def test_gating_blocks() -> None:
    """One ends every 100 ms, however the sound is cut; each is the mean of 400 ms."""
    meter, sound = Meter(), level(-20, 10 * HOP_BLOCKS)
    ended = [one for start in range(0, len(sound), 16) for one in meter.push(sound[start:][:16])]
    assert len(ended) == 10
    assert [lufs(one) for one in ended[3:]] == pytest.approx([-20] * 7)
    assert ended[:3] == [0.0] * 3  # of less than 400 ms
    assert len(Meter().push(sound)) == 10


def test_integrated() -> None:
    """Pauses, and what is 10 LU below the rest, do not count; the error is a bin's half."""
    meter = Meter()
    meter.push(level(-23, 200 * HOP_BLOCKS))
    meter.push(level(-50, 400 * HOP_BLOCKS))
    meter.push(level(-75, 400 * HOP_BLOCKS))
    assert meter.integrated_lufs == pytest.approx(-23, abs=0.1)
    meter.push(level(60, 1000 * HOP_BLOCKS))  # above the last bin
    assert meter.integrated_lufs == pytest.approx(29.95)


def test_rest() -> None:
    """Silence of a day is as three seconds of it, and hops end where they would have."""
    short, long = Meter(), Meter()
    for meter in (short, long):
        meter.push(level(-20, 100 * HOP_BLOCKS + 10))
    short.rest(40 * HOP_BLOCKS + 7)
    ended = long.rest(4_000_000 * HOP_BLOCKS + 7)
    assert len(ended) == 31
    assert long.short_term_lufs == SILENCE_LUFS
    assert len(long.push(level(-20, 58))) == len(short.push(level(-20, 58))) == 1
    assert long.integrated_lufs == short.integrated_lufs


def test_a_short_rest() -> None:
    """It is taken as it is."""
    meter = Meter()
    meter.push(level(-20, 10 * HOP_BLOCKS))
    assert len(meter.rest(2 * HOP_BLOCKS)) == 2
    assert meter.momentary_lufs == pytest.approx(-20 - 10 * math.log10(2), abs=1e-6)


def test_gate() -> None:
    """Of gating blocks those count that are no more than 10 LU below the mean of all."""
    powers = [10**-2] * 10 + [10**-4] * 10
    assert gated_lufs(np.array(powers)) == pytest.approx(-20.691)
    assert gated_lufs(np.array([1e-3])) == pytest.approx(-30.691)
