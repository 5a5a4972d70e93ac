"""The bodies and parameters that callers send."""

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from hls.types import MixFormat
from mixer.core.speccheck import (
    AGC_DBOV,
    GAIN_DB,
    MAX_BUS_CHARACTERS,
    MAX_BUSES,
    MAX_LOUDEST,
    PAN,
)
from mixer.types import FLOOR, Profile, RoomId, RtcpMode, RtpCodec
from server.domain.air import (
    LABEL_PATTERN,
    LANGUAGE_PATTERN,
    MAX_AIR_BUSES,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    Air,
    AirBus,
    air_mistake,
)
from server.domain.announcement import EVERYBODY, PlayState
from server.domain.api_key import Scope
from server.domain.chat import MAX_CHARACTERS
from server.domain.controls import Controls
from server.domain.grants import Right, Role
from server.domain.identity import (
    NEW_PIN_PATTERN,
    ROOM_ID_PATTERN,
    USER_ID_PATTERN,
    UserId,
    is_pin,
    room_id,
    user_id,
)
from server.domain.people import Status
from server.domain.recording import Automatic, What
from server.domain.room import (
    CHAT_HISTORY_DEFAULT,
    EXPIRES_IN_DEFAULT_S,
    MAX_ANCHORS_DEFAULT,
    MAX_CHAT_HISTORY,
    InviteRole,
    Room,
)
from server.domain.webhook import LONGEST_URL, Kind
from server.edge.pace import whole_body
from server.errors import BadInput, FieldMistake

Model = TypeVar("Model", bound=BaseModel)

MAX_BODY_BYTES: Final = 32 * 1024
MAX_RECIPIENT: Final = 36  # a user id; the name of a bus has 32 characters


def _as_room_id(text: str) -> str:
    if room_id(text) is None:
        raise ValueError("3 to 32 letters, digits, - and _")
    return text


def _as_user_id(text: str) -> str:
    if user_id(text) is None:
        raise ValueError("a lower-case UUID version 4")
    return text


def _as_new_pin(text: str) -> str:
    if text and not is_pin(text):
        raise ValueError("six ASCII letters or digits, or nothing")
    return text


def _as_host(text: str) -> str:
    return str(ipaddress.ip_address(text))  # raises ValueError


def _as_network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _as_payload_type(number: int) -> int:
    if 64 <= number < 96:
        raise ValueError("RTCP looks like that (RFC 5761 §4)")
    return number


