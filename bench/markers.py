"""Markers in a sound: sweeps of many kinds, so that each is known at the other end by itself."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from bench.eartap import Tapped
from bench.material import Pcm, room_noise
from mixer.types import SAMPLE_RATE

_signal: Any = scipy.signal

BED_DBOV = -45  # above every silence gate
SPACING_S = 1.0
LENGTH_S = 0.12
# From one of these to another, in Hz: all of them go through a speech codec.
_CORNERS = (400, 900, 1500, 2300, 3300)
_SWEEPS = tuple(itertools.permutations(_CORNERS, 2))[:18]
KINDS = len(_SWEEPS)  # one every so many seconds: longer than any delay that is looked for
_RATE = SAMPLE_RATE // 3  # enough for what the sweeps hold, and a third of the work
# Halves are looked for: a jitter buffer or a player that catches up cuts out some milliseconds, and
# what is cut within is no longer the sweep that it was.
_HALF = int(LENGTH_S * _RATE) // 2
DISTINCT = 3.0  # above the next kind; else a hole has made it like another
CLEAR = 8.0  # a peak of the matched filter above its median; noise stays below 5


@dataclass(frozen=True, slots=True)
class Onset:
    """The wall clock at the beginning of a marker, and which it is."""

    at_s: float
    kind: int


def marked_sound(count: int) -> Pcm:
    """Return a loop of room noise with at least so many markers, and every kind as often."""
    count = -(-count // KINDS) * KINDS
    pcm = room_noise(count * SPACING_S, level_dbov=BED_DBOV, seed=5).copy()
    for number in range(count):
        start = int((number + 0.4) * SPACING_S * SAMPLE_RATE)
        sweep = _sweep(number % KINDS, SAMPLE_RATE)
        pcm[start : start + len(sweep)] += (sweep * 32768 * 10 ** (-12 / 20)).astype(np.int16)
    return pcm


def onsets(heard: Tapped) -> list[Onset]:
    """Return the markers in a sound."""
    if len(heard.pcm) < SAMPLE_RATE * LENGTH_S:
        return []
    sound = _signal.resample_poly(heard.pcm.astype(np.float32), _RATE, SAMPLE_RATE)
    matches = np.stack([_match(sound, _sweep(kind, _RATE)) for kind in range(KINDS)])
    best: NDArray[np.float32] = matches.max(axis=0)
    least = CLEAR * max(float(np.median(matches)), 1.0)
    peaks, _ = _signal.find_peaks(best, height=least, distance=int(0.5 * SPACING_S * _RATE))
    if not len(peaks):
        return []
    # Less is one that the recording cuts.
    loud = peaks[best[peaks] > 0.6 * np.median(best[peaks])]
    found = []
    for peak in loud.tolist():
        kind = int(matches[:, peak].argmax())
        second = float(np.partition(matches[:, peak], -2)[-2])
        if best[peak] > DISTINCT * second:
            found.append(Onset(heard.at_s(3 * peak), kind))
    return found


def _match(sound: NDArray[np.float32], sweep: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how well a sweep fits at each place where it could begin: the better of its halves."""
    first, second = (
        np.abs(_signal.fftconvolve(sound, half[::-1], mode="valid"))
        for half in (sweep[:_HALF], sweep[_HALF:])
    )
    better: NDArray[np.float32] = np.maximum(first[:-_HALF], second[_HALF:])
    return better


def delays_s(given: Sequence[Onset], heard: Sequence[Onset], longest_s: float) -> list[float]:
    """Return the delay of each marker that was heard within `longest_s`, in order."""
    assert longest_s < KINDS * SPACING_S, "else the next of a kind could be meant"
    found = []
    for one in given:
        same = (other.at_s - one.at_s for other in heard if other.kind == one.kind)
        late = [delay for delay in same if 0 < delay < longest_s]
        if late:
            found.append(late[0])
    return found


def _sweep(kind: int, rate: int) -> NDArray[np.float32]:
    """Return a sweep of amplitude sqrt(2), its ends ramped over 2 ms."""
    low, high = _SWEEPS[kind]
    count = int(LENGTH_S * rate)
    t = np.arange(count) / rate
    wave = np.sin(2 * np.pi * (low * t + (high - low) * t**2 / (2 * LENGTH_S)))
    ramp = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.002 * rate))
    made: NDArray[np.float32] = (wave * ramp * np.sqrt(2)).astype(np.float32)
    return made
