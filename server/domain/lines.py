"""A room's plain RTP: who takes part by it, and where the room is sent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixer.types import FLOOR, ForwarderSpec, PeerId, RtcpMode, RtpCodec, RtpParticipantSpec
from server.domain.identity import UserId
from server.errors import BadRecord

RECORD_VERSION = 1  # of the JSON below; a reader refuses what is above it
MAX_FORWARDERS = 16  # in one room
MAX_PARTICIPANTS = 32


@dataclass(frozen=True, slots=True)
class Line:
    """A person on plain RTP; `is_live` while their packets come."""

    spec: RtpParticipantSpec
    display_name: str = ""
    is_live: bool = False

    @property
    def user(self) -> UserId:
        """Who they are among the people of the room."""
        return UserId(self.spec.peer)

    def entry(self) -> dict[str, object]:
        """Return this person's part of `roomStatus`."""
        return {
            "userId": self.user,
            "role": "guest",
            "status": "onair" if self.is_live else "idle",
            "displayName": self.display_name,
            "muted": self.spec.muted,
        }


@dataclass(frozen=True, slots=True)
class Lines:
    """All of one room, in the order they were made."""

    forwarders: Mapping[str, ForwarderSpec] = field(default_factory=dict)
    people: Mapping[UserId, Line] = field(default_factory=dict)

    def with_forwarder(self, spec: ForwarderSpec) -> Self:
        """Return the lines with one more place the room is sent to."""
        return replace(self, forwarders={**self.forwarders, spec.id: spec})

    def without_forwarder(self, name: str) -> Self:
        """Return the lines without that place."""
        kept = {key: one for key, one in self.forwarders.items() if key != name}
        return replace(self, forwarders=kept)

    def with_person(self, line: Line) -> Self:
        """Return the lines with a person added, or changed in place."""
        return replace(self, people={**self.people, line.user: line})

    def without_person(self, user: UserId) -> Self:
        """Return the lines without that person."""
        return replace(self, people={k: one for k, one in self.people.items() if k != user})

    def forwarders_on(self, buses: Collection[str]) -> tuple[ForwarderSpec, ...]:
        """Return those whose bus is there: the floor, or one of `buses`."""
        return tuple(
            one for one in self.forwarders.values() if one.bus == FLOOR or one.bus in buses
        )

    def participants(self) -> tuple[RtpParticipantSpec, ...]:
        """Return what the mixer needs to know of everybody."""
        return tuple(line.spec for line in self.people.values())


class _StoredForwarder(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str
    host: str
    port: Annotated[int, Field(ge=1, le=65_535)]
    ssrc: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    codec: Annotated[RtpCodec, Field(strict=False)]
    payload_type: Annotated[int, Field(ge=0, le=127)]
    bus: str
    always_on: bool
    rtcp: Annotated[RtcpMode, Field(strict=False)] = RtcpMode.MUX


class _StoredLine(BaseModel):
    model_config = ConfigDict(strict=True)

    user: str
    display_name: str
    codec: Annotated[RtpCodec, Field(strict=False)]
    payload_type: Annotated[int, Field(ge=0, le=127)]
    ssrc: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] | None
    allow: Annotated[tuple[str, ...], Field(strict=False)]
    host: str
    port: Annotated[int, Field(ge=0, le=65_535)]
    muted: bool
    gain_db: float = 0.0
    pan: float = 0.0
    rtcp: Annotated[RtcpMode, Field(strict=False)] = RtcpMode.MUX


class _Stored(BaseModel):
    """`/rooms/<id>/lines`."""

    model_config = ConfigDict(strict=True)

    forwarders: list[_StoredForwarder]
    people: list[_StoredLine]
    version: int = RECORD_VERSION


def encode_lines(lines: Lines) -> bytes:
    """Return the JSON that is stored; who is live is not."""
    forwarders = [
        _StoredForwarder(
            id=one.id,
            host=one.host,
            port=one.port,
            ssrc=one.ssrc,
            codec=one.codec,
            payload_type=one.payload_type,
            bus=one.bus,
            always_on=one.always_on,
            rtcp=one.rtcp,
        )
        for one in lines.forwarders.values()
    ]
    people = [
        _StoredLine(
            user=line.user,
            display_name=line.display_name,
            codec=line.spec.codec,
            payload_type=line.spec.payload_type,
            ssrc=line.spec.ssrc,
            allow=line.spec.allow,
            host=line.spec.host,
            port=line.spec.port,
            muted=line.spec.muted,
            gain_db=line.spec.gain_db,
            pan=line.spec.pan,
            rtcp=line.spec.rtcp,
        )
        for line in lines.people.values()
    ]
    return _Stored(forwarders=forwarders, people=people).model_dump_json().encode()


def decode_lines(key: str, value: bytes) -> Lines:
    """Read what `encode_lines` wrote at `key`. Raises BadRecord."""
    try:
        stored = _Stored.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
    if stored.version > RECORD_VERSION:
        raise BadRecord(key, f"it is of version {stored.version}, this server knows 1")
    lines = Lines()
    for one in stored.forwarders:
        lines = lines.with_forwarder(ForwarderSpec(**one.model_dump()))
    for person in stored.people:
        fields = person.model_dump(exclude={"user", "display_name"})
        spec = RtpParticipantSpec(peer=PeerId(person.user), **fields)
        lines = lines.with_person(Line(spec, person.display_name))
    return lines