def _as_whole(value: object) -> object:
    """To JSON, 1.0 is an integer as well."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_buses(names: list[str]) -> list[str]:
    if FLOOR in names or len(set(names)) < len(names):
        raise ValueError("names of their own, and the floor is there anyway")
    return names


def _none_is_empty(value: object) -> object:
    return "" if value is None else value


_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
WHOLE: Final = BeforeValidator(_as_whole)
# What validates in code says in words of JSON Schema what it lets through.
RoomIdText = Annotated[
    str, AfterValidator(_as_room_id), WithJsonSchema({"type": "string", "pattern": ROOM_ID_PATTERN})
]
UserIdText = Annotated[
    str, AfterValidator(_as_user_id), WithJsonSchema({"type": "string", "pattern": USER_ID_PATTERN})
]
NewPin = Annotated[
    str, AfterValidator(_as_new_pin), WithJsonSchema({"type": "string", "pattern": NEW_PIN_PATTERN})
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=80, pattern=_PRINTABLE),
    BeforeValidator(_none_is_empty),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 80, "pattern": _PRINTABLE}),
]
Shown = Annotated[
    str,
    StringConstraints(max_length=2048),
    BeforeValidator(_none_is_empty),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 2048}),
]
HostText = Annotated[
    str,
    AfterValidator(_as_host),
    WithJsonSchema(
        {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "maxLength": 45}
    ),
]
NetworkText = Annotated[
    str,
    AfterValidator(_as_network),
    WithJsonSchema({"type": "string", "description": "CIDR", "examples": ["192.0.2.0/24"]}),
]
Message = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=MAX_CHARACTERS,
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$",  # tabs and new lines are text
    ),
]
CodecText = Annotated[RtpCodec, Field(strict=False)]
RtcpText = Annotated[RtcpMode, Field(strict=False)]
PayloadType = Annotated[
    int,
    Field(ge=0, le=127),
    AfterValidator(_as_payload_type),
    WHOLE,
    WithJsonSchema(
        {
            "type": "integer",
            "anyOf": [{"minimum": 0, "maximum": 63}, {"minimum": 96, "maximum": 127}],
        }
    ),
]
Recipient = Annotated[str, StringConstraints(min_length=1, max_length=MAX_RECIPIENT)]
GainDb = Annotated[float, Field(ge=GAIN_DB[0], le=GAIN_DB[1], allow_inf_nan=False)]
RoleText = Annotated[Role, Field(strict=False)]
ProfileText = Annotated[Profile, Field(strict=False)]
MaxAnchors = Annotated[int, Field(ge=0, le=10_000), WHOLE]
Loudest = Annotated[int, Field(ge=0, le=MAX_LOUDEST), WHOLE]
BusName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_BUS_CHARACTERS, pattern=_PRINTABLE),
]
Buses = Annotated[
    list[BusName],
    Field(
        max_length=MAX_BUSES,
        json_schema_extra={"uniqueItems": True, "not": {"contains": {"const": FLOOR}}},
    ),
    AfterValidator(_as_buses),
]
Hears = Annotated[
    dict[BusName, GainDb],
    Field(max_length=MAX_BUSES + 1, json_schema_extra={"additionalProperties": False}),
]
Pan = Annotated[float, Field(ge=PAN[0], le=PAN[1], allow_inf_nan=False)]
AgcDbov = Annotated[float, Field(ge=AGC_DBOV[0], le=AGC_DBOV[1], allow_inf_nan=False)]
ChatHistory = Annotated[int, Field(ge=0, le=MAX_CHAT_HISTORY), WHOLE]
AirBuses = Annotated[list["AirBusBody"], Field(max_length=MAX_AIR_BUSES)]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200, pattern=_PRINTABLE),
    BeforeValidator(_none_is_empty),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 200, "pattern": _PRINTABLE}),
]
DvrSeconds = Annotated[int, Field(ge=MIN_WINDOW_S, le=MAX_WINDOW_S), WHOLE]
LiveListeners = Annotated[int, Field(ge=0, le=100_000), WHOLE]
Seconds = Annotated[int, Field(ge=1, le=10**9), WHOLE]


class Body(BaseModel):
    """A JSON body: unknown fields are ignored, nothing is guessed from another type."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class AirBusBody(Body):
    """A bus that listeners can choose."""

    bus: BusName
    language: Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)] = ""
    label: Annotated[str, StringConstraints(max_length=80, pattern=LABEL_PATTERN)] = ""


class CreateRoomRequest(Body):
    """`POST /api/rooms`."""

    roomId: RoomIdText | None = None  # noqa: N815 - the wire's name, as below
    pin: NewPin | None = None
    maxAnchors: MaxAnchors | None = MAX_ANCHORS_DEFAULT  # noqa: N815
    expiresIn: Seconds | None = EXPIRES_IN_DEFAULT_S  # noqa: N815
    name: Name = ""
    profile: ProfileText = Profile.VOICE
    loudest: Loudest = 0
    automix: bool = False
    buses: Buses = []
    broadcast: bool = True
    radio: bool = True
    locked: bool = False
    lobby: bool = False
    chat: bool = True
    chatListeners: bool = False  # noqa: N815
    chatHistory: ChatHistory = CHAT_HISTORY_DEFAULT  # noqa: N815
    record: Annotated[Automatic, Field(strict=False)] | None = None
    liveListeners: LiveListeners | None = None  # noqa: N815
    broadcastBuses: AirBuses = []  # noqa: N815
    dvrSeconds: DvrSeconds | None = None  # noqa: N815
    title: Title = ""
    broadcastNames: bool = False  # noqa: N815

    @property
    def air(self) -> Air:
        """What listeners hear. Raises BadInput."""
        named = {name: getattr(self, name) for name in _OF_AIR if name in self.model_fields_set}
        return _on_air(_aired(Air(), named), self.buses)


