"""The rules for a multivariant playlist (draft-pantos-hls-rfc8216bis; the section at each)."""

from itertools import groupby
from typing import Final

from hls.core.conformance.finding import Complaints, Finding, Rules
from hls.core.conformance.listing import Listing, Tag, read

RULES: Final = Rules[Listing]()

_MEDIA: Final = "EXT-X-MEDIA"
_STREAM: Final = "EXT-X-STREAM-INF"
_KINDS: Final = ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS")
_OF_MEDIA_PLAYLISTS: Final = (
    "EXTINF",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-KEY",
    "EXT-X-MAP",
    "EXT-X-PART",
    "EXT-X-ENDLIST",
    "EXT-X-SERVER-CONTROL",
)


def check(text: str) -> list[Finding]:
    """Return what is wrong with a multivariant playlist; nothing if it is right. Never raises."""
    return RULES.check(read(text))


@RULES.rule("4.4.1.1")
def _begins_with_extm3u(listing: Listing) -> Complaints:
    if listing.lines[0] != "#EXTM3U":
        yield 1, "the first line is not #EXTM3U"


@RULES.rule("4.1")
def _one_kind(listing: Listing) -> Complaints:
    for tag in listing.all(*_OF_MEDIA_PLAYLISTS):
        yield tag.line, f"{tag.name} belongs into a media playlist"


@RULES.rule("4.2")
def _attribute_lists(listing: Listing) -> Complaints:
    for tag in listing.all(_MEDIA, _STREAM):
        if not tag.is_attribute_list:
            yield tag.line, f"{tag.name} has no proper attribute list"


@RULES.rule("4.4.6.2")
def _streams_have_addresses(listing: Listing) -> Complaints:
    streams = list(listing.all(_STREAM))
    if not streams:
        yield 0, "there is no variant stream"
    addresses = {segment.line for segment in listing.segments}
    for tag in streams:
        if tag.line + 1 not in addresses:
            yield tag.line, "no address follows"


@RULES.rule("4.4.6.2")
def _bandwidths(listing: Listing) -> Complaints:
    for tag in listing.all(_STREAM):
        peak, average = tag.number("BANDWIDTH"), tag.number("AVERAGE-BANDWIDTH")
        if not peak:
            yield tag.line, "there is no BANDWIDTH"
        elif average is not None and average > peak:
            yield tag.line, "AVERAGE-BANDWIDTH is more than BANDWIDTH"


@RULES.rule("4.4.6.2")
def _codecs(listing: Listing) -> Complaints:
    for tag in listing.all(_STREAM):
        if not tag.text("CODECS"):
            yield tag.line, "there is no CODECS"


@RULES.rule("4.4.6.2")
def _groups_exist(listing: Listing) -> Complaints:
    groups = {(tag.text("TYPE"), tag.text("GROUP-ID")) for tag in listing.all(_MEDIA)}
    for tag in listing.all(_STREAM):
        for kind in ("AUDIO", "VIDEO", "SUBTITLES"):
            if tag.text(kind) and (kind, tag.text(kind)) not in groups:
                yield tag.line, f"there is no group {tag.text(kind)} of {kind}"


@RULES.rule("4.4.6.1")
def _renditions_are_complete(listing: Listing) -> Complaints:
    for tag in listing.all(_MEDIA):
        if tag.text("TYPE") not in _KINDS or not tag.text("GROUP-ID") or not tag.text("NAME"):
            yield tag.line, "a rendition needs TYPE, GROUP-ID and NAME"
        if tag.text("TYPE") == "SUBTITLES" and not tag.text("URI"):
            yield tag.line, "subtitles need an address"
        if tag.text("TYPE") == "CLOSED-CAPTIONS" and tag.text("URI"):
            yield tag.line, "closed captions have no address"
        if tag.text("FORCED") and tag.text("TYPE") != "SUBTITLES":
            yield tag.line, "only subtitles are forced"
        if tag.text("DEFAULT") == "YES" and tag.text("AUTOSELECT") == "NO":
            yield tag.line, "what is the default is also chosen by itself"


@RULES.rule("4.4.6.1.1")
def _members_differ(listing: Listing) -> Complaints:
    for group in _groups(listing):
        names: set[str] = set()
        for tag in group:
            if tag.text("NAME") in names:
                yield tag.line, "the group has another rendition of that name"
            names.add(tag.text("NAME"))
        for tag in [tag for tag in group if tag.text("DEFAULT") == "YES"][1:]:
            yield tag.line, "the group has another default"


@RULES.rule("4.4.6.1.1")
def _groups_are_alike(listing: Listing) -> Complaints:
    """Let all groups of a type have the same members, but for addresses and channels."""
    first: dict[str, list[dict[str, str]]] = {}
    for group in _groups(listing):
        members = [_lasting(tag) for tag in group]
        if first.setdefault(group[0].text("TYPE"), members) != members:
            yield group[0].line, "the group has other members than the first of its type"


def _groups(listing: Listing) -> list[list[Tag]]:
    def key(tag: Tag) -> tuple[str, str]:
        return tag.text("TYPE"), tag.text("GROUP-ID")

    return [list(group) for _, group in groupby(sorted(listing.all(_MEDIA), key=key), key)]


def _lasting(tag: Tag) -> dict[str, str]:
    may_differ = {"URI", "CHANNELS", "GROUP-ID"}
    return {name: value for name, value in tag.attributes.items() if name not in may_differ}
