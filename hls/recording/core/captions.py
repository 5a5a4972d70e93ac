"""The captions of a recording: a WebVTT file of cues, one behind the other as they came."""

import re

from hls.core.webvtt import Cue, text_of, time_of

HEAD = b"WEBVTT\n\n"
BLANK_LINE = b"\n\n"  # behind the head and each cue: what is behind the last one is half written
_TIME = rb"(\d{2,}):(\d\d):(\d\d)\.(\d{3})"
_TIMES = re.compile(_TIME + b" --> " + _TIME + b"\n")
_NO_NAME = re.compile(r"[^A-Za-z0-9-]")


def path_of(suffix: str, language: str) -> str:
    """Return the file of a language beside `mix{suffix}`, where players look for it."""
    return f"mix{suffix}.{_NO_NAME.sub('-', language)}.vtt"


def block(cue: Cue) -> bytes:
    """Return a cue as it is appended, its samples counted from the file's beginning.

    Nothing if it says nothing.
    """
    text = text_of(cue)
    if not text:
        return b""
    return f"{time_of(cue.start)} --> {time_of(cue.end)}\n{text}\n\n".encode(errors="replace")


def in_order(data: bytes) -> bytes:
    """Return a file with its whole cues by when they begin, as they must be (WebVTT §4.1)."""
    cues = sorted(_cues(data), key=lambda cue: cue[0])
    return HEAD + b"".join(text + BLANK_LINE for _, _, text in cues)


def seconds(data: bytes) -> float:
    """Return when the last of a file's cues is over."""
    return max((end for _, end, _ in _cues(data)), default=0) / 1000


def _cues(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return each whole cue: its two times in ms, and the block. What is none is left out."""
    *blocks, _half = data.split(BLANK_LINE)
    found = ((_TIMES.match(text), text) for text in blocks)
    return [
        (_ms(*times.groups()[:4]), _ms(*times.groups()[4:]), text)
        for times, text in found
        if times is not None
    ]


def _ms(hours: bytes, minutes: bytes, seconds: bytes, ms: bytes) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(ms)
