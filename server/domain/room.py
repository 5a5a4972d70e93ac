"""A room as it is stored, with the transitions of its life."""

import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixer.types import Profile, RoomId
from server.domain.air import AS_USUAL, Air, AirBus
from server.domain.recording import Automatic
from server.errors import BadRecord, IllegalTransition

RECORD_VERSION = 1  # of the JSON below; a reader refuses what is above it
MAX_ANCHORS_DEFAULT = 3  # the reference's, for bare REST
EXPIRES_IN_DEFAULT_S = 10_800  # the same
CHAT_HISTORY_DEFAULT = 50
MAX_CHAT_HISTORY = 200  # of 2,000 characters each: 400 kB a room at most
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RoomState(Enum):
    """Where a room is in its life."""

    CREATED = "created"
    ON_AIR = "onair"
    REMOVING = "removing"
    GONE = "gone"


class RoomEvent(Enum):
    """What happens to a room."""

    START = "start"
    REMOVE = "remove"
    FINISH = "finish"


LEGAL: Final = {
    (RoomState.CREATED, RoomEvent.START): RoomState.ON_AIR,
    (RoomState.CREATED, RoomEvent.REMOVE): RoomState.REMOVING,
    (RoomState.ON_AIR, RoomEvent.REMOVE): RoomState.REMOVING,
    (RoomState.REMOVING, RoomEvent.FINISH): RoomState.GONE,
}


