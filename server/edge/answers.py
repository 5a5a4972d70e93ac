"""The bodies of answers, as `/openapi.json` promises them and the tests hold them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hls.types import MixFormat
from hls.upload.types import UploadState
from mixer.types import Profile, RtcpMode, RtpCodec
from server.domain.announcement import PlayState
from server.domain.api_key import Scope
from server.domain.grants import Role
from server.domain.people import Status
from server.domain.recording import Automatic, RecordingState
from server.domain.room import RoomState
from server.domain.webhook import Kind
from server.services.outputs import OutputState

RoomName = Annotated[str, Field(examples=["demo"])]
UserName = Annotated[str, Field(examples=["6f1f0c3e-1d52-4c6e-9a3b-0a4f5e6d7c8b"])]
Moment = Annotated[
    str, Field(examples=["2026-03-01T12:00:00Z"], json_schema_extra={"format": "date-time"})
]
Done = Literal[True]


class Answer(BaseModel):
    """A JSON answer that has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class FieldMistakeShape(Answer):
    """One field of a request that does not hold what it must."""

    field: str
    message: str


class Problem(Answer):
    """What every error looks like; `details` stands with `bad_params` only."""

    success: Literal[False]
    error: Annotated[str, Field(examples=["Room demo not found"])]
    code: Annotated[str, Field(examples=["room_not_found"])]
    retryable: bool
    retryAfterMs: int | None
    id: Annotated[str, Field(description="Under which the log has it")] | None = None
    details: list[FieldMistakeShape] | None = None


class Success(Answer):
    """It was done."""

    success: Done


class Page(Success):
    """A list, or a part of it: `nextCursor` is there where there is more."""

    nextCursor: str | None = None


class Nothing(Answer):
    """It was done, in the reference's words."""


class MessageAnswer(Success):
    """It was done, in a sentence."""

    message: str


class SessionAnswer(Success):
    """Whether the caller is the admin."""

    admin: bool


class Links(Answer):
    """The addresses to hand out, with their secrets."""

    join: str
    listen: str


class LinksAnswer(Success):
    """The links that hold from now on."""

    links: Links


class RevokedAnswer(Success):
    """Somebody listens no more; `links` if one of them is new."""

    links: Links | None = None


class AirBusShape(Answer):
    """A bus that listeners can choose."""

    bus: str
    language: str
    label: str


class RoomBrief(Answer):
    """A room as the reference shows it."""

    roomId: RoomName
    hlsUrl: str
    createdAt: Moment
    name: str


class RecordingNotice(Answer):
    """What everybody in a room may know of its recording."""

    roomId: str
    name: str
    state: RecordingState
    seconds: float


class RoomEntry(RoomBrief):
    """A room of the list; the numbers count."""

    anchors: int
    listeners: int
    announcements: int
    recording: RecordingNotice | None


class RoomNotice(RoomBrief):
    """What those in a room may know of it."""

    profile: Profile
    buses: list[str]
    maxAnchors: int | None
    broadcast: bool
    locked: bool
    lobby: bool
    chat: bool
    chatListeners: bool
    captions: list[str]
    expiresAt: Moment | None


class RoomFull(RoomNotice):
    """What the admin sees of a room."""

    pin: str
    loudest: int
    liveListeners: int | None
    liveListenersMost: int
    automix: bool
    radio: bool
    upload: bool | None
    broadcastBuses: list[AirBusShape]
    dvrSeconds: int | None
    title: str
    broadcastNames: bool
    holdMusic: str | None
    record: Automatic | None
    links: Links


class RoomSeen(RoomNotice):
    """A room by its id; what may be missing is the admin's."""

    pinRequired: bool
    anchors: int
    listeners: int
    status: RoomState
    recording: RecordingNotice | None
    pin: str | None = None
    loudest: int | None = None
    liveListeners: int | None = None
    liveListenersMost: int | None = None
    automix: bool | None = None
    radio: bool | None = None
    upload: bool | None = None
    broadcastBuses: list[AirBusShape] | None = None
    dvrSeconds: int | None = None
    title: str | None = None
    broadcastNames: bool | None = None
    holdMusic: str | None = None
    record: Automatic | None = None
    links: Links | None = None


class RoomAnswer(Success):
    """A room that was made or changed."""

    room: RoomFull


class RoomSeenAnswer(Success):
    """One room."""

    room: RoomSeen


class RoomsAnswer(Page):
    """The rooms on air."""

    count: int
    rooms: list[RoomEntry]


class UserAnswer(Answer):
    """The right to speak in a room for a while."""

    userID: UserName
    token: str
    expiresAt: Moment


class TokenAnswer(Answer):
    """The right to listen to a room for a while."""

    token: str
    expiresAt: Moment
    hlsUrl: str


class BroadcastUrls(Answer):
    """Where players begin: all renditions or the default one, at low latency or without parts."""

    master: str
    lowLatency: str
    classic: str
    classicMaster: str


