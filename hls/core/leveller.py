"""The leveller: a bus's sound brought to one loudness, with its peaks below a ceiling."""

import math
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hls.core.kweighting import BLOCK_SAMPLES, BLOCKS, KWeighting
from hls.core.limiter import AHEAD_BLOCKS, Limiter
from hls.core.loudness import SILENCE_LUFS, Meter, gated_lufs, lufs
from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE
from hls.core.truepeak import MOST_ABOVE, REACH, block_peaks
from hls.types import Reading

AHEAD_SAMPLES: Final = AHEAD_BLOCKS * BLOCK_SAMPLES + REACH
ALLOWED_DBTP: Final = -1.0  # after the encoder
# To a lonely peak AAC adds up to 1 dB, to speech 1.5 dB at 64 kb/s.
CEILING_DBTP: Final = -2.5
# Its error is as large as the sound is loud and dense: at 32 kb/s a square wave at full scale came
# out 7 dB higher, noise at 64 kb/s 4 dB. These bound what was found, in RMS of the frame, for sound
# whose peaks are as high as its RMS, and for less dense sound, by how much less.
MOST_ERROR: Final = 1.8
ERROR_BY_DENSITY: Final = 2.5
MOST_BOOST_DB: Final = 20.0
MOST_CUT_DB: Final = -30.0
# Below is no speech but the room it is spoken in: it never makes the gain move.
QUIET_LUFS: Final = -45.0
_REMEMBERED: Final = 120  # gating blocks: the last 12 s of speech decide
_UNSURE: Final = 30  # as many at first are little to go by, and nobody knows a level to miss
_FAST_DB_S: Final = 10.0
_SLOW_DB_S: Final = 1.5
_FRAME_S: Final = AAC_SAMPLES / SAMPLE_RATE
_FULL_SCALE: Final = 32_768.0
_CEILING: Final = 10 ** (CEILING_DBTP / 20)
_DENSE: Final = _CEILING / 10 ** (ALLOWED_DBTP / 20)


