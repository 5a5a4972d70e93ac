"""A media playlist as it was read: tags, segments and parts, wrong ones included."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^",]*)(?:,|$)')
_NUMBER = re.compile(r"\d{1,20}(?:\.\d{0,20})?")


@dataclass(frozen=True)
class Tag:
    """A line that begins with #EXT; `line` counts from 1."""

    name: str
    value: str
    line: int

    @cached_property
    def attributes(self) -> dict[str, str]:
        """The attributes as they stand there, quotes included; of a name given twice the last."""
        return {found[1]: found[2] for found in _ATTRIBUTE.finditer(self.value)}

    @property
    def is_attribute_list(self) -> bool:
        """Whether the value is an attribute list that names nothing twice (§4.2)."""
        found = list(_ATTRIBUTE.finditer(self.value))
        whole = "".join(one[0] for one in found) == self.value and not self.value.endswith(",")
        return whole and bool(found) and len({one[1] for one in found}) == len(found)

    def text(self, name: str) -> str:
        """Return an attribute without its quotes, "" if it is not there."""
        return self.attributes.get(name, "").strip('"')

    def number(self, name: str) -> float | None:
        """Return an attribute as a number."""
        return number(self.attributes.get(name, ""))


@dataclass(frozen=True)
class PartLine:
    """A partial segment."""

    uri: str
    duration_s: float | None
    is_gap: bool
    tag: Tag
    key: Tag | None
    map: Tag | None


@dataclass(frozen=True)
class SegmentLine:
    """A segment and what applies to it. `duration_s` is None without a proper EXTINF."""

    msn: int
    uri: str
    line: int
    duration_s: float | None
    discontinuity: int
    key: Tag | None
    map: Tag | None
    date: Tag | None
    parts: tuple[PartLine, ...]
    is_discontinuous: bool
    is_gap: bool


@dataclass
class Listing:
    """A whole playlist. `open_parts` are those of the segment that is not complete."""

    lines: list[str]
    tags: list[Tag] = field(default_factory=list)
    segments: list[SegmentLine] = field(default_factory=list)
    open_parts: tuple[PartLine, ...] = ()
    open_key: Tag | None = None

    def all(self, *names: str) -> Iterator[Tag]:
        """Give the tags of these names, in order."""
        return (tag for tag in self.tags if tag.name in names)

    def first(self, name: str) -> Tag | None:
        """Return the first tag of that name."""
        return next(self.all(name), None)

    def value(self, name: str) -> float | None:
        """Return what a tag says, if that is a number."""
        tag = self.first(name)
        return None if tag is None else number(tag.value)

    def attribute(self, name: str, attribute: str) -> float | None:
        """Return an attribute of a tag, if both are there and it is a number."""
        tag = self.first(name)
        return None if tag is None else tag.number(attribute)

    @property
    def target_s(self) -> float:
        """The target duration, 0 if there is none."""
        return self.value("EXT-X-TARGETDURATION") or 0.0

    @property
    def part_target_s(self) -> float | None:
        """The part target duration."""
        return self.attribute("EXT-X-PART-INF", "PART-TARGET")

    @property
    def skipped(self) -> int:
        """How many segments a delta update leaves out."""
        return int(self.attribute("EXT-X-SKIP", "SKIPPED-SEGMENTS") or 0)

    @property
    def first_msn(self) -> int:
        """The number of the first segment, listed or skipped."""
        return int(self.value("EXT-X-MEDIA-SEQUENCE") or 0)

    @property
    def is_ended(self) -> bool:
        """Whether nothing comes any more."""
        return self.first("EXT-X-ENDLIST") is not None

    @property
    def duration_s(self) -> float:
        """How long the listed segments are."""
        return sum(one.duration_s or 0.0 for one in self.segments)

    @cached_property
    def parts(self) -> list[PartLine]:
        """All parts, those of the open segment included."""
        listed = [part for segment in self.segments for part in segment.parts]
        return [*listed, *self.open_parts]


class _Reader:
    """Where in the playlist one is."""

    def __init__(self, lines: list[str]) -> None:
        self.listing = Listing(lines)
        self._msn = 0
        self._discontinuity = 0
        self._key: Tag | None = None
        self._map: Tag | None = None
        self._begin()

    def _begin(self) -> None:
        self._duration: float | None = None
        self._date: Tag | None = None
        self._parts: list[PartLine] = []
        self._is_discontinuous = False
        self._is_gap = False

    def tag(self, tag: Tag) -> None:
        """Take a tag."""
        self.listing.tags.append(tag)
        match tag.name:
            case "EXTINF":
                self._duration = number(tag.value.partition(",")[0])
            case "EXT-X-MEDIA-SEQUENCE" | "EXT-X-SKIP":
                self._msn = self.listing.first_msn + self.listing.skipped
            case "EXT-X-DISCONTINUITY":
                self._is_discontinuous = True
                self._discontinuity += 1
            case "EXT-X-DISCONTINUITY-SEQUENCE":
                self._discontinuity = int(number(tag.value) or 0)
            case "EXT-X-KEY":
                self._key = None if tag.text("METHOD") == "NONE" else tag
            case "EXT-X-MAP":
                self._map = tag
            case "EXT-X-PROGRAM-DATE-TIME":
                self._date = tag
            case "EXT-X-GAP":
                self._is_gap = True
            case "EXT-X-PART":
                self._part(tag)
            case _:
                pass

    def _part(self, tag: Tag) -> None:
        is_gap = tag.text("GAP") == "YES"
        duration = tag.number("DURATION")
        part = PartLine(tag.text("URI"), duration, is_gap, tag, self._key, self._map)
        self._parts.append(part)

    def uri(self, uri: str, line: int) -> None:
        """Take the address that completes a segment."""
        segment = SegmentLine(
            self._msn + len(self.listing.segments),
            uri,
            line,
            self._duration,
            self._discontinuity,
            self._key,
            self._map,
            self._date,
            tuple(self._parts),
            self._is_discontinuous,
            self._is_gap,
        )
        self.listing.segments.append(segment)
        self._begin()

    def end(self) -> Listing:
        """Return all of it."""
        self.listing.open_parts = tuple(self._parts)
        self.listing.open_key = self._key
        return self.listing


def read(text: str) -> Listing:
    """Return what a playlist says. Never fails: what is wrong is for the rules to tell."""
    lines = re.split(r"\r?\n", text)
    reader = _Reader(lines)
    for number_, line in enumerate(lines, 1):
        if line.startswith("#EXT"):
            name, _, value = line[1:].partition(":")
            reader.tag(Tag(name, value, number_))
        elif line and not line.startswith("#"):
            reader.uri(line, number_)
    return reader.end()


def number(text: str) -> float | None:
    """Return a decimal number as §4.2 writes it."""
    return float(text) if _NUMBER.fullmatch(text) else None


def date(text: str) -> float | None:
    """Return an ISO 8601 date and time with its zone in seconds since 1970."""
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        return None