class ByKind(Answer):
    """A number for each kind of playlist."""

    lowLatency: int
    classic: int


class RenditionShape(Answer):
    """One encoding of a broadcast, and how many players ask for its playlists."""

    name: str
    bitRate: int
    bus: str
    language: str
    label: str
    url: str
    listeners: ByKind


class CaptionsShape(Answer):
    """A rendition of captions."""

    language: str
    url: str


class CaptionShape(Answer):
    """A caption on the clock of the stream's dates."""

    language: str
    text: str
    startsAt: Moment
    endsAt: Moment
    late: Annotated[bool, Field(description="Listeners near the edge see it later than they hear")]


class CaptionAnswer(Success):
    """What listeners can read; null if it was not final."""

    caption: CaptionShape | None


class LoudnessShape(Answer):
    """How loud a bus is on air; -120 stands for silence."""

    momentaryLufs: float
    shortTermLufs: float
    integratedLufs: float
    truePeakDbtp: float
    gainDb: Annotated[float, Field(description="What it is raised by")]


class BroadcastShape(Answer):
    """A room's broadcast; numbers of what is on air are null while it is not."""

    onAir: bool
    urls: BroadcastUrls
    renditions: list[RenditionShape]
    captions: list[CaptionsShape]
    listeners: int
    blocked: Annotated[int, Field(description="Requests that wait for the next part")]
    bytesSent: int
    partMs: int | None
    loudness: Annotated[
        dict[str, LoudnessShape], Field(description="By bus; none if it goes out as loud as it is")
    ]
    holdBackMs: Annotated[ByKind | None, Field(description="How far behind players stay")]


class BroadcastAnswer(Success):
    """How a room's broadcast is."""

    broadcast: BroadcastShape


class PeerShape(Answer):
    """How one connection to the mixer is."""

    userId: UserName
    state: str
    levelDbov: float
    roundTripMs: float | None
    lossIn: float
    lossOut: float
    jitterInMs: float
    jitterOutMs: float
    bitrateIn: int
    bitrateOut: int
    sending: str
    capacityOut: int | None
    received: int
    lost: int
    bufferedMs: int | float
    targetMs: int | float
    late: int
    recoveredFec: int
    recoveredRed: int
    concealed: int
    compressed: int
    expanded: int


class ForwarderPeer(Answer):
    """How one forwarder is; null while its receiver has reported nothing."""

    forwarderId: str
    localPort: int
    packets: int
    octets: int
    bitrateOut: int
    reports: int
    lossOut: float | None
    lost: int | None
    jitterOutMs: float | None
    roundTripMs: float | None


class StatisticsAnswer(Success):
    """How everybody's connection is."""

    peers: list[PeerShape]
    forwarders: list[ForwarderPeer]


class Participant(Answer):
    """A person with a connection of their own, and what was decided about them."""

    userId: UserName
    displayName: str
    role: Role
    status: Status
    canSpeak: bool
    hand: int | None
    selfMuted: bool
    muted: bool
    gainDb: float
    pan: float
    agcTargetDbov: float | None
    speaks: list[str]
    hears: dict[str, float]
    profile: Profile | None


class ParticipantAnswer(Success):
    """A person."""

    participant: Participant


class ParticipantsAnswer(Page):
    """The people of a room."""

    participants: list[Participant]


class Listener(Answer):
    """Somebody who listens to the broadcast: since when, and how many keys they were given."""

    userId: UserName
    since: Moment
    keys: int


class OutputShape(Answer):
    """An RTMP output; its address is shown without the stream key."""

    outputId: str
    name: str
    url: str
    enabled: bool
    state: OutputState
    since: Moment
    reason: str
    retryAt: Moment | None
    failures: int


class OutputAnswer(Success):
    """An output that was made or changed."""

    output: OutputShape


class OutputsAnswer(Success):
    """A room's outputs."""

    outputs: list[OutputShape]


class ListenersAnswer(Page):
    """Who listens to a room's broadcast now."""

    count: int
    listeners: list[Listener]


class Waiting(Answer):
    """Somebody outside the stage; `hand` numbers the hands that are up, the first lowest."""

    userId: UserName
    role: Role
    displayName: str
    hand: int | None


class LobbyAnswer(Success):
    """Who waits to be let in, who of the listeners has a hand up, and how many listen."""

    waiting: list[Waiting]
    hands: list[Waiting]
    listening: int


class Forwarder(Answer):
    """Where a copy of a room's mix is sent."""

    forwarderId: str
    host: str
    port: int
    codec: RtpCodec
    payloadType: int
    ssrc: int
    bus: str
    alwaysOn: bool
    rtcp: RtcpMode


class ForwarderAnswer(Success):
    """A forwarder."""

    forwarder: Forwarder


class ForwardersAnswer(Page):
    """The forwarders of a room."""

    forwarders: list[Forwarder]