class ChangeRoomRequest(Body):
    """`PATCH /api/rooms/{id}`: what is not named stays as it is."""

    pin: NewPin = ""
    maxAnchors: MaxAnchors | None = None  # noqa: N815
    expiresIn: Seconds | None = None  # noqa: N815
    name: Name = ""
    profile: ProfileText = Profile.VOICE
    loudest: Loudest = 0
    automix: bool = False
    buses: Buses = []
    broadcast: bool = True
    radio: bool = True
    locked: bool = False
    lobby: bool = False
    chat: bool = True
    chatListeners: bool = False  # noqa: N815
    chatHistory: ChatHistory = CHAT_HISTORY_DEFAULT  # noqa: N815
    record: Annotated[Automatic, Field(strict=False)] | None = None
    liveListeners: LiveListeners | None = None  # noqa: N815
    broadcastBuses: AirBuses = []  # noqa: N815
    dvrSeconds: DvrSeconds | None = None  # noqa: N815
    title: Title = ""
    broadcastNames: bool = False  # noqa: N815

    def amended(self, room: Room, now: datetime, anchors: int = MAX_ANCHORS_DEFAULT) -> Room:
        """Return the room with what was named; its time is counted from `now` (aware) on.

        `anchors` is how many it holds if 0 is asked for.
        """
        named = {name: getattr(self, name) for name in self.model_fields_set}
        if "expiresIn" in named:
            room = room.lasting(named.pop("expiresIn"), now)
        values: dict[str, Any] = {_OF_ROOM.get(name, name): one for name, one in named.items()}
        if values.get("max_anchors") == 0:
            values["max_anchors"] = anchors
        if "buses" in values:
            values["buses"] = tuple(values["buses"])
        aired = {name: values.pop(name) for name in _OF_AIR if name in values}
        room = replace(room, **values)
        if not aired:
            return room
        air = _aired(room.air, aired)
        if "broadcastBuses" in aired:
            air = _on_air(air, room.buses)
        return replace(room, air=air)


def _aired(air: Air, named: Mapping[str, Any]) -> Air:
    """Return `air` with what was named of it."""
    values = {_OF_AIR[name]: one for name, one in named.items()}
    if "buses" in values:
        values["buses"] = tuple(AirBus(one.bus, one.language, one.label) for one in values["buses"])
    return replace(air, **values)


def _on_air(air: Air, buses: Collection[str]) -> Air:
    """Return `air` if a room with these buses can have it. Raises BadInput."""
    mistake = air_mistake(air, buses)
    if mistake:
        raise BadInput(mistake, (FieldMistake("BroadcastBuses", mistake),))
    return air


class CreateUserRequest(Body):
    """`POST /api/rooms/{id}/users`."""

    role: RoleText = Role.ANCHOR
    displayName: Name = ""  # noqa: N815
    invite: Shown = ""
    pin: Shown = ""
    grants: list[Annotated[Right, Field(strict=False)]] | None = None
    oneShot: bool = False  # noqa: N815


class CreateKeyRequest(Body):
    """`POST /api/keys`; `expiresIn` is seconds, null for a key that never expires."""

    name: Name = ""
    scopes: Annotated[list[Annotated[Scope, Field(strict=False)]], Field(min_length=1)]
    expiresIn: Annotated[int, Field(ge=60, le=10**9)] | None = None  # noqa: N815


class ControlRequest(Body):
    """`PATCH /api/rooms/{id}/participants/{userId}`: what is not named stays as it is."""

    muted: bool = False
    gainDb: GainDb = 0.0  # noqa: N815
    pan: Pan = 0.0
    agcTargetDbov: AgcDbov | None = None  # noqa: N815
    speaks: Annotated[list[BusName], Field(max_length=MAX_BUSES + 1)] = [FLOOR]
    hears: Hears = {FLOOR: 0.0}
    profile: ProfileText | None = None
    role: RoleText = Role.ANCHOR

    @property
    def needed(self) -> frozenset[Right]:
        """The rights that the named changes need, but for the role."""
        named = self.model_fields_set & _OF_CONTROLS.keys()
        needed = {Right.MIX for name in named - {"role", "muted"}}
        if "muted" in named:  # who may silence others may not undo what a host decided
            needed.add(Right.MUTE if self.muted else Right.MANAGE)
        return frozenset(needed)

    def amended(self, controls: Controls) -> Controls:
        """Return the controls with what was named."""
        named = self.model_fields_set & _OF_CONTROLS.keys()
        values: dict[str, Any] = {_OF_CONTROLS[name]: getattr(self, name) for name in named}
        if "speaks" in values:
            values["speaks"] = tuple(dict.fromkeys(values["speaks"]))
        return replace(controls, **values)


class TokenRequest(Body):
    """`POST /api/token`."""

    roomId: RoomIdText  # noqa: N815
    invite: Shown = ""
    pin: Shown = ""


class SessionRequest(Body):
    """`POST /api/session`."""

    secret: Shown


