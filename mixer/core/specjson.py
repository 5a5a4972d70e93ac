"""A room's spec as JSON for a recording: what mixing depends on, and nobody's address."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
from enum import Enum
from typing import Any

from mixer.core.speccheck import check_spec
from mixer.types import AnchorSpec, Profile, RecordTaps, RoomId, RoomSpec

# Not the mix's business: names of versions, the addresses of plain RTP, the recording itself, who
# may listen.
_LEFT_OUT = frozenset(
    {"room", "version", "closed", "anchors", "forwarders", "rtp", "arrivals", "listeners"}
)


def write_spec(spec: RoomSpec) -> dict[str, Any]:
    """Return the spec as a dictionary for JSON; what has its default is left out."""
    return _changed(spec, _LEFT_OUT) | {
        "anchors": [_changed(anchor, frozenset()) for anchor in spec.anchors]
    }


def read_spec(room: RoomId, written: Mapping[str, Any]) -> RoomSpec:
    """Return what was written, as a valid spec of `room`.

    Raises:
        ClientMistake: a value is out of its range.
        TypeError, ValueError, KeyError, AttributeError: it is something else.
    """
    rest = dict(written)
    anchors = tuple(_read_anchor(anchor) for anchor in rest.pop("anchors"))
    rest["profile"] = Profile(rest.get("profile", Profile.VOICE))
    for name in ("buses", "air_buses"):
        rest[name] = tuple(str(bus) for bus in rest.get(name, ()))
    if "record" in rest:
        rest["record"] = RecordTaps(**rest["record"])
    spec = RoomSpec(room, 1, anchors, **rest)
    check_spec(spec)
    return spec


def _read_anchor(written: Mapping[str, Any]) -> AnchorSpec:
    rest = dict(written)
    if "speaks" in rest:
        rest["speaks"] = tuple(str(bus) for bus in rest["speaks"])
    if "profile" in rest:
        rest["profile"] = Profile(rest["profile"])
    return AnchorSpec(**rest)


def _changed(spec: Any, left_out: frozenset[str]) -> dict[str, Any]:
    return {
        one.name: _plain(value)
        for one in fields(spec)
        if one.name not in left_out and (value := getattr(spec, one.name)) != _default(one)
    }


def _default(one: "Field[Any]") -> object:
    return one.default if one.default_factory is MISSING else one.default_factory()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, RecordTaps):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else value