class Line(Answer):
    """A person on plain RTP."""

    userId: UserName
    displayName: str
    status: str
    rtpPort: int | None
    codec: RtpCodec
    payloadType: int
    ssrc: int | None
    allow: list[str]
    host: str
    port: int
    muted: bool
    gainDb: float
    pan: float
    rtcp: RtcpMode


class LineAnswer(Success):
    """A person on plain RTP."""

    participant: Line


class LinesAnswer(Page):
    """The people of a room on plain RTP."""

    participants: list[Line]


class Capture(Answer):
    """A packet capture under way."""

    until: Moment
    limitMb: int


class StoredFile(Answer):
    """A file of a packet capture."""

    name: str
    bytes: int
    beganAt: Moment


class CaptureAnswer(Success):
    """A packet capture that has begun."""

    recording: Capture


class CapturesAnswer(Page):
    """What is captured, and the files there are."""

    recording: Capture | None
    recordings: list[StoredFile]


class UploadShape(Answer):
    """How far the upload of a recording is, in bytes; `reason` says why it waits."""

    state: UploadState
    sent: int
    total: int
    reason: str


class RecordingShape(RecordingNotice):
    """A recording of a room; `by` and `endedBy` are `api`, `room`, or who it was.

    `upload` is None where recordings are not uploaded.
    """

    mix: MixFormat
    tracks: bool
    exact: bool
    by: str
    beganAt: Moment
    endedAt: Moment | None
    endedBy: str
    reason: str
    upload: UploadShape | None


class ListedRecording(RecordingShape):
    """A recording in a list."""

    bytes: int


class RecordedFile(Answer):
    """A file of a recording."""

    name: str
    bytes: int
    type: str


class RecordingSeen(ListedRecording):
    """A recording, its files and its manifest, None while there is none."""

    files: list[RecordedFile]
    manifest: dict[str, Any] | None


class RecordingAnswer(Success):
    """A recording that was begun or changed."""

    recording: RecordingShape


class RecordingSeenAnswer(Success):
    """One recording."""

    recording: RecordingSeen


class RecordingsAnswer(Page):
    """Recordings, and what is left of the disk."""

    recordings: list[ListedRecording]
    freeBytes: int


class AnnouncementShape(Answer):
    """A sound that is played into a room, or was; seconds."""

    announcementId: str
    name: str
    to: str
    gainDb: float
    loop: bool
    state: PlayState
    position: float
    length: float | None
    reason: str


class AnnouncementAnswer(Success):
    """An announcement."""

    announcement: AnnouncementShape


class AnnouncementsAnswer(Page):
    """What is played in a room, and what was played lately."""

    announcements: list[AnnouncementShape]


class WebhookShape(Answer):
    """A webhook and how it fares since the server started."""

    webhookId: str
    url: str
    events: list[Kind]
    createdAt: Moment
    waiting: int
    delivered: int
    failed: int
    dead: int


class NewWebhook(WebhookShape):
    """A webhook with what its calls are signed with, which is shown this once."""

    secret: str


class FailedCall(Answer):
    """A call that was not taken."""

    at: Moment
    messageId: str
    event: Kind
    reason: str


class WebhookWithFailures(WebhookShape):
    """A webhook and its last failures."""

    failures: list[FailedCall]


class NewWebhookAnswer(Success):
    """A webhook that was made, or has a new secret."""

    webhook: NewWebhook


class WebhookAnswer(Success):
    """One webhook."""

    webhook: WebhookWithFailures


class WebhooksAnswer(Success):
    """All webhooks."""

    webhooks: list[WebhookShape]


class Ping(Answer):
    """How a call went."""

    delivered: bool
    status: int | None
    reason: str


class PingAnswer(Success):
    """How a call went, just now."""

    ping: Ping


class ApiKeyShape(Answer):
    """An API key, without its text."""

    keyId: str
    name: str
    scopes: list[Scope]
    createdAt: Moment
    expiresAt: Moment | None
    usedAt: Moment | None


class NewApiKey(ApiKeyShape):
    """An API key with its text, which is shown this once."""

    secret: str


class NewApiKeyAnswer(Success):
    """An API key that was made."""

    key: NewApiKey


class ApiKeysAnswer(Success):
    """The API keys."""

    count: int
    keys: list[ApiKeyShape]


class ModuleShape(Answer):
    """A module and its mark."""

    type: str
    id: str
    label: str | None = None
    ttl: int | None = None


class MarkAnswer(MessageAnswer):
    """A module's mark."""

    module: ModuleShape


class RoomNumbers(Answer):
    """How many there are."""

    total: int
    totalParticipants: int
    totalListeners: int


class Stats(Answer):
    """The server in numbers."""

    rooms: RoomNumbers


class StatsAnswer(Success):
    """The server in numbers."""

    stats: Stats


class HealthAnswer(Answer):
    """The process is alive."""

    status: Literal["ok"]
    service: str
    timestamp: Annotated[int, Field(description="Unix seconds")]


class ReadyAnswer(Answer):
    """Whether everything a call needs answers."""

    ready: bool
    reasons: list[str] = []
    degraded: list[str] = []