class InviteRequest(Body):
    """`POST /api/rooms/{id}/invites`."""

    role: Annotated[InviteRole, Field(strict=False)]


class ForwarderRequest(Body):
    """`POST /api/rooms/{id}/forwarders`."""

    host: HostText
    port: Annotated[int, Field(ge=1, le=65_535), WHOLE]
    codec: CodecText = RtpCodec.OPUS
    payloadType: PayloadType | None = None  # noqa: N815
    ssrc: Annotated[int, Field(ge=0, le=0xFFFFFFFF), WHOLE] | None = None
    bus: BusName = FLOOR
    alwaysOn: bool = False  # noqa: N815
    rtcp: RtcpText = RtcpMode.MUX


class ForwarderPatch(Body):
    """`PATCH /api/rooms/{id}/forwarders/{forwarderId}`: what is absent stays."""

    host: HostText | None = None
    port: Annotated[int, Field(ge=1, le=65_535), WHOLE] | None = None
    bus: BusName | None = None
    alwaysOn: bool | None = None  # noqa: N815
    rtcp: RtcpText | None = None


class AnnouncementRequest(BaseModel):
    """How a sound is to be played: fields of a form, a query or JSON, so numbers may be text."""

    model_config = ConfigDict(hide_input_in_errors=True)

    to: Recipient = EVERYBODY
    gainDb: GainDb = 0.0  # noqa: N815
    loop: bool = False
    name: Name = ""


class FolderRequest(AnnouncementRequest):
    """`POST /api/rooms/{id}/announcements`, JSON: a file of the folder."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    file: Annotated[str, StringConstraints(max_length=255)]


class GainRequest(Body):
    """`PATCH /api/rooms/{id}/announcements/{announcementId}`."""

    gainDb: GainDb  # noqa: N815


class LineRequest(Body):
    """`POST /api/rooms/{id}/rtp`."""

    displayName: Name = ""  # noqa: N815
    codec: CodecText = RtpCodec.OPUS
    payloadType: PayloadType | None = None  # noqa: N815
    allow: Annotated[list[NetworkText], Field(max_length=16)] = ["127.0.0.0/8", "::1/128"]
    host: HostText | Literal[""] = ""
    port: Annotated[int, Field(ge=0, le=65_535), WHOLE] = 0
    anySsrc: bool = False  # noqa: N815
    rtcp: RtcpText = RtcpMode.MUX

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if bool(self.host) != bool(self.port):
            raise ValueError("host and port belong together")
        return self


class LinePatch(Body):
    """`PATCH /api/rooms/{id}/rtp/{userId}`: what is absent stays; `host` "" forgets the address."""

    displayName: Name | None = None  # noqa: N815
    muted: bool | None = None
    gainDb: Annotated[float, Field(ge=-60, le=20)] | None = None  # noqa: N815
    pan: Annotated[float, Field(ge=-1, le=1)] | None = None
    allow: Annotated[list[NetworkText], Field(max_length=16)] | None = None
    host: HostText | Literal[""] | None = None
    port: Annotated[int, Field(ge=0, le=65_535), WHOLE] | None = None
    rtcp: RtcpText | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.host is None) != (self.port is None) and self.host != "":
            raise ValueError("host and port belong together")
        if self.host is not None and bool(self.host) != bool(self.port):
            raise ValueError("host and port belong together")
        return self


class ArrivalsRequest(Body):
    """`POST /api/rooms/{id}/arrivals`."""

    seconds: Annotated[int, Field(ge=1, le=86_400), WHOLE] = 600
    limitMb: Annotated[int, Field(ge=1, le=1 << 20), WHOLE] | None = None  # noqa: N815


class RecordingRequest(Body):
    """`POST /api/rooms/{id}/recordings`, `startRecording`: what is recorded."""

    mix: Annotated[MixFormat, Field(strict=False)] = MixFormat.OGG_OPUS
    tracks: bool = True
    exact: bool = False

    @property
    def what(self) -> What:
        """It in the domain's words."""
        return What(self.mix, self.tracks, self.exact)


class RecordingPatch(Body):
    """`PATCH /api/rooms/{id}/recordings/{name}`."""

    action: Literal["pause", "resume", "stop"]


class MarkRequest(Body):
    """`PUT /api/modules/{moduleType}/{moduleId}/mark`; no `ttl`, or 0, is for good."""

    label: Literal["ready", "cordon", "draining", "drained", "unready"]
    ttl: Annotated[int, Field(ge=0, le=86_400), WHOLE] | None = None