class Leveller:
    """Levels frames of one bus where they are: none is moved in time, and silence is no frame.

    The gain follows the gated loudness of the last seconds of speech, and stands still while
    nobody speaks, so that pauses are as quiet as they were. It goes from one value to the next
    along each frame.
    """

    def __init__(self, target_lufs: float) -> None:
        self.target_lufs = target_lufs
        self.limited_frames = 0
        self._on_air, self._speech = Meter(), Meter()
        self._limiter = Limiter(_CEILING)
        self._filter = KWeighting(1)
        self._tail = np.zeros((1, REACH))
        self._known: deque[float] = deque(maxlen=_REMEMBERED)
        self._is_speech = False
        self._loudness_lufs = target_lufs  # of the speech that is remembered
        self._gain_db = 0.0
        self._next = 0  # the frame that comes without a pause
        self._peak = 0.0

    def level(
        self, index: int, samples: NDArray[np.int16], ahead: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """Return frame `index` (ascending) as it goes on air, int16[1024 * channels], interleaved.

        `ahead` are the AHEAD_SAMPLES after it as far as they have come, None if nothing has.
        """
        channels = samples.size // AAC_SAMPLES
        if channels != self._filter.channels:
            self._forget_sound(channels)
        self.rest_until(index)
        self._next = index + 1
        sound = _planar(samples, channels)
        gains = self._moved()
        limits = self._limits(sound, ahead, gains)
        energies = self._filter.energies(sound)
        curve = _along(gains)
        if limits is not None:
            self.limited_frames += 1
            curve *= limits
            energies *= limits.reshape(BLOCKS, BLOCK_SAMPLES).mean(axis=1) ** 2
        self._listen(self._speech.push(energies))
        _ = self._on_air.push(energies * (gains[1:] * gains[:-1]))
        whole = np.rint(sound.T * (curve * _FULL_SCALE)[:, None])
        return np.clip(whole, -32_768, 32_767).astype(np.int16).reshape(-1)

    def rest_until(self, index: int) -> None:
        """Take what is before frame `index` and did not come for silence."""
        if index <= self._next:
            return
        blocks = (index - self._next) * BLOCKS
        self._listen(self._speech.rest(blocks))
        _ = self._on_air.rest(blocks)
        self._next = index
        self._limiter.rest()
        # 21 ms are four time constants of the slowest filter: it has forgotten.
        self._forget_sound(self._filter.channels)

    def read(self) -> Reading:
        """Return how loud it is now."""
        peak = self._peak
        return Reading(
            momentary_lufs=self._on_air.momentary_lufs,
            short_term_lufs=self._on_air.short_term_lufs,
            integrated_lufs=self._on_air.integrated_lufs,
            true_peak_dbtp=20 * math.log10(peak) if peak > 1e-6 else SILENCE_LUFS,
            gain_db=self._gain_db,
        )

    def _listen(self, powers: list[float]) -> None:
        """Note gating blocks of what came in, as the limiter left it."""
        for power in powers:
            self._is_speech = lufs(power) >= QUIET_LUFS
            if self._is_speech:
                self._known.append(power)
                self._loudness_lufs = gated_lufs(np.array(self._known))

    def _moved(self) -> NDArray[np.float64]:
        """Move the gain; return it at the edges of the frame's blocks: float64[17]."""
        before = 10 ** (self._gain_db / 20)
        if self._is_speech:
            wanted = self.target_lufs - self._loudness_lufs
            wanted = min(MOST_BOOST_DB, max(MOST_CUT_DB, wanted))
            rate = _FAST_DB_S if len(self._known) < _UNSURE else _SLOW_DB_S
            step = rate * _FRAME_S
            self._gain_db += min(step, max(-step, wanted - self._gain_db))
        return np.linspace(before, 10 ** (self._gain_db / 20), BLOCKS + 1)

    def _limits(
        self,
        sound: NDArray[np.float64],
        ahead: NDArray[np.int16] | None,
        gains: NDArray[np.float64],
    ) -> NDArray[np.float64] | None:
        """Return the limiter's gain for each sample, None for 1; note how high it gets."""
        channels, later = len(sound), np.zeros((len(sound), AHEAD_SAMPLES))
        if ahead is not None:
            later = _planar(ahead, channels)
        around = np.concatenate((self._tail, sound, later), axis=1, dtype=np.float32)
        self._tail = sound[:, -REACH:]
        errors = np.repeat((_error(sound), _error(later)), (BLOCKS, AHEAD_BLOCKS))
        highest = float(np.abs(around).max()) * MOST_ABOVE
        highest = max(highest, _DENSE * (highest + float(errors.max()))) * float(gains.max())
        if highest <= min(_CEILING, self._peak):  # whatever there is between the samples
            peaks = np.full(BLOCKS + AHEAD_BLOCKS, highest)
            return self._limiter.gains(peaks[:BLOCKS], peaks[BLOCKS:])
        loudest = np.append(np.maximum(gains[1:], gains[:-1]), np.repeat(gains[-1], AHEAD_BLOCKS))
        peaks = block_peaks(around) * loudest
        heard = np.maximum(peaks, _DENSE * (peaks + errors * loudest))  # after the encoder
        limits = self._limiter.gains(heard[:BLOCKS], heard[BLOCKS:])
        held = 1.0 if limits is None else limits.reshape(BLOCKS, BLOCK_SAMPLES).max(axis=1)
        self._peak = max(self._peak, float((peaks[:BLOCKS] * held).max()))
        return limits

    def _forget_sound(self, channels: int) -> None:
        self._filter = KWeighting(channels)
        self._tail = np.zeros((channels, REACH))


def _error(sound: NDArray[np.float64]) -> float:
    """Return how much the encoder may add to the peaks of this sound at most."""
    peak = float(np.abs(sound).max())
    if peak == 0.0:
        return 0.0
    rms = math.sqrt(float(np.einsum("cn,cn->c", sound, sound).max()) / sound.shape[1])
    return rms * min(MOST_ERROR, ERROR_BY_DENSITY * rms / peak)


def _planar(samples: NDArray[np.int16], channels: int) -> NDArray[np.float64]:
    """Return interleaved samples as float64[channels, …], 1 is full scale."""
    planar: NDArray[np.float64] = samples.reshape(-1, channels).T / _FULL_SCALE
    return planar


def _along(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values for each sample on the way from one block's edge to the next."""
    ramp = np.arange(BLOCK_SAMPLES) / BLOCK_SAMPLES
    along: NDArray[np.float64] = edges[:-1, None] + np.diff(edges)[:, None] * ramp
    return along.reshape(-1)
