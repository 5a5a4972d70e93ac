"""The rules for one media playlist (draft-pantos-hls-rfc8216bis; the section stands at each)."""

import re
from collections import Counter
from typing import Final

from hls.core.conformance import parts, subtitles
from hls.core.conformance.finding import Complaints, Finding, Rules
from hls.core.conformance.listing import Listing, date, number, read

RULES: Final = Rules[Listing]()

_METHODS: Final = {"NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR", "AES-256-GCM"}
_IV: Final = re.compile(r"0[xX][0-9A-Fa-f]{1,32}")
_FORBIDDEN: Final = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]|\r(?!\n)")
_ONCE: Final = (
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-PART-INF",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-SKIP",
    "EXT-X-ENDLIST",
)
_WITH_ATTRIBUTES: Final = (
    "EXT-X-KEY",
    "EXT-X-MAP",
    "EXT-X-PART",
    "EXT-X-PART-INF",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-SKIP",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-RENDITION-REPORT",
    "EXT-X-DATERANGE",
)
_OF_MULTIVARIANTS: Final = (
    "EXT-X-STREAM-INF",
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-MEDIA",
    "EXT-X-SESSION-DATA",
    "EXT-X-SESSION-KEY",
    "EXT-X-CONTENT-STEERING",
)


def check(text: str) -> list[Finding]:
    """Return what is wrong with a media playlist; nothing if it is right. Never raises."""
    listing = read(text)
    found = RULES.check(listing) + parts.RULES.check(listing)
    return found + subtitles.RULES.check(listing)


@RULES.rule("4.4.1.1")
def _begins_with_extm3u(listing: Listing) -> Complaints:
    if listing.lines[0] != "#EXTM3U":
        yield 1, "the first line is not #EXTM3U"


@RULES.rule("4.1")
def _plain_characters(listing: Listing) -> Complaints:
    for line, text in enumerate(listing.lines, 1):
        if _FORBIDDEN.search(text):
            yield line, "there is a control character or a byte order mark"


@RULES.rule("4.1")
def _one_kind(listing: Listing) -> Complaints:
    for tag in listing.all(*_OF_MULTIVARIANTS):
        yield tag.line, f"{tag.name} belongs into a multivariant playlist"


@RULES.rule("4.4.3")
def _once(listing: Listing) -> Complaints:
    for name in _ONCE:
        for tag in list(listing.all(name))[1:]:
            yield tag.line, f"{name} stands there again"


@RULES.rule("4.2")
def _attribute_lists(listing: Listing) -> Complaints:
    for tag in listing.all(*_WITH_ATTRIBUTES):
        if not tag.is_attribute_list:
            yield tag.line, f"{tag.name} has no proper attribute list"


@RULES.rule("8")
def _version_suffices(listing: Listing) -> Complaints:
    version = listing.value("EXT-X-VERSION") or 1
    needed, why = _needed_version(listing)
    if version < needed:
        yield 0, f"version {version:.0f} is too low for {why}, which needs {needed}"


@RULES.rule("6.2.1")
def _version_not_greater_than_needed(listing: Listing) -> Complaints:
    tag = listing.first("EXT-X-VERSION")
    needed, _ = _needed_version(listing)
    if tag is not None and (number(tag.value) or 0) > needed:
        yield tag.line, f"version {tag.value} is more than what is used needs, {needed}"


def _needed_version(listing: Listing) -> tuple[int, str]:
    skip = listing.first("EXT-X-SKIP")
    keys = list(listing.all("EXT-X-KEY"))
    durations = [tag.value.partition(",")[0] for tag in listing.all("EXTINF")]
    uses = (
        (
            10,
            "RECENTLY-REMOVED-DATERANGES",
            bool(skip and skip.text("RECENTLY-REMOVED-DATERANGES")),
        ),
        (9, "EXT-X-SKIP", skip is not None),
        (8, "EXT-X-DEFINE", listing.first("EXT-X-DEFINE") is not None),
        (6, "EXT-X-MAP", listing.first("EXT-X-MAP") is not None),
        (5, "KEYFORMAT", any(key.text("KEYFORMAT") for key in keys)),
        (4, "EXT-X-BYTERANGE", listing.first("EXT-X-BYTERANGE") is not None),
        (3, "a fraction in EXTINF", any("." in duration for duration in durations)),
        (2, "an IV", any(key.text("IV") for key in keys)),
    )
    return next(((version, what) for version, what, used in uses if used), (1, "anything"))


