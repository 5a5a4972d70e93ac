"""The rules for what makes a media playlist one of low latency: parts, hints, delta updates."""

from itertools import pairwise
from typing import Final

from hls.core.conformance.finding import Complaints, Rules
from hls.core.conformance.listing import Listing

RULES: Final = Rules[Listing]()

_ROUNDING_S: Final = 0.0005  # durations are written in milliseconds


@RULES.rule("4.4.3.7")
def _part_target(listing: Listing) -> Complaints:
    if listing.parts and not listing.part_target_s:
        yield 0, "there are parts and no PART-TARGET"


@RULES.rule("4.4.4.9")
def _part_is_complete(listing: Listing) -> Complaints:
    for part in listing.parts:
        if not part.uri or part.duration_s is None:
            yield part.tag.line, "a part needs an address and a duration"


@RULES.rule("4.4.4.9")
def _part_within_target(listing: Listing) -> Complaints:
    for part in listing.parts:
        if (part.duration_s or 0) > (listing.part_target_s or 0) + _ROUNDING_S:
            yield part.tag.line, f"{part.uri} is longer than PART-TARGET"


@RULES.rule("4.4.4.9")
def _part_not_much_shorter(listing: Listing) -> Complaints:
    least = 0.85 * (listing.part_target_s or 0)
    for parts in (*(segment.parts for segment in listing.segments), listing.open_parts):
        for part in parts[:-1]:  # the last of a segment may be
            if (part.duration_s or 0) < least and not part.is_gap:
                yield part.tag.line, f"{part.uri} is shorter than 85 % of PART-TARGET"


@RULES.rule("4.4.4.9")
def _parts_are_the_segment(listing: Listing) -> Complaints:
    for segment in listing.segments:
        sum_s = sum(part.duration_s or 0 for part in segment.parts)
        allowed = _ROUNDING_S * (len(segment.parts) + 1)
        if segment.parts and abs(sum_s - (segment.duration_s or 0)) > allowed:
            yield segment.line, f"the parts of {segment.uri} are not as long as it is"
    if listing.is_ended and listing.open_parts:
        yield listing.open_parts[0].tag.line, "the last parts belong to no segment"


@RULES.rule("6.2.2")
def _parts_are_near_the_end(listing: Listing) -> Complaints:
    after = sum(part.duration_s or 0 for part in listing.open_parts)
    for segment in reversed(listing.segments):
        if segment.parts and after > 3 * listing.target_s + _ROUNDING_S:
            yield segment.line, f"{segment.uri} still lists its parts"
        after += segment.duration_s or 0


@RULES.rule("4.4.3.8")
def _hold_back(listing: Listing) -> Complaints:
    least = 3 * listing.target_s
    found = listing.attribute("EXT-X-SERVER-CONTROL", "HOLD-BACK")
    if found is not None and found < least:
        yield 0, f"HOLD-BACK is less than three target durations, {least:.3f}"


@RULES.rule("4.4.3.8")
def _part_hold_back(listing: Listing) -> Complaints:
    if listing.part_target_s is None:
        return
    found = listing.attribute("EXT-X-SERVER-CONTROL", "PART-HOLD-BACK")
    if found is None or found < 3 * listing.part_target_s - _ROUNDING_S:
        yield 0, "PART-HOLD-BACK is missing or less than three part target durations"


@RULES.rule("4.4.3.8")
def _skip_boundary(listing: Listing) -> Complaints:
    found = listing.attribute("EXT-X-SERVER-CONTROL", "CAN-SKIP-UNTIL")
    if found is not None and found < 6 * listing.target_s:
        yield 0, "CAN-SKIP-UNTIL is less than six target durations"


@RULES.rule("B.1")
def _parts_can_be_waited_for(listing: Listing) -> Complaints:
    control = listing.first("EXT-X-SERVER-CONTROL")
    if listing.parts and (control is None or control.text("CAN-BLOCK-RELOAD") != "YES"):
        yield 0, "there are parts and no CAN-BLOCK-RELOAD=YES"


@RULES.rule("B.1")
def _parts_have_dates(listing: Listing) -> Complaints:
    if listing.parts and listing.first("EXT-X-PROGRAM-DATE-TIME") is None:
        yield 0, "there are parts and no EXT-X-PROGRAM-DATE-TIME"


@RULES.rule("4.4.5.2")
def _skip_is_complete(listing: Listing) -> Complaints:
    tag = listing.first("EXT-X-SKIP")
    if tag is not None and listing.skipped < 1:
        yield tag.line, "nothing is skipped"
    if tag is not None and listing.segments and tag.line > listing.segments[0].line:
        yield tag.line, "EXT-X-SKIP stands behind a segment"


@RULES.rule("6.2.5.1")
def _skip_is_allowed(listing: Listing) -> Complaints:
    tag = listing.first("EXT-X-SKIP")
    boundary = listing.attribute("EXT-X-SERVER-CONTROL", "CAN-SKIP-UNTIL")
    if tag is None:
        return
    if boundary is None:
        yield tag.line, "there is a delta update and no CAN-SKIP-UNTIL"
    elif listing.duration_s < boundary - _ROUNDING_S:
        yield tag.line, "more is skipped than CAN-SKIP-UNTIL allows"
    if listing.is_ended:
        yield tag.line, "a stream that is over has no delta updates"


@RULES.rule("4.4.5.3")
def _hint_is_complete(listing: Listing) -> Complaints:
    for tag in listing.all("EXT-X-PRELOAD-HINT"):
        if tag.text("TYPE") not in {"PART", "MAP"} or not tag.text("URI"):
            yield tag.line, "the hint has no type or address"


@RULES.rule("6.2.6")
def _hint_is_of_the_future(listing: Listing) -> Complaints:
    listed = {part.uri for part in listing.parts}
    hints = [tag for tag in listing.all("EXT-X-PRELOAD-HINT") if tag.text("TYPE") == "PART"]
    for tag in hints:
        if tag.text("URI") in listed or listing.is_ended:
            yield tag.line, "the hinted part is there already, or nothing comes any more"
    for _, tag in pairwise(hints):
        yield tag.line, "there is another hint of that type"


@RULES.rule("4.4.5.4")
def _report_is_complete(listing: Listing) -> Complaints:
    for tag in listing.all("EXT-X-RENDITION-REPORT"):
        uri = tag.text("URI")
        if not uri or "://" in uri:
            yield tag.line, "the report has no relative address"
        if tag.number("LAST-MSN") is None:
            yield tag.line, "the report has no LAST-MSN"
        if listing.parts and tag.number("LAST-PART") is None:
            yield tag.line, "the report has no LAST-PART, although there are parts"
