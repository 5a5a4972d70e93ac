"""Speech made shorter or longer by one pitch period (WSOLA: overlap-add where it is most alike).

The waveform of a voice repeats; where two stretches of it are nearly the same, one of them can be
left out or said twice, and a cross-fade over 10 ms hides the seam. Pitch and timbre stay.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mixer.types import Int16Frame

MIN_PERIOD = 120
"""2.5 ms: a voice of 400 Hz."""
MAX_PERIOD = 720
"""15 ms: a voice of 67 Hz."""
FADE = 480  # 10 ms is compared and faded: a period of most voices
GOOD_CORRELATION = 0.9  # below it a seam is heard; voiced speech has 0.95 and more
QUIET_RMS = 100.0  # -50 dBov: in room noise no seam is heard, however unlike its sides are

_COARSE = 6  # 8 kHz tells all periods of a voice apart, at a thirty-sixth of the work
_FADE_IN = ((np.arange(FADE, dtype=np.float32) + 0.5) / FADE)[:, np.newaxis]


def shorten(pcm: Int16Frame, at_most: int = MAX_PERIOD) -> Int16Frame:
    """Return `pcm` without one period near its beginning, or as it is if none repeats well.

    `pcm` is int16[n] or int16[n, channels] at 48 kHz; the result is 120 to `at_most` samples
    shorter. It begins as `pcm` does and ends as it does.
    """
    longest = min(at_most, MAX_PERIOD, len(pcm) - FADE)
    if longest < MIN_PERIOD:
        return pcm
    mono = _mono(pcm[: longest + FADE])
    shift = _best_shift(mono[:FADE], mono[MIN_PERIOD:])
    if shift is None:
        return pcm
    period = MIN_PERIOD + shift
    seam = _fade(pcm[:FADE], pcm[period : period + FADE])
    return np.concatenate((seam, pcm[period + FADE :]))


def lengthen(before: Int16Frame, pcm: Int16Frame) -> Int16Frame:
    """Return `pcm` with the last period of `before`, which was played, said again at its beginning.

    The shapes are those of `shorten`; the result is 120 to 720 samples longer, or `pcm` itself. It
    begins as `pcm` does, so that it continues `before`, and ends as it does.
    """
    longest = min(MAX_PERIOD, len(before))
    if longest < MIN_PERIOD or len(pcm) < FADE:
        return pcm
    near = np.concatenate((before[len(before) - longest :], pcm[:FADE]))
    mono = _mono(near)
    shift = _best_shift(mono[longest:], mono[: longest - MIN_PERIOD + FADE])
    if shift is None:
        return pcm
    seam = _fade(pcm[:FADE], near[shift : shift + FADE])
    return np.concatenate((seam, near[shift + FADE :], pcm[FADE:]))


def _mono(pcm: Int16Frame) -> NDArray[np.float32]:
    return pcm.astype(np.float32) if pcm.ndim == 1 else pcm.sum(axis=1, dtype=np.float32)


def _best_shift(part: NDArray[np.float32], place: NDArray[np.float32]) -> int | None:
    """Return where in `place` it is most like `part`; None if nowhere enough.

    In room noise the best is always good enough.
    """
    last = len(place) - len(part)
    rough = int(np.argmax(_likeness(_coarse(part), _coarse(place)))) * _COARSE
    first = max(0, rough - _COARSE)
    fine = _likeness(part, place[first : min(rough + _COARSE, last) + len(part)])
    best = int(np.argmax(fine))
    is_quiet = float(part @ part) < QUIET_RMS**2 * len(part)
    return first + best if is_quiet or fine[best] >= GOOD_CORRELATION else None


def _coarse(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    whole = len(signal) // _COARSE * _COARSE
    means: NDArray[np.float32] = signal[:whole].reshape(-1, _COARSE).mean(axis=1)
    return means


def _likeness(part: NDArray[np.float32], place: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the correlation (-1..1) of `part` with each stretch of `place` of its length."""
    windows = sliding_window_view(place, len(part))
    energy = np.einsum("ij,ij->i", windows, windows)
    likeness: NDArray[np.float32] = windows @ part / np.sqrt(energy * (part @ part) + 1.0)
    return likeness


def _fade(old: Int16Frame, new: Int16Frame) -> Int16Frame:
    """Lead from `old` to `new` over their whole length."""
    gain = _FADE_IN if old.ndim > 1 else _FADE_IN[:, 0]
    mixed: Int16Frame = np.rint(old + (new.astype(np.float32) - old) * gain).astype(np.int16)
    return mixed
