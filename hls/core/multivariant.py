"""The multivariant playlist: which bit rates, languages and captions there are of a stream."""

from collections.abc import Sequence
from dataclasses import dataclass

from hls.core.playlist import quoted

VERSION = 3  # nothing in it needs more (§8)
CODECS = "mp4a.40.2"  # AAC-LC (RFC 6381 §3.3)
SUBTITLES_GROUP = "subtitles"


@dataclass(frozen=True, slots=True)
class Variant:
    """One bit rate of one bus; `uri` is its media playlist, relative to the multivariant one.

    `peak_bps` is that of the fullest stretch of 0.5 to 1.5 target durations, container and padding
    included, `average_bps` that of all (§4.4.6.2). `language` is a tag of RFC 5646 or "".
    """

    uri: str
    bit_rate: int
    peak_bps: int
    average_bps: int
    bus: str = "floor"
    label: str = ""
    language: str = ""
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Subtitles:
    """A rendition of captions; `uri` is its media playlist."""

    uri: str
    label: str
    language: str = ""


def multivariant(variants: Sequence[Variant], subtitles: Sequence[Subtitles] = ()) -> str:
    """Return the playlist of at least one variant; the first one's bus is the default.

    Each bit rate of the default bus is a variant stream. With more than one bus it has a group of
    all of them (every group must have the same members, §4.4.6.1.1), each in the bit rate that is
    nearest from below, or the lowest there is. A bus whose label is taken has its own name behind
    it, for no two members of a group may be called the same.
    """
    default = [one for one in variants if one.bus == variants[0].bus]
    buses = list(dict.fromkeys(one.bus for one in variants))
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    groups = [[_nearest(variants, bus, one.bit_rate) for bus in buses] for one in default]
    names = _names(variants)
    if len(buses) > 1:
        for one, group in zip(default, groups, strict=True):
            lines += [_audio(member, one, names[member.bus]) for member in group]
    lines += [_captions(one) for one in subtitles]
    for one, group in zip(default, groups, strict=True):
        lines += [_stream(one, group, has_subtitles=bool(subtitles)), one.uri]
    return "\n".join(lines) + "\n"


def _nearest(variants: Sequence[Variant], bus: str, bit_rate: int) -> Variant:
    of_bus = sorted((one for one in variants if one.bus == bus), key=lambda one: one.bit_rate)
    return [of_bus[0], *(one for one in of_bus if one.bit_rate <= bit_rate)][-1]


def _names(variants: Sequence[Variant]) -> dict[str, str]:
    """Return what each bus is called, as a quoted string."""
    names: dict[str, str] = {}
    for one in variants:
        if one.bus not in names:
            label = one.label or one.bus
            while quoted(label) in names.values():
                label += f" ({one.bus})"
            names[one.bus] = quoted(label)
    return names


def _audio(member: Variant, variant: Variant, name: str) -> str:
    is_default = member.bus == variant.bus
    attributes = [
        "TYPE=AUDIO",
        f'GROUP-ID="{variant.bit_rate}"',
        f"NAME={name}",
        *([f"LANGUAGE={quoted(member.language)}"] if member.language else []),
        f"DEFAULT={'YES' if is_default else 'NO'}",
        "AUTOSELECT=YES",
        f'CHANNELS="{member.channels}"',
        # Without an address it is what the variant's own playlist plays.
        *([] if is_default else [f'URI="{member.uri}"']),
    ]
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def _captions(one: Subtitles) -> str:
    language = f",LANGUAGE={quoted(one.language)}" if one.language else ""
    return (
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{SUBTITLES_GROUP}",NAME={quoted(one.label)}'
        f'{language},DEFAULT=NO,AUTOSELECT=YES,URI="{one.uri}"'
    )


def _stream(variant: Variant, group: Sequence[Variant], *, has_subtitles: bool) -> str:
    """Return the line of a variant stream; its bandwidth is that of the greatest combination."""
    attributes = [
        f"BANDWIDTH={max(one.peak_bps for one in group)}",
        f"AVERAGE-BANDWIDTH={max(one.average_bps for one in group)}",
        f'CODECS="{CODECS}"',
        *([f'AUDIO="{variant.bit_rate}"'] if len(group) > 1 else []),
        *([f'SUBTITLES="{SUBTITLES_GROUP}"'] if has_subtitles else []),
    ]
    return f"#EXT-X-STREAM-INF:{','.join(attributes)}"