class ModulePath(BaseModel):
    """Which module, in the words of the system we replace."""

    model_config = ConfigDict(hide_input_in_errors=True)

    moduleType: Literal["mixers", "januses"]  # noqa: N815
    moduleId: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{3,32}$")]  # noqa: N815


class WebhookRequest(Body):
    """`POST /api/webhooks`; no `events` is all of them."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
    events: Annotated[list[Annotated[Kind, Field(strict=False)]], Field(max_length=len(Kind))] = []


OutputUrl = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]


class OutputRequest(Body):
    """`POST /api/rooms/{id}/outputs`."""

    url: OutputUrl
    name: Name = ""


class OutputPatch(Body):
    """`PATCH /api/rooms/{id}/outputs/{outputId}`: what is absent stays."""

    name: Name | None = None
    url: OutputUrl | None = None
    enabled: bool | None = None


# In an address; of what a JWT, an invite or a key is made of.
Secret = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[A-Za-z0-9._~+/=-]*$")]


class Query(BaseModel):
    """Fields of an address: all of them are text."""

    model_config = ConfigDict(hide_input_in_errors=True)


Flag = Literal["true", "false"]


class PageQuery(Query):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    cursor: Secret = ""


class RoomsQuery(PageQuery):
    """`GET /api/rooms`; `name` is a part of it, in any case of letters."""

    name: Annotated[str, StringConstraints(max_length=80)] = ""
    state: Literal["onair", "removing"] = "onair"
    locked: Flag | None = None
    broadcast: Flag | None = None
    occupied: Flag | None = None


class PeopleQuery(PageQuery):
    """`GET /api/rooms/{id}/participants`; `name` is a part of it, in any case of letters."""

    name: Annotated[str, StringConstraints(max_length=80)] = ""
    role: Role | None = None
    status: Status | None = None
    muted: Flag | None = None


class PlayedQuery(PageQuery):
    """`GET /api/rooms/{id}/announcements`."""

    state: PlayState | None = None


class InviteQuery(Query):
    """`GET /api/rooms/{id}`."""

    invite: Secret = ""


class KickQuery(Query):
    """`DELETE /api/rooms/{id}/participants/{userId}`."""

    ban: Literal["true", "false"] = "false"


class TokenQuery(Query):
    """Where a header cannot be sent, the token stands in the address."""

    token: Secret = ""


class PlaylistQuery(TokenQuery):
    """Delivery directives (RFC 8216bis §6.2.5), as `server.domain.reload` reads them."""

    msn: Annotated[int | None, Field(alias="_HLS_msn", ge=0, lt=10**15)] = None
    part: Annotated[int | None, Field(alias="_HLS_part", ge=0, lt=10**15)] = None
    skip: Annotated[str, Field(alias="_HLS_skip", examples=["YES"])] = ""


class JoinParams(Body):
    """`join`."""

    clientId: UserIdText  # noqa: N815
    pin: Shown = ""
    jtoken: Shown = ""
    displayName: Name = ""  # noqa: N815
    deltas: bool = False


class Description(Body):
    """An SDP offer."""

    type: Literal["offer"]
    sdp: str


class OfferParams(Body):
    """`offer`."""

    sdp: Description


class Candidate(Body):
    """An ICE candidate as browsers write it."""

    candidate: str | None = None
    sdpMid: str | None = None  # noqa: N815
    sdpMLineIndex: int | None = None  # noqa: N815
    completed: bool | None = None


class CandidateParams(Body):
    """`icecandidate`; no candidate at all also says that there are no more."""

    candidate: Candidate | None = None


class MuteParams(Body):
    """`mute`."""

    muted: bool


class VolumeParams(Body):
    """`volume`."""

    userId: UserIdText  # noqa: N815
    gainDb: GainDb = 0.0  # noqa: N815
    muted: bool = False


class ParticipantParams(Body):
    """`requestUnmute`, `deny`."""

    userId: UserIdText  # noqa: N815


class KickParams(ParticipantParams):
    """`kick`."""

    ban: bool = False


class ControlParams(ControlRequest):
    """`control`."""

    userId: UserIdText  # noqa: N815


class RoomParams(Body):
    """`changeRoom`: what is not named stays as it is."""

    name: Name = ""
    locked: bool = False
    lobby: bool = False
    chat: bool = True
    chatListeners: bool = False  # noqa: N815
    broadcast: bool = True

    @property
    def needed(self) -> frozenset[Right]:
        """The rights that the named changes need."""
        named = self.model_fields_set & RoomParams.model_fields.keys()
        needed = {Right.BROADCAST if name == "broadcast" else Right.MANAGE for name in named}
        return frozenset(needed or {Right.MANAGE})

    def amended(self, room: Room) -> Room:
        """Return the room with what was named."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        return replace(room, **{_OF_ROOM.get(name, name): one for name, one in named.items()})


