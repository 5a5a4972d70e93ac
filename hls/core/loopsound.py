"""Sound made to be played round and round: fitted to the grid of AAC frames, at one loudness."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hls.core.kweighting import BLOCK_SAMPLES, BLOCKS, KWeighting
from hls.core.leveller import CEILING_DBTP, MOST_BOOST_DB, MOST_CUT_DB
from hls.core.limiter import AHEAD_BLOCKS, Limiter
from hls.core.loudness import SILENCE_LUFS, Meter
from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE
from hls.core.truepeak import REACH, block_peaks

# What is shorter is laid down several times, so that fitting it changes its pitch by no more than
# 0.11 % (two cents, and a fifth of that for a minute of music).
LEAST_SAMPLES: Final = 10 * SAMPLE_RATE
_TAPS: Final = 16
_PHASES: Final = 4096  # between two samples: what is lost is 76 dB below at 10 kHz
_RUN_IN: Final = 16  # frames after which a limiter has forgotten how it began
_FULL_SCALE: Final = np.float32(32_768)


def grid_frames(samples: int) -> int:
    """Return how many frames the loop of a sound of so many samples has."""
    return round(_rounds(samples) * samples / AAC_SAMPLES)


def on_grid(sound: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
    """Return `sound`, int16[samples, channels] of at least one, in whole frames int16[1024, …].

    The end goes on into the beginning as if it were one piece, whatever it is cut at.
    """
    frames = grid_frames(len(sound))
    step = _rounds(len(sound)) * len(sound) / (frames * AAC_SAMPLES)
    taps = np.arange(_TAPS) - _TAPS // 2 + 1
    for index in range(frames):
        places = (index * AAC_SAMPLES + np.arange(AAC_SAMPLES)) * step
        whole = np.floor(places).astype(np.int64)
        weights = _WEIGHTS[((places - whole) * _PHASES).astype(np.int64)]
        around = sound[(whole[:, None] + taps) % len(sound)].astype(np.float32)
        made = np.einsum("nt,ntc->nc", weights, around)
        yield np.clip(np.rint(made), -32_768, 32_767).astype(np.int16)


def loudness_lufs(loop: NDArray[np.int16]) -> float:
    """Return the integrated loudness of int16[frames, 1024, channels]."""
    channels = loop.shape[2]
    meter, weighting = Meter(), KWeighting(channels)
    for frame in loop:
        _ = meter.push(weighting.energies(_planar(frame).astype(np.float64)))
    return meter.integrated_lufs


def levelled(
    loop: NDArray[np.int16], loudness_lufs: float, target_lufs: float
) -> Iterator[NDArray[np.int16]]:
    """Return the frames of a loop of that loudness, int16[frames, 1024, channels], at another one.

    It is one gain for all of it, so that loud and quiet stay what they are to each other; but true
    peaks are held below the leveller's ceiling.
    """
    wanted_db = 0.0 if loudness_lufs <= SILENCE_LUFS else target_lufs - loudness_lufs
    gain = 10 ** (min(MOST_BOOST_DB, max(MOST_CUT_DB, wanted_db)) / 20)
    limiter = Limiter(10 ** (CEILING_DBTP / 20))
    for index in range(-_RUN_IN, len(loop)):
        limits = limiter.gains(*_peaks(loop, index, gain))
        if index >= 0:
            curve = gain if limits is None else gain * limits[:, None]
            whole = np.rint(loop[index] * curve)
            yield np.clip(whole, -32_768, 32_767).astype(np.int16)


def _rounds(samples: int) -> int:
    return max(1, math.ceil(LEAST_SAMPLES / samples))


def _peaks(
    loop: NDArray[np.int16], index: int, gain: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the peaks of a frame's blocks, and of the first ones of the next."""
    before, frame, after = (loop[(index + step) % len(loop)] for step in (-1, 0, 1))
    later = after[: AHEAD_BLOCKS * BLOCK_SAMPLES + REACH]
    around = np.ascontiguousarray(_planar(np.concatenate((before[-REACH:], frame, later))))
    peaks = block_peaks(around) * gain
    return peaks[:BLOCKS], peaks[BLOCKS:]


def _planar(frame: NDArray[np.int16]) -> NDArray[np.float32]:
    return frame.T.astype(np.float32) / _FULL_SCALE


def _sincs() -> NDArray[np.float32]:
    """Return a windowed sinc for each place between two samples: float32[phases, taps]."""
    taps = np.arange(_TAPS) - _TAPS // 2 + 1
    distance = taps - np.arange(_PHASES)[:, None] / _PHASES
    window = np.cos(np.pi * distance / _TAPS) ** 2
    filters = np.sinc(distance) * window
    unit: NDArray[np.float32] = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return unit


_WEIGHTS: Final = _sincs()