def transition(state: RoomState, event: RoomEvent) -> RoomState:
    """Return the state after `event`. Raises IllegalTransition."""
    try:
        return LEGAL[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


class InviteRole(StrEnum):
    """What an invite is for."""

    JOIN = "join"
    LISTEN = "listen"


@dataclass(frozen=True, slots=True)
class Invites:
    """The secrets in a room's two links.

    Kept as they are, not hashed: the admin is shown the links again and again, and whoever can read
    the store reads the rooms' keys there too.
    """

    join: str
    listen: str

    def get(self, role: InviteRole) -> str:
        """Return the secret of one link."""
        return self.join if role is InviteRole.JOIN else self.listen

    def renewed(self, role: InviteRole, secret: str) -> Self:
        """Return the invites with one secret replaced, which revokes the link it was in."""
        if role is InviteRole.JOIN:
            return replace(self, join=secret)
        return replace(self, listen=secret)


@dataclass(frozen=True, slots=True)
class Room:
    """What was decided about the room; `pin` is empty if there is none.

    `profile`, `loudest`, `automix` and `buses` are how it is mixed (see RoomSpec). `broadcast`:
    whether listeners can hear it, `radio`: also as AAC and MP3. `locked`: nobody new is let in.
    `lobby`: who comes waits until somebody lets them in. `chat`: people may write to each other,
    listeners too if `listener_chat`; who comes later gets the last `chat_history` messages. So many
    may hear it without delay (`live_listeners`). `record`: when it is recorded by itself, None as
    the setting says. `air` is what listeners hear. `upload`: whether recordings and broadcast go
    where the server uploads to.
    """

    id: RoomId
    created_at: datetime
    invites: Invites
    pin: str = ""
    max_anchors: int | None = MAX_ANCHORS_DEFAULT  # None: as many as the node carries
    expires_in_s: int | None = EXPIRES_IN_DEFAULT_S  # None: never
    name: str = ""
    profile: Profile = Profile.VOICE
    loudest: int = 0
    automix: bool = False
    buses: tuple[str, ...] = ()
    broadcast: bool = True
    radio: bool = True
    locked: bool = False
    lobby: bool = False
    chat: bool = True
    listener_chat: bool = False
    chat_history: int = CHAT_HISTORY_DEFAULT
    record: Automatic | None = None
    live_listeners: int | None = None  # None: as many as the server lets
    air: Air = AS_USUAL
    upload: bool = True

    @property
    def hls_path(self) -> str:
        """Where the playlist is, below `/hls/`."""
        return f"{self.id}/stream.m3u8"

    @property
    def made(self) -> str:
        """What tells this room from others that had its id before: tokens carry it."""
        return f"{(self.created_at - _EPOCH) // timedelta(microseconds=1):x}"

    @property
    def expires_at(self) -> datetime | None:
        """When its time is over; None: never."""
        if self.expires_in_s is None:
            return None
        return self.created_at + timedelta(seconds=self.expires_in_s)

    @property
    def ends_unix_s(self) -> float:
        """When its time is over, in seconds since 1970; infinity: never."""
        if self.expires_in_s is None:
            return math.inf
        return self.created_at.timestamp() + self.expires_in_s

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over at `now` (aware)."""
        end = self.expires_at
        return end is not None and now >= end

    def lasting(self, seconds: int | None, now: datetime) -> Self:
        """Return the room with so much time left from `now` (aware) on; None: no end."""
        if seconds is None:
            return replace(self, expires_in_s=None)
        age_s = max(0, int((now - self.created_at).total_seconds()))
        return replace(self, expires_in_s=age_s + seconds)

    def notice(self) -> dict[str, object]:
        """Return what those in the room may know of it: the params of `roomChanged`."""
        return {
            "roomId": self.id,
            "name": self.name,
            "profile": self.profile.value,
            "buses": list(self.buses),
            "maxAnchors": self.max_anchors,
            "broadcast": self.broadcast,
            "locked": self.locked,
            "lobby": self.lobby,
            "chat": self.chat,
            "chatListeners": self.listener_chat,
            "captions": list(self.air.captions),
            "expiresAt": None if self.expires_at is None else rfc3339(self.expires_at),
        }


def rfc3339(moment: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC with a `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class _StoredInvites(BaseModel):
    model_config = ConfigDict(strict=True)

    join: Annotated[str, Field(min_length=1)]
    listen: Annotated[str, Field(min_length=1)]


class _StoredAirBus(BaseModel):
    model_config = ConfigDict(strict=True)

    bus: str
    language: str = ""
    label: str = ""


class _StoredRoom(BaseModel):
    """`/rooms/<id>/meta`: the reference's fields, and ours beside them."""

    model_config = ConfigDict(strict=True)

    pin: str
    hlsPath: str  # noqa: N815 - the stored name
    maxAnchors: Annotated[int, Field(ge=1)] | None  # noqa: N815
    createdAt: Annotated[datetime, Field(strict=False)]  # noqa: N815
    name: Annotated[str, Field(max_length=80)] = ""
    expiresIn: Annotated[int, Field(ge=1)] | None = None  # noqa: N815
    invites: _StoredInvites
    profile: Annotated[Profile, Field(strict=False)] = Profile.VOICE
    loudest: Annotated[int, Field(ge=0)] = 0
    automix: bool = False
    buses: Annotated[tuple[str, ...], Field(strict=False)] = ()
    broadcast: bool = True
    radio: bool = True
    locked: bool = False
    lobby: bool = False
    chat: bool = True
    chatListeners: bool = False  # noqa: N815
    chatHistory: Annotated[int, Field(ge=0)] = CHAT_HISTORY_DEFAULT  # noqa: N815
    record: Annotated[Automatic | None, Field(strict=False)] = None
    liveListeners: Annotated[int, Field(ge=0)] | None = None  # noqa: N815
    broadcastBuses: list[_StoredAirBus] = []  # noqa: N815
    dvrSeconds: Annotated[int, Field(ge=1)] | None = None  # noqa: N815
    title: str = ""
    broadcastNames: bool = False  # noqa: N815
    captions: Annotated[tuple[str, ...], Field(strict=False)] = ()
    holdMusic: str | None = None  # noqa: N815
    upload: bool = True
    version: int = RECORD_VERSION


def encode_room(room: Room) -> bytes:
    """Return the JSON that is stored."""
    return (
        _StoredRoom(
            pin=room.pin,
            hlsPath=room.hls_path,
            maxAnchors=room.max_anchors,
            createdAt=room.created_at,
            name=room.name,
            expiresIn=room.expires_in_s,
            invites=_StoredInvites(join=room.invites.join, listen=room.invites.listen),
            profile=room.profile,
            loudest=room.loudest,
            automix=room.automix,
            buses=room.buses,
            broadcast=room.broadcast,
            radio=room.radio,
            locked=room.locked,
            lobby=room.lobby,
            chat=room.chat,
            chatListeners=room.listener_chat,
            chatHistory=room.chat_history,
            record=room.record,
            liveListeners=room.live_listeners,
            broadcastBuses=[_StoredAirBus(**asdict(one)) for one in room.air.buses],
            dvrSeconds=room.air.dvr_s,
            title=room.air.title,
            broadcastNames=room.air.names,
            captions=room.air.captions,
            holdMusic=room.air.hold,
            upload=room.upload,
        )
        .model_dump_json()
        .encode()
    )


def decode_room(room: RoomId, key: str, value: bytes) -> Room:
    """Read what `encode_room` wrote at `key`. Raises BadRecord."""
    try:
        stored = _StoredRoom.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
    if stored.version > RECORD_VERSION:
        raise BadRecord(key, f"it is of version {stored.version}, this server knows 1")
    if stored.createdAt.tzinfo is None:
        raise BadRecord(key, "createdAt has no time zone")
    return Room(
        id=room,
        created_at=stored.createdAt,
        invites=Invites(stored.invites.join, stored.invites.listen),
        pin=stored.pin,
        max_anchors=stored.maxAnchors,
        expires_in_s=stored.expiresIn,
        name=stored.name,
        profile=stored.profile,
        loudest=stored.loudest,
        automix=stored.automix,
        buses=stored.buses,
        broadcast=stored.broadcast,
        radio=stored.radio,
        locked=stored.locked,
        lobby=stored.lobby,
        chat=stored.chat,
        listener_chat=stored.chatListeners,
        chat_history=stored.chatHistory,
        record=stored.record,
        live_listeners=stored.liveListeners,
        air=Air(
            tuple(AirBus(one.bus, one.language, one.label) for one in stored.broadcastBuses),
            stored.dvrSeconds,
            stored.title,
            stored.broadcastNames,
            stored.captions,
            stored.holdMusic,
        ),
        upload=stored.upload,
    )
