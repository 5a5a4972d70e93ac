"""Gains: decibels to factors, and where a voice stands between left and right."""

from math import cos, pi, sin, sqrt


def factor(gain_db: float) -> float:
    """Return what to multiply samples by; exactly 1 for 0 dB."""
    return float(10.0 ** (gain_db / 20))


def pan_mono(pan: float) -> tuple[float, float]:
    """Return the factors of left and right for a mono voice at `pan` (-1 left..1 right).

    Constant power, and 1 each in the middle: there a voice is as loud, and its samples are the
    same, as in a mono room.
    """
    if pan == 0.0:
        return 1.0, 1.0
    angle = (pan + 1) * pi / 4
    # The cosine of a right angle is not quite 0 in floating point.
    return sqrt(2) * max(0.0, round(cos(angle), 12)), sqrt(2) * max(0.0, round(sin(angle), 12))


def pan_stereo(pan: float) -> tuple[float, float]:
    """Return the factors of left and right for a voice that is stereo itself: a balance.

    One side falls as it does for a mono voice, the other stays.
    """
    left, right = pan_mono(pan)
    return min(1.0, left), min(1.0, right)
