import numpy as np
import pytest
from numpy.typing import NDArray

from hls.core.leveller import AHEAD_SAMPLES, CEILING_DBTP, MOST_BOOST_DB, MOST_CUT_DB, Leveller
from hls.core.loudness import SILENCE_LUFS

FRAMES_S = 48_000 / 1024


def noise(level_db: float, frames: int, channels: int = 1, seed: int = 1) -> NDArray[np.int16]:
    """Return noise of that RMS level (dB below full scale), int16[frames, 1024 * channels]."""
    rng = np.random.default_rng(seed)
    sound = 32_768 * 10 ** (level_db / 20) * rng.standard_normal((frames, 1024 * channels))
    return np.clip(sound, -32_768, 32_767).astype(np.int16)


def after(
    leveller: Leveller, sound: NDArray[np.int16], start: int = 0, *, foresees: bool = True
) -> NDArray[np.int16]:
    """Return what becomes of frames that follow each other."""
    later = [*(one[: AHEAD_SAMPLES * (one.size // 1024)] for one in sound[1:]), None]
    return np.array(
        [
            leveller.level(start + at, frame, later[at] if foresees else None)
            for at, frame in enumerate(sound)
        ]
    )


@pytest.mark.parametrize("level_db", [-40, -23, -10])
@pytest.mark.parametrize("channels", [1, 2])
def test_to_the_target(level_db: float, channels: int) -> None:
    """After ten seconds it is as loud as it shall be, by its own reading."""
    leveller = Leveller(-23)
    after(leveller, noise(level_db, 700, channels))
    reading = leveller.read()
    assert reading.short_term_lufs == pytest.approx(-23, abs=0.5)
    assert reading.momentary_lufs == pytest.approx(-23, abs=1)


def test_not_without_end() -> None:
    """Speech is raised and brought down only so far."""
    quiet, loud = Leveller(-10), Leveller(-40)
    after(quiet, noise(-44, 700))
    after(loud, noise(-3, 1200))
    assert quiet.read().gain_db == MOST_BOOST_DB
    assert loud.read().gain_db == MOST_CUT_DB


def test_room_noise() -> None:
    """Where nobody has spoken yet nothing is raised, and later noise moves nothing."""
    leveller = Leveller(-16)
    sound = noise(-55, 300)
    assert (after(leveller, sound) == sound).all()
    after(leveller, noise(-26, 700), 300)
    held_db = leveller.read().gain_db
    assert held_db > 5
    after(leveller, noise(-55, 40), 1000)  # the last blocks still hold speech
    held_db = leveller.read().gain_db
    after(leveller, noise(-55, 1400), 1040)
    assert leveller.read().gain_db == held_db


def test_a_pause() -> None:
    """Over a pause, a minute or a day, the gain stays; the readings fall to silence."""
    leveller = Leveller(-16)
    after(leveller, noise(-26, 700))
    before = leveller.read()
    leveller.rest_until(10**9)
    found = leveller.read()
    assert found.gain_db == pytest.approx(before.gain_db, abs=0.2)
    assert (found.momentary_lufs, found.short_term_lufs) == (SILENCE_LUFS, SILENCE_LUFS)
    assert found.integrated_lufs == pytest.approx(before.integrated_lufs, abs=0.3)
    leveller.rest_until(5)  # long past
    assert leveller.read() == found


@pytest.mark.parametrize("foresees", [True, False])
@pytest.mark.parametrize("channels", [1, 2])
def test_peaks(channels: int, *, foresees: bool) -> None:
    """No sample is above the ceiling, whatever comes, also if the next frame is late."""
    leveller = Leveller(-9)
    sound = noise(-20, 500, channels)
    sound[::7, 500:510] = 32_767
    sound[::11, :3] = -32_768
    found = after(leveller, sound, foresees=foresees)
    ceiling = 32_768 * 10 ** (CEILING_DBTP / 20)
    assert np.abs(found.astype(int)).max() <= ceiling + 1
    assert leveller.limited_frames > 0
    assert leveller.read().true_peak_dbtp == pytest.approx(CEILING_DBTP, abs=0.05)


def test_no_clicks() -> None:
    """The gain has no step, at no edge of a frame: a constant tone stays a smooth curve."""
    times = np.arange(1024 * 400) / 48_000
    tone = (3000 * np.sin(2 * np.pi * 200 * times)).astype(np.int16).reshape(-1, 1024)
    leveller = Leveller(-30)
    found = after(leveller, tone).reshape(-1).astype(float)
    bend = np.abs(np.diff(found, 2))
    # A step of the gain by 1 % would bend it by 30; the tone itself does by 2, rounding by 4.
    assert bend.max() < 8
    assert leveller.read().gain_db != 0


def test_another_number_of_channels() -> None:
    """The gain goes on where it was."""
    leveller = Leveller(-16)
    after(leveller, noise(-26, 700))
    gain_db = leveller.read().gain_db
    assert after(leveller, noise(-29, 1, channels=2), 700).shape == (1, 2048)
    assert leveller.read().gain_db == pytest.approx(gain_db, abs=0.1)


def test_nothing_yet() -> None:
    """Before the first sound everything reads as silence, and the gain is 0 dB."""
    reading = Leveller(-16).read()
    assert reading.true_peak_dbtp == reading.integrated_lufs == SILENCE_LUFS
    assert reading.gain_db == 0
