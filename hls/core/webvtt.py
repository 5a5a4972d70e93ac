"""Captions as WebVTT segments (draft-pantos-hls-rfc8216bis §3.1.4), on the clock of the sound."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES

_SEGMENT_SAMPLES = SEGMENT_FRAMES * AAC_SAMPLES
_SAMPLES_PER_MS = SAMPLE_RATE // 1000
_CLOCK_HZ = 90_000
_CLOCK_MODULUS = 2**33
# What would end a cue, or begin another: an empty line.
_LINE_ENDS = re.compile(r"[\r\n\x00]+")
_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}


@dataclass(frozen=True, slots=True)
class Cue:
    """What is said from media time `start` until `end`, in samples since the origin."""

    start: int
    end: int
    text: str


def segment(cues: Sequence[Cue], msn: int) -> bytes:
    """Return segment `msn` with all cues that are shown in it; it may well have none.

    A cue that reaches over a segment's end is in both, with the same times, so that who begins
    with the second shows it too. Times are told from the earliest of them on, for they may not be
    negative, and a clock of 33 bits has no other zero.
    """
    begin, end = msn * _SEGMENT_SAMPLES, (msn + 1) * _SEGMENT_SAMPLES
    shown = [cue for cue in cues if max(cue.start, begin) < min(cue.end, end) and text_of(cue)]
    zero = min([begin, *(cue.start for cue in shown)])
    mpeg_time = zero * _CLOCK_HZ // SAMPLE_RATE % _CLOCK_MODULUS
    blocks = [f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{mpeg_time},LOCAL:00:00:00.000"]
    blocks += [
        f"{time_of(cue.start - zero)} --> {time_of(cue.end - zero)}\n{text_of(cue)}"
        for cue in sorted(shown, key=lambda cue: (cue.start, cue.end))
    ]
    return ("\n\n".join(blocks) + "\n").encode(errors="replace")


def text_of(cue: Cue) -> str:
    """Return what a cue says as its block has it: marks escaped, no empty line."""
    return _LINE_ENDS.sub("\n", cue.text.translate(_ESCAPES)).strip("\n")


def time_of(samples: int) -> str:
    """Return a time as cues have it, to the millisecond."""
    minutes, ms = divmod(samples // _SAMPLES_PER_MS, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"
