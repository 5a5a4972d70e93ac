"""The parameters of the JSON-RPC methods."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from server.domain.grants import Right
from server.domain.people import Status
from server.domain.room import Room
from server.edge.fields import CaptionLanguage, GainDb, Message, Name, RoleText, Shown, UserIdText
from server.edge.models import OF_ROOM, Body, ControlRequest, MoveRequest


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


class ReadParams(Body):
    """`readCaptions`; no language is to read no more."""

    language: CaptionLanguage | None = None


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
        return replace(room, **{OF_ROOM.get(name, name): one for name, one in named.items()})


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
