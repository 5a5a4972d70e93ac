"""Markers in a sound: chirps at uneven times, and which of them is which at the other end."""

from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from bench.eartap import Tapped
from bench.material import Pcm, chirp, room_noise
from mixer.types import SAMPLE_RATE

_signal: Any = scipy.signal

BED_DBOV = -45  # above every silence gate
SPACING_S = 1.0
UNEVEN_S = 0.3  # each chirp is off its place by up to so much: their order tells them apart
CLEAR = 8.0  # a peak of the matched filter above its median; noise stays below 5
NEAR_S = 0.6  # how far a single marker may be from the delay of all


def marked_sound(count: int, seed: int = 5) -> Pcm:
    """Return a loop of room noise with so many chirps."""
    random = np.random.default_rng(seed)
    pcm = room_noise(count * SPACING_S, level_dbov=BED_DBOV, seed=seed).copy()
    sweep = chirp()
    for number in range(count):
        at_s = (number + 0.5) * SPACING_S + random.uniform(-UNEVEN_S, UNEVEN_S)
        start = int(at_s * SAMPLE_RATE)
        pcm[start : start + len(sweep)] += sweep
    return pcm


def onsets_s(heard: Tapped) -> NDArray[np.float64]:
    """Return the wall clock at the beginning of each chirp."""
    sweep = chirp().astype(np.float64)
    if len(heard.pcm) < len(sweep):
        return np.zeros(0)
    match = np.abs(_signal.fftconvolve(heard.pcm.astype(np.float64), sweep[::-1], mode="valid"))
    least = CLEAR * max(float(np.median(match)), 1.0)
    apart = int((SPACING_S - 2 * UNEVEN_S) * SAMPLE_RATE * 0.8)
    peaks, _ = _signal.find_peaks(match, height=least, distance=apart)
    strong = match[peaks] > 0.3 * np.median(match[peaks]) if len(peaks) else []
    found: NDArray[np.float64] = heard.origin_s + peaks[strong] / SAMPLE_RATE
    return found


def delays_s(
    given: NDArray[np.float64], heard: NDArray[np.float64], longest_s: float
) -> list[float]:
    """Return the delay of each marker that was heard, in order.

    The delay that most pairs agree on says which is which; the spacing is uneven, so no other one
    fits as many.
    """
    if not len(given) or not len(heard):
        return []
    apart = (heard[:, None] - given[None, :]).ravel()
    apart = apart[(apart > 0) & (apart < longest_s)]
    if not len(apart):
        return []
    # Delays wander by some 0.1 s: count what lies in a window around each candidate.
    apart.sort()
    width = 0.15
    counts = np.searchsorted(apart, apart + width) - np.arange(len(apart))
    best = int(counts.argmax())
    common = float(np.median(apart[best : best + counts[best]]))
    found = []
    for at in given:
        rest = heard - at - common
        nearest = int(np.abs(rest).argmin())
        if abs(rest[nearest]) < NEAR_S / 2:
            found.append(common + float(rest[nearest]))
    return found
