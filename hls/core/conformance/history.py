"""The rules for the playlists of one address over time: what was once said stays so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hls.core.conformance import media
from hls.core.conformance.finding import Complaints, Finding, Rules
from hls.core.conformance.listing import (
    Listing,
    PartLine,
    SegmentLine,
    date,
    number,
    read,
)

_ROUNDING_S: Final = 0.002  # dates and durations are written in milliseconds, and added


@dataclass(frozen=True)
class Fact:
    """What a player knows of a segment, however it got to know it."""

    msn: int
    uri: str
    duration_s: float
    discontinuity: int
    key: str
    map: str
    begins_unix_s: float | None
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Known:
    """A playlist with what was skipped filled in."""

    listing: Listing
    facts: tuple[Fact, ...]
    missing: int = 0  # skipped segments that nobody knows

    @property
    def by_msn(self) -> dict[int, Fact]:
        """The segments by their numbers."""
        return {fact.msn: fact for fact in self.facts}

    @property
    def end(self) -> tuple[int, int]:
        """The number of the segment that is not complete, and how many parts it has."""
        last = self.facts[-1].msn if self.facts else self.listing.first_msn - 1
        return last + 1, len(self.listing.open_parts)


@dataclass(frozen=True)
class Step:
    """From one playlist to the next."""

    before: Known
    after: Known

    @property
    def common(self) -> list[tuple[Fact, Fact]]:
        """Segments that are in both."""
        known = self.before.by_msn
        return [(known[fact.msn], fact) for fact in self.after.facts if fact.msn in known]


class History:
    """Checks the playlists of one address one after the other; it remembers the last one."""

    def __init__(self) -> None:
        self._known: Known | None = None

    @property
    def segments(self) -> tuple[Fact, ...]:
        """What a player knows now of the segments in the window, skipped ones included."""
        return self._known.facts if self._known else ()

    @property
    def end(self) -> tuple[int, int]:
        """The number of the segment that is not complete, and how many parts of it are known."""
        return self._known.end if self._known else (0, 0)

    def follow(self, text: str) -> list[Finding]:
        """Return what is wrong with the next playlist (or delta update), by itself and as the next.

        Never raises, whatever the text.
        """
        before, after = self._known, _known(read(text), self._known)
        self._known = after
        findings = media.check(text)
        return findings if before is None else findings + RULES.check(Step(before, after))


RULES: Final = Rules[Step]()


@RULES.rule("6.2.1")
def _target_duration_stays(step: Step) -> Complaints:
    if step.before.listing.target_s != step.after.listing.target_s:
        yield 0, "the target duration is another one"


@RULES.rule("6.2.1")
def _control_stays(step: Step) -> Complaints:
    for name in ("EXT-X-SERVER-CONTROL", "EXT-X-PART-INF"):
        one, other = step.before.listing.first(name), step.after.listing.first(name)
        if (one and one.attributes) != (other and other.attributes):
            yield 0, f"{name} is not what it was"


@RULES.rule("6.2.2")
def _media_sequence_never_falls(step: Step) -> Complaints:
    if step.after.listing.first_msn < step.before.listing.first_msn:
        yield 0, "the media sequence number fell"


@RULES.rule("6.2.2")
def _discontinuity_sequence_never_falls(step: Step) -> Complaints:
    name = "EXT-X-DISCONTINUITY-SEQUENCE"
    if (step.after.listing.value(name) or 0) < (step.before.listing.value(name) or 0):
        yield 0, "the discontinuity sequence number fell"


@RULES.rule("6.2.1")
def _segments_stay(step: Step) -> Complaints:
    for one, other in step.common:
        if (one.uri, one.duration_s) != (other.uri, other.duration_s):
            yield 0, f"segment {one.msn} has another name or duration"


@RULES.rule("6.2.1")
def _names_stay(step: Step) -> Complaints:
    numbers = {fact.uri: fact.msn for fact in step.before.facts}
    for fact in step.after.facts:
        if numbers.get(fact.uri, fact.msn) != fact.msn:
            yield 0, f"{fact.uri} is now the name of another segment"


@RULES.rule("6.2.3")
def _keys_stay(step: Step) -> Complaints:
    for one, other in step.common:
        if one.key != other.key:
            yield 0, f"segment {one.msn} has another key, or none"


@RULES.rule("4.4.4.5")
def _maps_stay(step: Step) -> Complaints:
    for one, other in step.common:
        if one.map != other.map:
            yield 0, f"segment {one.msn} has another map, or none"


@RULES.rule("6.2.1")
def _dates_stay(step: Step) -> Complaints:
    for one, other in step.common:
        if one.begins_unix_s is None or other.begins_unix_s is None:
            continue
        if abs(one.begins_unix_s - other.begins_unix_s) > _ROUNDING_S:
            yield 0, f"segment {one.msn} begins at another time"


@RULES.rule("6.2.2")
def _discontinuities_stay(step: Step) -> Complaints:
    for one, other in step.common:
        if one.discontinuity != other.discontinuity:
            yield 0, f"segment {one.msn} has another discontinuity sequence number"


@RULES.rule("6.2.1")
def _nothing_is_taken_back(step: Step) -> Complaints:
    if step.after.end < step.before.end:
        yield 0, "the newest segment or part is gone"


@RULES.rule("6.2.1")
def _parts_stay(step: Step) -> Complaints:
    last, _ = step.before.end
    was_open = {last: _parts(step.before.listing.open_parts)}
    before = {fact.msn: fact.parts for fact in step.before.facts} | was_open
    now = {fact.msn: fact.parts for fact in step.after.facts}
    now[step.after.end[0]] = _parts(step.after.listing.open_parts)
    for msn in before.keys() & now.keys():
        old, new = before[msn], now[msn]
        if new and new[: len(old)] != old:
            yield 0, f"the parts of segment {msn} are not what they were"


@RULES.rule("6.2.2")
def _parts_are_kept(step: Step) -> Complaints:
    """Keep the parts of a segment as long as its end is within three target durations."""
    listing = step.after.listing
    after_s = sum(part.duration_s or 0 for part in listing.open_parts)
    before = step.before.by_msn
    open_msn, count = step.before.end
    for fact in reversed(step.after.facts):
        had = count > 0 if fact.msn == open_msn else fact.msn in before and before[fact.msn].parts
        if had and not fact.parts and after_s < 3 * listing.target_s - _ROUNDING_S:
            yield 0, f"the parts of segment {fact.msn} are gone too early"
        after_s += fact.duration_s


@RULES.rule("6.2.6")
def _hint_comes_true(step: Step) -> Complaints:
    hints = step.before.listing.all("EXT-X-PRELOAD-HINT")
    hint = next((tag for tag in hints if tag.text("TYPE") == "PART"), None)
    msn, count = step.before.end
    parts = {fact.msn: fact.parts for fact in step.after.facts}
    parts[step.after.end[0]] = _parts(step.after.listing.open_parts)
    if hint is None or len(parts.get(msn, ())) <= count:
        return
    if parts[msn][count][0] != hint.text("URI"):
        yield 0, "the part that came is not the one that was hinted"


@RULES.rule("6.2.1")
def _date_ranges_stay(step: Step) -> Complaints:
    """Keep each range, with all it said, while it reaches into the window."""
    begins = next((one.begins_unix_s for one in step.after.facts if one.begins_unix_s), None)
    now = _ranges(step.after.listing)
    for name, attributes in _ranges(step.before.listing).items():
        if name in now:
            if any(now[name].get(key) != value for key, value in attributes.items()):
                yield 0, f"date range {name} is not what it was"
        elif begins is None or _ends(attributes) > begins:
            yield 0, f"date range {name} is gone too early"


@RULES.rule("4.4.3.4")
def _end_is_the_end(step: Step) -> Complaints:
    if step.before.listing.is_ended and step.before.listing.lines != step.after.listing.lines:
        yield 0, "the playlist changed after its end mark"


@RULES.rule("4.4.5.2")
def _delta_follows(step: Step) -> Complaints:
    if step.after.missing:
        yield 0, f"{step.after.missing} skipped segments were never listed"


def _known(listing: Listing, before: Known | None) -> Known:
    first = listing.first_msn
    old = before.by_msn if before else {}
    # What is skipped is what is known, not what is claimed: that may be a number without end.
    # Parts are never so far from the end.
    numbers = [n for n in sorted(old) if first <= n < first + listing.skipped]
    skipped = [replace(old[n], parts=()) for n in numbers]
    offset = 0
    if skipped:
        sequence = listing.value("EXT-X-DISCONTINUITY-SEQUENCE") or 0
        offset = skipped[-1].discontinuity - int(sequence)
    facts = [
        _fact(segment, skipped[-1].map if skipped else "", offset) for segment in listing.segments
    ]
    return Known(listing, _dated([*skipped, *facts]), missing=listing.skipped - len(skipped))


def _fact(segment: SegmentLine, init: str, offset: int) -> Fact:
    return Fact(
        segment.msn,
        segment.uri,
        segment.duration_s or 0.0,
        segment.discontinuity + offset,
        segment.key.value if segment.key else "",
        segment.map.text("URI") if segment.map else init,
        date(segment.date.value) if segment.date else None,
        _parts(segment.parts),
    )


def _dated(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Return the facts with a date each, as far as they follow one that has."""
    dated: list[Fact] = []
    for fact in facts:
        one = fact
        if one.begins_unix_s is None and dated and dated[-1].begins_unix_s is not None:
            begins = round(dated[-1].begins_unix_s + dated[-1].duration_s, 3)
            one = replace(one, begins_unix_s=begins)
        dated.append(one)
    return tuple(dated)


def _parts(parts: Sequence[PartLine]) -> tuple[tuple[str, float], ...]:
    return tuple((part.uri, part.duration_s or 0.0) for part in parts)


def _ranges(listing: Listing) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for tag in listing.all("EXT-X-DATERANGE"):
        found.setdefault(tag.text("ID"), {}).update(tag.attributes)
    return found


def _ends(attributes: dict[str, str]) -> float:
    """Return when a range is over, never if it does not say."""
    start = date(attributes.get("START-DATE", "").strip('"'))
    duration = number(attributes.get("DURATION", ""))
    return math.inf if start is None or duration is None else start + duration