class ChatParams(Body):
    """`chat`."""

    text: Message
    to: UserIdText | None = None


class HistoryParams(Body):
    """`chatHistory`."""

    after: Annotated[int, Field(ge=0)] = 0


class HandParams(Body):
    """`raiseHand`."""

    raised: bool = True


class AdmitParams(ParticipantParams):
    """`admit`."""

    role: RoleText | None = None


class AdmitRequest(Body):
    """`POST /api/rooms/{id}/lobby/{userId}`."""

    role: RoleText | None = None


class MoveRequest(Body):
    """`POST /api/rooms/{id}/participants/{userId}/move`."""

    roomId: RoomIdText  # noqa: N815


class MoveParams(MoveRequest):
    """`move`; `invite` is the join invite of the other room."""

    userId: UserIdText  # noqa: N815
    invite: Shown = ""


class KeepaliveParams(Body):
    """`keepalive` and `status`."""

    status: Annotated[Status, Field(strict=False)] | None = None


class NoParams(Body):
    """Nothing; whatever is sent is ignored, also an array."""

    @model_validator(mode="before")
    @classmethod
    def _ignore(cls, _value: object) -> dict[str, object]:
        return {}


_OF_CONTROLS: Final = {
    "muted": "muted",
    "gainDb": "gain_db",
    "pan": "pan",
    "agcTargetDbov": "agc_target_dbov",
    "speaks": "speaks",
    "hears": "hears",
    "profile": "profile",
    "role": "role",
}
_OF_AIR: Final = {
    "broadcastBuses": "buses",
    "dvrSeconds": "dvr_s",
    "title": "title",
    "broadcastNames": "names",
}
_OF_ROOM: Final = {
    "maxAnchors": "max_anchors",
    "chatListeners": "listener_chat",
    "chatHistory": "chat_history",
    "liveListeners": "live_listeners",
}  # other fields have the same name there
_TAGS: Final = {
    "roomId": "roomid",
    "userId": "userid",
    "moduleId": "moduleid",
}  # other fields are their own tag
_FIELDS: Final = {
    "roomId": "RoomID",
    "userId": "UserID",
    "moduleId": "ModuleID",
    "ttl": "TTL",
}  # others: with a capital


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Read a JSON body.

    Raises BadInput, whose fields are None where it is no JSON object; TooSlow.
    """
    raw = await whole_body(request)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _bad_input(model, error) from None


def read_fields(fields: Mapping[str, str], model: type[Model]) -> Model:
    """Read a form or a query. Raises BadInput."""
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise _bad_input(model, error) from None


def _bad_input(model: type[BaseModel], error: ValidationError) -> BadInput:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if any(not detail["loc"] for detail in details):
        return BadInput()
    fields = dict.fromkeys(str(detail["loc"][0]) for detail in details)
    return BadInput(fields=tuple(mistake(model.__name__, field) for field in fields))


def mistake(struct: str, name: str) -> FieldMistake:
    """Return a wrong field in the words of the reference system."""
    field = _FIELDS.get(name, name[:1].upper() + name[1:])
    tag = _TAGS.get(name, name)
    return FieldMistake(
        field,
        f"Key: '{struct}.{field}' Error:Field validation for '{field}' failed on the '{tag}' tag",
    )


def path_room(request: web.Request) -> RoomId:
    """Return the room id in the path. Raises BadInput."""
    room = room_id(request.match_info["room"])
    if room is None:
        raise BadInput(fields=(mistake("RoomURI", "roomId"),))
    return room


def path_user(request: web.Request) -> UserId:
    """Return the user id in the path. Raises BadInput."""
    user = user_id(request.match_info["user"])
    if user is None:
        raise BadInput(fields=(mistake("UserURI", "userId"),))
    return user


def fits(wanted: str | None, *, has: bool) -> bool:
    """Whether something that has it (or has not) is among what a Flag of a query asks for."""
    return wanted is None or (wanted == "true") == has
