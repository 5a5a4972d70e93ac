"""The rules for subtitles (draft-pantos-hls-rfc8216bis; the section stands at each).

Those for a playlist of WebVTT segments, for one such segment, and for what it is beside the sound.
"""

import re
from dataclasses import dataclass
from typing import Final

from hls.core.conformance.finding import Complaints, Finding, Rules
from hls.core.conformance.listing import Listing, SegmentLine, date, read

RULES: Final = Rules[Listing]()

_CLOCK_MODULUS: Final = 2**33  # of an MPEG-2 clock of 90 kHz
_ROUNDING_S: Final = 0.002
_TIME: Final = r"(\d{2,}:)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING: Final = re.compile(rf"{_TIME}[ \t]+-->[ \t]+{_TIME}([ \t].*)?")
_MAP: Final = re.compile(
    r"X-TIMESTAMP-MAP=(?:MPEGTS:(\d{1,10}),LOCAL:(\S+)|LOCAL:(\S+),MPEGTS:(\d{1,10}))"
)


@RULES.rule("3.1.4")
def _nothing_but_subtitles(listing: Listing) -> Complaints:
    if any(_is_webvtt(segment) for segment in listing.segments):
        for segment in listing.segments:
            if not _is_webvtt(segment):
                yield segment.line, f"{segment.uri} is no WebVTT segment, and others are"


@RULES.rule("4.4.4.5")
def _headers_are_not_elsewhere(listing: Listing) -> Complaints:
    """Let each WebVTT segment have its own header: players differ in taking it from a map."""
    for segment in listing.segments:
        if _is_webvtt(segment) and segment.map is not None:
            yield segment.line, f"{segment.uri} has an EXT-X-MAP"


@dataclass(frozen=True)
class Beside:
    """Two media playlists of one stream, as they are at one moment."""

    sound: Listing
    subtitles: Listing


BESIDE: Final = Rules[Beside]()


def check_beside(sound: str, subtitles: str) -> list[Finding]:
    """Return what is wrong with a playlist of subtitles beside one of the sound. Never raises."""
    return BESIDE.check(Beside(read(sound), read(subtitles)))


@BESIDE.rule("6.2.4")
def _same_target_duration(beside: Beside) -> Complaints:
    if beside.sound.target_s != beside.subtitles.target_s:
        yield 0, "the target duration is not that of the sound"


@BESIDE.rule("6.2.4")
def _content_differs_at_the_ends_only(beside: Beside) -> Complaints:
    sound, subtitles = _stretch(beside.sound), _stretch(beside.subtitles)
    if sound is None or subtitles is None:
        yield 0, "there is nothing with a date to compare"
        return
    most_s = beside.sound.target_s + _ROUNDING_S
    for one, other, which in zip(sound, subtitles, ("beginning", "end"), strict=True):
        if abs(one - other) > most_s:
            yield 0, f"the {which} is more than a target duration from that of the sound"


@BESIDE.rule("6.2.4")
def _discontinuities_match(beside: Beside) -> Complaints:
    sound = {round(begin, 1): one for one, begin in _dated(beside.sound)}
    for segment, begin in _dated(beside.subtitles):
        other = sound.get(round(begin, 1))
        if other is not None and other.discontinuity != segment.discontinuity:
            yield segment.line, f"{segment.uri} has not the sound's discontinuity sequence number"


def check_segment(text: str) -> list[Finding]:
    """Return what is wrong with a WebVTT segment; nothing if it is right. Never raises."""
    return SEGMENT.check(re.split(r"\r\n|\n|\r", text))


SEGMENT: Final = Rules[list[str]]()


@SEGMENT.rule("3.1.4")
def _begins_with_a_header(lines: list[str]) -> Complaints:
    if re.fullmatch(r"\ufeff?WEBVTT([ \t].*)?", lines[0]) is None:
        yield 1, "the first line is not WEBVTT"


@SEGMENT.rule("3.1.4")
def _tells_its_time(lines: list[str]) -> Complaints:
    header = lines[: lines.index("")] if "" in lines else lines
    maps = [n for n, line in enumerate(header, 1) if line.startswith("X-TIMESTAMP-MAP")]
    if not maps:
        yield 0, "there is no X-TIMESTAMP-MAP"
    for line in maps[1:]:
        yield line, "there is another X-TIMESTAMP-MAP"
    for line in maps[:1]:
        found = _MAP.fullmatch(header[line - 1])
        local = None if found is None else re.fullmatch(_TIME, found[2] or found[3])
        if found is None or local is None or int(found[1] or found[4]) >= _CLOCK_MODULUS:
            yield line, "the X-TIMESTAMP-MAP is not a time of both clocks"


@SEGMENT.rule("3.1.4")
def _cues_have_times(lines: list[str]) -> Complaints:
    for number, line in enumerate(lines, 1):
        if "-->" not in line:
            continue
        found = _TIMING.fullmatch(line)
        if found is None:
            yield number, "the times of the cue are none"
        elif _seconds(found, 1) >= _seconds(found, 5):
            yield number, "the cue ends before it begins"


def _seconds(found: re.Match[str], group: int) -> float:
    hours = int((found[group] or "0:")[:-1])
    minutes, seconds, ms = (int(found[group + n]) for n in (1, 2, 3))
    return hours * 3600 + minutes * 60 + seconds + ms / 1000


def _is_webvtt(segment: SegmentLine) -> bool:
    return segment.uri.partition("?")[0].endswith((".vtt", ".webvtt"))


def _dated(listing: Listing) -> list[tuple[SegmentLine, float]]:
    """Return the segments that follow a date, each with when it begins."""
    found: list[tuple[SegmentLine, float]] = []
    begin: float | None = None
    for segment in listing.segments:
        told = date(segment.date.value) if segment.date else None
        begin = begin if told is None else told
        if begin is not None:
            found.append((segment, begin))
            begin += segment.duration_s or 0.0
    return found


def _stretch(listing: Listing) -> tuple[float, float] | None:
    """Return when the first listed segment begins and the last one ends."""
    dated = _dated(listing)
    if not dated:
        return None
    last, begin = dated[-1]
    return dated[0][1], begin + (last.duration_s or 0.0)