@RULES.rule("4.4.3.1")
def _target_duration(listing: Listing) -> Complaints:
    tag = listing.first("EXT-X-TARGETDURATION")
    if tag is None:
        yield 0, "there is no target duration"
    elif not tag.value.isdecimal():
        yield tag.line, "the target duration is not a whole number of seconds"


@RULES.rule("4.4.3.1")
def _within_target_duration(listing: Listing) -> Complaints:
    for segment in listing.segments:
        # Rounded as people round, not to the even number.
        if int((segment.duration_s or 0) + 0.5) > listing.target_s:
            yield segment.line, f"{segment.uri} is longer than the target duration"


@RULES.rule("4.4.3.2")
def _sequence_before_segments(listing: Listing) -> Complaints:
    first = listing.segments[0].line if listing.segments else len(listing.lines) + 1
    for tag in listing.all("EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"):
        if tag.line > first:
            yield tag.line, f"{tag.name} stands behind a segment"
        if not tag.value.isdecimal():
            yield tag.line, f"{tag.name} is not a whole number"


@RULES.rule("4.4.3.3")
def _discontinuity_sequence_first(listing: Listing) -> Complaints:
    first = listing.first("EXT-X-DISCONTINUITY")
    for tag in listing.all("EXT-X-DISCONTINUITY-SEQUENCE"):
        if first is not None and first.line < tag.line:
            yield tag.line, "EXT-X-DISCONTINUITY-SEQUENCE stands behind a discontinuity"


@RULES.rule("6.2.2")
def _discontinuity_sequence_of_live(listing: Listing) -> Complaints:
    tag = listing.first("EXT-X-DISCONTINUITY")
    is_live = not listing.is_ended and listing.first("EXT-X-PLAYLIST-TYPE") is None
    if tag and is_live and listing.first("EXT-X-DISCONTINUITY-SEQUENCE") is None:
        yield tag.line, "a live playlist has discontinuities and no EXT-X-DISCONTINUITY-SEQUENCE"


@RULES.rule("6.2.2")
def _live_has_no_type(listing: Listing) -> Complaints:
    tag = listing.first("EXT-X-PLAYLIST-TYPE")
    if tag is not None and listing.first_msn > 0:
        yield tag.line, "segments were removed from a playlist of a type that allows none"


@RULES.rule("6.2.2")
def _live_is_long_enough(listing: Listing) -> Complaints:
    long = listing.duration_s + listing.skipped * listing.target_s
    if listing.first_msn > 0 and not listing.is_ended and long < 3 * listing.target_s:
        yield 0, "segments were removed although less than three target durations are left"


@RULES.rule("4.4.4.1")
def _every_segment_has_a_duration(listing: Listing) -> Complaints:
    for segment in listing.segments:
        if segment.duration_s is None:
            yield segment.line, f"{segment.uri} has no proper EXTINF"
    if len(list(listing.all("EXTINF"))) > len(listing.segments):
        yield 0, "there are more EXTINF than segments"


@RULES.rule("4.4.4.4")
def _key_is_complete(listing: Listing) -> Complaints:
    for tag in listing.all("EXT-X-KEY"):
        method, attributes = tag.text("METHOD"), tag.attributes
        if method not in _METHODS:
            yield tag.line, "the method is missing or unknown"
        elif method == "NONE" and len(attributes) > 1:
            yield tag.line, "METHOD=NONE has more attributes"
        elif method != "NONE" and not tag.text("URI"):
            yield tag.line, "the key has no address"
        if "IV" in attributes and not _IV.fullmatch(attributes["IV"]):
            yield tag.line, "the IV is not 128 bits in hexadecimal"


