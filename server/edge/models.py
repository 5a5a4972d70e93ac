"""The bodies that callers of the REST interface send."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from hls.types import MixFormat
from mixer.core.speccheck import MAX_BUSES
from mixer.types import FLOOR, Profile, RtcpMode, RtpCodec
from server.domain.air import (
    LABEL_PATTERN,
    LANGUAGE_PATTERN,
    MAX_AIR_BUSES,
    Air,
    AirBus,
    air_mistake,
)
from server.domain.announcement import EVERYBODY
from server.domain.api_key import Scope
from server.domain.captions import Said
from server.domain.controls import Controls
from server.domain.grants import Right, Role
from server.domain.recording import Automatic, What
from server.domain.room import (
    CHAT_HISTORY_DEFAULT,
    EXPIRES_IN_DEFAULT_S,
    MAX_ANCHORS_DEFAULT,
    InviteRole,
    Room,
)
from server.domain.webhook import LONGEST_URL, Kind
from server.edge.fields import (
    WHOLE,
    AgcDbov,
    Buses,
    BusName,
    CaptionLanguage,
    CaptionLanguages,
    CaptionMs,
    CaptionText,
    ChatHistory,
    CodecText,
    DvrSeconds,
    GainDb,
    Hears,
    HoldMusicFile,
    HostText,
    LiveListeners,
    Loudest,
    MaxAnchors,
    MomentText,
    Name,
    NetworkText,
    NewPin,
    OffsetMs,
    Pan,
    PayloadType,
    ProfileText,
    Recipient,
    RoleText,
    RoomIdText,
    RtcpText,
    Seconds,
    Shown,
    Title,
)
from server.errors import BadInput, FieldMistake


class Body(BaseModel):
    """A JSON body: unknown fields are ignored, nothing is guessed from another type."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class AirBusBody(Body):
    """A bus that listeners can choose."""

    bus: BusName
    language: Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)] = ""
    label: Annotated[str, StringConstraints(max_length=80, pattern=LABEL_PATTERN)] = ""


AirBuses = Annotated[list[AirBusBody], Field(max_length=MAX_AIR_BUSES)]


class CaptionRequest(Body):
    """`POST /api/rooms/{id}/captions`: shown from `startsAt` on, or `offsetMs` from now."""

    text: CaptionText
    language: CaptionLanguage
    durationMs: CaptionMs  # noqa: N815 - the wire's name, as below
    startsAt: MomentText | None = None  # noqa: N815
    offsetMs: OffsetMs = 0  # noqa: N815
    isFinal: bool = True  # noqa: N815

    @property
    def said(self) -> Said:
        """What is to be shown, and when."""
        return Said(
            self.language,
            self.text,
            self.durationMs / 1000,
            None if self.startsAt is None else datetime.fromisoformat(self.startsAt).timestamp(),
            self.offsetMs / 1000,
        )


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
    upload: bool = True
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
    captions: CaptionLanguages = []
    holdMusic: HoldMusicFile | None = None  # noqa: N815

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
    upload: bool = True
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
    captions: CaptionLanguages = []
    holdMusic: HoldMusicFile | None = None  # noqa: N815

    def amended(self, room: Room, now: datetime, anchors: int = MAX_ANCHORS_DEFAULT) -> Room:
        """Return the room with what was named; its time is counted from `now` (aware) on.

        `anchors` is how many it holds if 0 is asked for.
        """
        named = {name: getattr(self, name) for name in self.model_fields_set}
        if "expiresIn" in named:
            room = room.lasting(named.pop("expiresIn"), now)
        values: dict[str, Any] = {OF_ROOM.get(name, name): one for name, one in named.items()}
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
    if "captions" in values:
        values["captions"] = tuple(values["captions"])
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


class AdmitRequest(Body):
    """`POST /api/rooms/{id}/lobby/{userId}`."""

    role: RoleText | None = None


class MoveRequest(Body):
    """`POST /api/rooms/{id}/participants/{userId}/move`."""

    roomId: RoomIdText  # noqa: N815


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
    "captions": "captions",
    "holdMusic": "hold",
}
OF_ROOM: Final = {
    "maxAnchors": "max_anchors",
    "chatListeners": "listener_chat",
    "chatHistory": "chat_history",
    "liveListeners": "live_listeners",
}  # other fields have the same name there
