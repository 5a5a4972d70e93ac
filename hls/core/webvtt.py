"""Captions as WebVTT segments (draft-pantos-hls-rfc8216bis §3.1.4), on the clock of the sound."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES

_SAMPLES_PER_MS = SAMPLE_RATE // 1000
_SEGMENT_MS = SEGMENT_FRAMES * AAC_SAMPLES // _SAMPLES_PER_MS
_CLOCK_PER_MS = 90
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


class _Shown(NamedTuple):
    """A cue as it stands in files: in whole milliseconds, so that all of them tell the same."""

    start_ms: int
    end_ms: int
    text: str

    @property
    def id(self) -> str:
        """What players know it by: hls.js makes one of the times otherwise, as they are rounded."""
        return f"{self.start_ms}-{self.end_ms}-{crc32(self.text.encode(errors='replace')):08x}"


def segment(cues: Sequence[Cue], msn: int) -> bytes:
    """Return segment `msn` with all cues that are shown in it; it may well have none.

    A cue that reaches over a segment's end is in both, with the same times and the same id, so that
    who begins with the second shows it too, and who knows it from the first not again. Times are
    told from the earliest of them on, for they may not be negative, and a clock of 33 bits has no
    other zero.
    """
    begin, end = msn * _SEGMENT_MS, (msn + 1) * _SEGMENT_MS
    shown = [
        cue
        for cue in dict.fromkeys(map(_shown, cues))
        if max(cue.start_ms, begin) < min(cue.end_ms, end) and cue.text
    ]
    zero = min([begin, *(cue.start_ms for cue in shown)])
    mpeg_time = zero * _CLOCK_PER_MS % _CLOCK_MODULUS
    blocks = [f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{mpeg_time},LOCAL:00:00:00.000"]
    blocks += [
        f"{cue.id}\n{_time(cue.start_ms - zero)} --> {_time(cue.end_ms - zero)}\n{cue.text}"
        for cue in sorted(shown, key=lambda cue: (cue.start_ms, cue.end_ms))
    ]
    return ("\n\n".join(blocks) + "\n").encode(errors="replace")


def _shown(cue: Cue) -> _Shown:
    return _Shown(cue.start // _SAMPLES_PER_MS, cue.end // _SAMPLES_PER_MS, text_of(cue))


def text_of(cue: Cue) -> str:
    """Return what a cue says as its block has it: marks escaped, no empty line."""
    return _LINE_ENDS.sub("\n", cue.text.translate(_ESCAPES)).strip("\n")


def time_of(samples: int) -> str:
    """Return a time as cues have it, to the millisecond."""
    return _time(samples // _SAMPLES_PER_MS)


def _time(all_ms: int) -> str:
    minutes, ms = divmod(all_ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"