@RULES.rule("4.4.4.5")
def _map_is_complete(listing: Listing) -> Complaints:
    for tag in listing.all("EXT-X-MAP"):
        if not tag.text("URI"):
            yield tag.line, "the map has no address"


@RULES.rule("4.4.4.5")
def _map_in_the_clear(listing: Listing) -> Complaints:
    """Hold the map outside of every key: else it would be encrypted, and players differ in that."""
    is_encrypted = False
    for tag in listing.all("EXT-X-KEY", "EXT-X-MAP"):
        if tag.name == "EXT-X-KEY":
            is_encrypted = tag.text("METHOD") != "NONE"
        elif is_encrypted:
            yield tag.line, "the map stands where a key is in force"


@RULES.rule("3.1.2")
def _fragments_have_a_map(listing: Listing) -> Complaints:
    for segment in listing.segments:
        is_fragment = segment.uri.partition("?")[0].endswith((".m4s", ".mp4"))
        if is_fragment and segment.map is None and not listing.skipped:
            yield segment.line, f"{segment.uri} has no EXT-X-MAP"


@RULES.rule("4.4.4.6")
def _dates_are_dates(listing: Listing) -> Complaints:
    for tag in listing.all("EXT-X-PROGRAM-DATE-TIME"):
        if date(tag.value) is None:
            yield tag.line, "that is no ISO 8601 date and time with a zone"


@RULES.rule("6.2.1")
def _dates_are_unambiguous(listing: Listing) -> Complaints:
    """Let no segment's date lie a second or more before the end of the one before it."""
    expected: float | None = None
    for segment in listing.segments:
        told = date(segment.date.value) if segment.date else None
        if told is not None and expected is not None and told <= expected - 1:
            yield segment.line, f"the date of {segment.uri} is one that was already"
        begin = expected if told is None else told
        expected = None if begin is None else begin + (segment.duration_s or 0)


@RULES.rule("6.2.1")
def _dates_at_discontinuities(listing: Listing) -> Complaints:
    if listing.first("EXT-X-PROGRAM-DATE-TIME") is None:
        return
    for segment in listing.segments:
        if segment.is_discontinuous and segment.date is None:
            yield segment.line, f"{segment.uri} begins after a discontinuity without a date"


@RULES.rule("4.1")
def _names_are_used_once(listing: Listing) -> Complaints:
    named = [(one.uri, one.line) for one in listing.segments]
    named += [
        (part.uri, part.tag.line)
        for part in listing.parts
        if "BYTERANGE" not in part.tag.attributes
    ]
    seen: Counter[str] = Counter()
    for uri, line in named:
        seen[uri] += 1
        if seen[uri] == 2 and listing.first("EXT-X-BYTERANGE") is None:
            yield line, f"{uri} is listed twice"


@RULES.rule("4.4.5.1")
def _date_ranges_are_complete(listing: Listing) -> Complaints:
    for tag in listing.all("EXT-X-DATERANGE"):
        if not tag.text("ID"):
            yield tag.line, "the date range has no ID"
        if date(tag.text("START-DATE")) is None:
            yield tag.line, "the date range has no proper START-DATE"
        if any(
            tag.text(name) and tag.number(name) is None for name in ("DURATION", "PLANNED-DURATION")
        ):
            yield tag.line, "the date range's duration is no number"
        if tag.text("END-ON-NEXT") and (not tag.text("CLASS") or tag.text("DURATION")):
            yield tag.line, "END-ON-NEXT wants a CLASS and no DURATION"
    if listing.first("EXT-X-DATERANGE") and not listing.first("EXT-X-PROGRAM-DATE-TIME"):
        yield 0, "there are date ranges and no EXT-X-PROGRAM-DATE-TIME"


@RULES.rule("4.4.5.1")
def _date_ranges_agree(listing: Listing) -> Complaints:
    known: dict[str, dict[str, str]] = {}
    for tag in listing.all("EXT-X-DATERANGE"):
        before = known.setdefault(tag.text("ID"), {})
        for name, value in tag.attributes.items():
            if before.setdefault(name, value) != value:
                yield tag.line, f"{name} is not what it was in a tag of the same ID"
