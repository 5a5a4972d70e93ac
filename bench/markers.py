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
UNEVEN_S = 0.35  # each chirp is off its place by up to so much: their order tells them apart
CLEAR = 8.0  # a peak of the matched filter above its median; noise stays below 5
ALIKE_S = 0.1  # what counts as the same delay, to find out which marker is which
WANDERS_S = 0.2  # from one marker to the next: more than any player does, less than the spacing


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
    """Return the delay of each marker that was heard, in order; it is below `longest_s`.

    The delay that most pairs agree on says which is which; the spacing is uneven, so no other one
    fits as many.
    """
    if not len(given) or not len(heard):
        return []
    apart = (heard[:, None] - given[None, :]).ravel()
    apart = apart[(apart > 0) & (apart < longest_s)]
    if not len(apart):
        return []
    apart.sort()
    counts = np.searchsorted(apart, apart + ALIKE_S) - np.arange(len(apart))
    best = int(counts.argmax())
    common = float(np.median(apart[best : best + counts[best]]))
    return _followed(given, heard, common)


def _followed(given: NDArray[np.float64], heard: NDArray[np.float64], common: float) -> list[float]:
    """Follow the delay from a marker that has the common one to both ends: it may wander."""
    nearest = [float(heard[np.abs(heard - at - common).argmin()] - at) for at in given]
    first = int(np.abs(np.asarray(nearest) - common).argmin())
    found: dict[int, float] = {}
    for way in (range(first, len(given)), range(first - 1, -1, -1)):
        last = nearest[first]
        for number in way:
            rest = heard - given[number] - last
            closest = float(rest[np.abs(rest).argmin()])
            if abs(closest) < WANDERS_S:
                last += closest
                found[number] = last
    return [found[number] for number in sorted(found)]
