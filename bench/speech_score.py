"""How well speech survived: PESQ-WB, STOI and the delay, of a recording against what was said."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray
from pesq import NoUtterancesError, pesq
from pystoi import stoi

from bench.material import Pcm
from mixer.types import SAMPLE_RATE

_signal: Any = scipy.signal

PESQ_RATE = 16_000  # ITU-T P.862.2
WORST_PESQ = 1.0
WINDOW = SAMPLE_RATE  # of the delay over time
LONGEST_LAG = SAMPLE_RATE  # a server that is a second late is not searched further
QUIET = 1e-3  # of the loudest window's energy: too little to align by


@dataclass(frozen=True, slots=True)
class Score:
    """`lags` are samples by which each window of speech came later, in order."""

    pesq: float
    stoi: float
    lags: tuple[int, ...]


def score(said: Pcm, heard: Pcm, expected_lag: int) -> Score:
    """Score `heard`, in which sample n + lag should be sample n of `said` (48 kHz, mono)."""
    lags = _lags(said, heard, expected_lag)
    lag = int(np.median(lags)) if lags else expected_lag
    aligned = np.zeros(len(said), np.float64)
    first, last = max(0, -lag), min(len(said), len(heard) - lag)
    if last > first:
        aligned[first:last] = heard[first + lag : last + lag]
    reference = _narrow(said.astype(np.float64))
    degraded = _narrow(aligned)
    return Score(_pesq(reference, degraded), _stoi(reference, degraded), tuple(lags))


def _narrow(pcm: NDArray[np.float64]) -> NDArray[np.float64]:
    narrowed: NDArray[np.float64] = _signal.resample_poly(pcm, 1, SAMPLE_RATE // PESQ_RATE)
    return narrowed / 32768


def _pesq(reference: NDArray[np.float64], degraded: NDArray[np.float64]) -> float:
    if not degraded.any():
        return WORST_PESQ
    try:
        return float(pesq(PESQ_RATE, reference, degraded, "wb"))
    except NoUtterancesError:  # nothing that could be called speech is left
        return WORST_PESQ


def _stoi(reference: NDArray[np.float64], degraded: NDArray[np.float64]) -> float:
    return float(stoi(reference, degraded, PESQ_RATE)) if degraded.any() else 0.0


def _lags(said: Pcm, heard: Pcm, expected_lag: int) -> list[int]:
    windows = [said[at : at + WINDOW] for at in range(0, len(said) - WINDOW + 1, WINDOW)]
    energies = [float(np.sum(window.astype(np.float64) ** 2)) for window in windows]
    found = []
    for number, (window, energy) in enumerate(zip(windows, energies, strict=True)):
        start = number * WINDOW + expected_lag - LONGEST_LAG // 4
        around = heard[max(0, start) : max(0, start + WINDOW + LONGEST_LAG)].astype(np.float64)
        if energy < QUIET * max(energies) or len(around) < WINDOW:
            continue
        match = _signal.fftconvolve(around, window[::-1].astype(np.float64), mode="valid")
        found.append(int(match.argmax()) + max(0, start) - number * WINDOW)
    return found
