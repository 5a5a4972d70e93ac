"""Sound made shorter or longer by a period (WSOLA: overlap-add where it is most alike).

The waveform of a voice repeats; where two stretches of it are nearly the same, what lies between
their beginnings can be left out or said twice, and a cross-fade over 10 ms hides the seam. Pitch
and timbre stay. All sums are of whole numbers below 2**53, hence exact in any order: the same sound
is cut alike on every machine.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mixer.types import Int16Frame

MIN_PERIOD = 120
"""2.5 ms: a voice of 400 Hz."""
SLOW_PERIOD = 720
"""15 ms: a voice of 67 Hz."""
MAX_PERIOD = 960
"""20 ms: several periods of most voices, so that one seam wins a whole frame."""
FADE = 480  # 10 ms is compared and faded: a period of most voices
GOOD = 0.9  # voiced speech has more
PATIENT_TICKS = 25  # 0.5 s: no hiss or stop of speech lasts as long
SOFTER_EACH_TICK = 0.03  # after 1.1 s, in what never repeats, any place will do
QUIET_RMS = 100.0  # -50 dBov: in room noise no seam is heard, however unlike its sides are

_COARSE = 12  # 4 kHz tell all periods of a voice apart, at a fraction of the work
_HOP = 6  # 1.5 ms: how far apart the places are that are tried for the first of two stretches
_SEARCHED = 1920  # where there is more, the rest has its turn in later ticks
LONG_BONUS = 0.03  # the likeness that 20 ms at once are worth: fewer seams
_FADE_IN = ((np.arange(FADE) + 0.5) / FADE)[:, np.newaxis]

_Channels = NDArray[np.float64]  # [channels, samples], whole numbers


def least_likeness(waited_ticks: int) -> float:
    """Return how alike the sides of a seam must be after so many ticks that found no such place."""
    return max(0.0, GOOD - max(0, waited_ticks - PATIENT_TICKS) * SOFTER_EACH_TICK)


def is_quiet(pcm: Int16Frame) -> bool:
    """Return whether `pcm` is no louder than room noise."""
    flat = pcm.reshape(-1).astype(np.float64)
    return float(flat @ flat) < QUIET_RMS**2 * len(flat)


def shorten(pcm: Int16Frame, at_most: int = MAX_PERIOD, *, least: float = GOOD) -> Int16Frame:
    """Return `pcm` without one period out of its first 40 ms, or as it is if none repeats well.

    `pcm` is int16[n] or int16[n, channels] at 48 kHz; the result is 120 to `at_most` samples
    shorter. It begins as `pcm` does, and what follows `pcm` can follow it. The sides of the seam
    are alike (0..1) by `least` or more.
    """
    near = pcm[:_SEARCHED]
    longest = min(at_most, MAX_PERIOD, len(near) - FADE)
    if longest < MIN_PERIOD:
        return pcm
    found = _most_alike(near, longest, 0, least)
    if found is None:
        return pcm
    first, second = found
    return _joined(pcm, first, second)


def cut(pcm: Int16Frame, samples: int) -> Int16Frame:
    """Return quiet `pcm` without as many samples of its beginning, whatever it holds.

    `pcm` has the shapes of `shorten` and is at least 480 samples longer than what is left out. It
    begins as before, so that it continues what was played.
    """
    return _joined(pcm, 0, samples)


def lengthen(
    before: Int16Frame, pcm: Int16Frame, at_most: int = MAX_PERIOD, *, least: float = GOOD
) -> Int16Frame:
    """Return `pcm` with one period said again in it, or as it is if none repeats well.

    The shapes are those of `shorten`; the result is 120 to `at_most` samples longer. It begins as
    `pcm` does, so that it continues `before`, which was played, and what follows `pcm` can follow
    it.
    """
    reach = min(at_most, MAX_PERIOD, len(before))
    if reach < MIN_PERIOD or len(pcm) < FADE:
        return pcm
    whole = np.concatenate((before[len(before) - reach :], pcm))
    found = _most_alike(whole[: reach + _SEARCHED // 2], reach, reach, least)
    if found is None:
        return pcm
    first, second = found
    return _joined(whole, second, first)[reach:]


def _joined(pcm: Int16Frame, leave: int, arrive: int) -> Int16Frame:
    """Return `pcm` up to `leave`, and from there on what it has from `arrive` on."""
    fade = _FADE_IN if pcm.ndim > 1 else _FADE_IN[:, 0]
    old, new = pcm[leave : leave + FADE], pcm[arrive : arrive + FADE]
    seam = np.rint(old + (new.astype(np.float64) - old) * fade).astype(np.int16)
    return np.concatenate((pcm[:leave], seam, pcm[arrive + FADE :]))


def _most_alike(
    pcm: Int16Frame, longest: int, from_sample: int, least: float
) -> tuple[int, int] | None:
    """Return where two stretches of 10 ms begin that are alike by `least`, if any are.

    They are 120 to `longest` samples apart; the second begins at `from_sample` or later.
    """
    signal: _Channels = np.atleast_2d(pcm.T).astype(np.float64)
    first, lag = _roughly(signal, longest, from_sample)
    shortest = max(MIN_PERIOD, lag - _COARSE, from_sample - first)
    after = min(longest, lag + _COARSE, signal.shape[1] - FADE - first) + 1
    place = signal[:, first + shortest : first + after - 1 + FADE]
    likeness = _likeness(signal[:, first : first + FADE], place)
    best = int(likeness.argmax())
    return (first, first + shortest + best) if likeness[best] >= least else None


def _roughly(signal: _Channels, longest: int, from_sample: int) -> tuple[int, int]:
    """Return the best first stretch and distance among all, to within some samples."""
    channels, samples = signal.shape
    fade, length = FADE // _COARSE, samples // _COARSE
    coarse = signal[:, : length * _COARSE].reshape(channels, length, _COARSE).sum(axis=2)
    windows = sliding_window_view(coarse, fade, axis=1).swapaxes(0, 1)
    stretches = windows.reshape(-1, fade * channels)
    count, begin = len(stretches), from_sample // _COARSE
    energy = (stretches * stretches).sum(axis=1)
    quiet = (QUIET_RMS * _COARSE) ** 2 * fade * channels
    likeness = np.maximum(stretches[::_HOP] @ stretches[begin:].T + quiet, 1.0)
    likeness /= energy[::_HOP, np.newaxis] + (energy[begin:] + 2 * quiet)
    likeness *= sliding_window_view(_worth(longest, count), count)[::-1][::_HOP, begin:]
    row, second = divmod(int(likeness.argmax()), count - begin)
    return row * _HOP * _COARSE, (second + begin - row * _HOP) * _COARSE


def _worth(longest: int, count: int) -> NDArray[np.float64]:
    """Return what each coarse distance from `1 - count` on is worth: nothing beyond the bounds."""
    apart = np.arange(1 - count, count, dtype=np.float64)
    worth = np.asarray(1 + apart * (LONG_BONUS * _COARSE / MAX_PERIOD), np.float64)
    worth[(apart < MIN_PERIOD // _COARSE) | (apart > longest // _COARSE)] = 0
    return worth


def _likeness(part: _Channels, place: _Channels) -> NDArray[np.float64]:
    """Return how alike (0..1) `part` is to each stretch of `place` of its length.

    That is one less the energy of their difference, as a share of both energies and that of room
    noise: as a correlation, but stretches of unlike loudness are not alike, and quiet ones are.
    """
    channels, length = part.shape
    pairs = zip(place, part, strict=True)
    both = sum(np.correlate(where, what, "valid") for where, what in pairs)
    energy = float((part * part).sum())
    quiet = QUIET_RMS**2 * length * channels
    energies = _sums((place * place).sum(axis=0), length)
    return np.asarray(2 * (both + quiet) / (energy + energies + 2 * quiet), np.float64)


def _sums(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the sum of each `count` neighbours."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return sums[count:] - sums[:-count]
