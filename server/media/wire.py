"""What the control process and its workers say to each other, checked on arrival."""

import base64
import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Self, TypeVar

import numpy as np
from pydantic import Base64Bytes, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from hls.core.soundpart import SoundPart, decode
from hls.errors import BadSpec
from hls.types import (
    BroadcastSpec,
    Caption,
    CaptionFate,
    KeySpec,
    LoopSpec,
    PlaylistKind,
    Position,
    Reading,
    RecordingReport,
)
from mixer.errors import ClientMistake, MixerError, NoCapacity, PeerGone
from mixer.types import (
    FRAME_SAMPLES,
    ForwarderSpec,
    Int16Frame,
    PeerId,
    PeerStatistics,
    PlaneEvent,
    PlaneSettings,
    PlaneStatistics,
    PlayerSpec,
    RoomId,
    RoomSpec,
    RtpParticipantSpec,
)
from server.rpc.errors import RpcError
from server.rpc.framing import FrameKind

T = TypeVar("T")

REFUSED = -32000  # a worker's refusal; its data says `who` must react

_TICK = struct.Struct(">Q")  # a tick number, or the number of a blob
_PCM_BYTES = 2 * FRAME_SAMPLES
_AUDIO = struct.Struct(">QB7x")  # a tick number and how many channels it has
_CHANNELS = (1, 2)
_MAX_NAMES_BYTES = 256  # a room's name has 64, a bus's 32 characters
_MAX_PORT, _MAX_PAYLOAD_TYPE, _MAX_SSRC = 0xFFFF, 0x7F, 0xFFFFFFFF
_NAME_LENGTH = struct.Struct(">B")


class WireError(Exception):
    """The other side sent something that has not the agreed form."""


# Parameters of the mixer's methods and notifications


class ApplyRoom(BaseModel):
    """`apply` of a mixer. What would be a number or an address there is one here."""

    spec: RoomSpec

    @model_validator(mode="after")
    def _check_plain_rtp(self) -> Self:
        every: list[ForwarderSpec | RtpParticipantSpec] = [*self.spec.forwarders, *self.spec.rtp]
        for one in every:
            if one.host or isinstance(one, ForwarderSpec):
                ipaddress.ip_address(one.host)
            if not (0 <= one.port <= _MAX_PORT and 0 <= one.payload_type <= _MAX_PAYLOAD_TYPE):
                raise ValueError("a port or payload type is out of range")
            if one.ssrc is not None and not 0 <= one.ssrc <= _MAX_SSRC:
                raise ValueError("an SSRC has 32 bits")
        for person in self.spec.rtp:
            for network in person.allow:
                ipaddress.ip_network(network)
        return self


class Offer(BaseModel):
    """`acceptOffer`; the result is the answer's SDP."""

    room: RoomId
    peer: PeerId
    sdp: str
    listener: bool = False


class Candidate(BaseModel):
    """`addCandidate`."""

    room: RoomId
    peer: PeerId
    candidate: str


class DropPeer(BaseModel):
    """`dropPeer`."""

    room: RoomId
    peer: PeerId


class AskPeers(BaseModel):
    """`peers`; the result is a list of PeerStatistics."""

    room: RoomId


class Play(BaseModel):
    """`play`; SOUND frames with the room and the spec's name follow."""

    room: RoomId
    spec: PlayerSpec


class Stop(BaseModel):
    """`stop` of a player."""

    room: RoomId
    name: str


class Volume(BaseModel):
    """`setVolume` of a player."""

    room: RoomId
    name: str
    gain_db: float


class Event(BaseModel):
    """The notification `event`."""

    event: PlaneEvent


# Parameters of the broadcast's methods


class Key(BaseModel):
    """A KeySpec; the bytes travel as Base64."""

    epoch: int
    key: Base64Bytes
    iv: Base64Bytes
    uri: str
    first_msn: int


class ApplyBroadcast(BaseModel):
    """`apply` of a broadcast: the spec, its keys apart."""

    broadcast: BroadcastSpec
    keys: list[Key]

    def spec(self) -> BroadcastSpec:
        """Return the spec that was sent."""
        keys = tuple(
            KeySpec(key.epoch, key.key, key.iv, key.uri, key.first_msn) for key in self.keys
        )
        return replace(self.broadcast, keys=keys)


class Recording(BaseModel):
    """The notification `recording`: how a recording of a room is."""

    report: RecordingReport


class Follow(BaseModel):
    """`follow`: tell of the room's parts for a while; the result is a Position or null."""

    room: str


class EndBroadcast(BaseModel):
    """`end` of a room's stream; the result is the Position behind its last part, or null."""

    room: str


class AskPlaylist(BaseModel):
    """`playlist`, which follows the room as well; the result is a PlaylistAt or null."""

    room: str
    rendition: str
    kind: PlaylistKind
    skip: bool


class PlaylistAt(BaseModel):
    """A playlist's text, and the first part that was not complete then."""

    text: str
    position: Position


class Progress(BaseModel):
    """The notification `progress`: `position` is the first part that is not complete."""

    room: str
    position: Position


class Talk(BaseModel):
    """`talk`: who can be heard in a room from now on, by the names listeners are told."""

    room: str
    names: list[str]


class Captioned(BaseModel):
    """`caption`: what listeners can read; the result is a CaptionFate."""

    room: str
    caption: Caption


class AskLoudness(BaseModel):
    """`loudness`; the result is a Reading for each bus that is brought to a loudness."""

    room: str


class AskSegment(BaseModel):
    """`fetch`; the result is true and a BLOB frame with the number `blob` came before it."""

    room: str
    rendition: str
    name: str
    blob: Annotated[int, Field(ge=0, lt=2**64)]


class AskSound(BaseModel):
    """`sound`: a part of the default rendition in the clear; the result is as that of `fetch`."""

    room: str
    position: Position
    blob: Annotated[int, Field(ge=0, lt=2**64)]


# Greetings


class Ready(BaseModel):
    """The notification `ready`: the worker serves from now on."""

    capabilities: frozenset[str] = frozenset()
    udp_port: int = 0
    tcp_port: int = 0


class Failed(BaseModel):
    """The notification `failed`: the worker cannot start, and ends."""

    sentence: str


class MixerSettings(BaseModel):
    """How a mixer process is started."""

    control_fd: int
    plane: PlaneSettings
    audio_socket: str | None = None
    record_bytes: int = 0
    """Record every room's arrivals, up to this size each; 0 = when asked for."""


class DecoderSettings(BaseModel):
    """How a process that decodes one sound file is started; the file is open already."""

    control_fd: int
    sound_fd: int
    is_looped: bool


class LoopSettings(BaseModel):
    """How a process that makes a loop of a sound file is started; it writes to `loop_fd`."""

    loop: LoopSpec
    loop_fd: int


class SpoolSettings(BaseModel):
    """Where the broadcast process puts what is to be uploaded."""

    folder: str
    max_bytes: int
    are_keys_sent: bool = False


class SoundSettings(BaseModel):
    """How a process is started that is fed with a room's sound."""

    control_fd: int


class Publish(BaseModel):
    """The notification `publish`: where to send what follows, and what is said there.

    `address` is an IP address that was looked at; `host` is the name that it was given for.
    """

    address: str
    host: str
    port: Annotated[int, Field(ge=1, le=_MAX_PORT)]
    tls: bool
    app: str
    key: Annotated[str, Field(repr=False)]
    base: str


class BroadcastSettings(BaseModel):
    """How a broadcast process is started."""

    control_fd: int
    audio_socket: str
    window_folder: str | None = None
    """Where segments that are too old for memory go."""
    spool: SpoolSettings | None = None
    """What is kept for uploads."""


STATISTICS = TypeAdapter(PlaneStatistics)
_BROADCAST = TypeAdapter(BroadcastSpec)
PEERS: TypeAdapter[tuple[PeerStatistics, ...]] = TypeAdapter(tuple[PeerStatistics, ...])
TEXT: TypeAdapter[str] = TypeAdapter(str)
PLAYLIST_OR_NONE: TypeAdapter[PlaylistAt | None] = TypeAdapter(PlaylistAt | None)
POSITION_OR_NONE: TypeAdapter[Position | None] = TypeAdapter(Position | None)
READINGS: TypeAdapter[dict[str, Reading]] = TypeAdapter(dict[str, Reading])
CAPTION_FATE = TypeAdapter(CaptionFate)
FLAG = TypeAdapter(bool)
NOTHING = TypeAdapter(None)


def read(adapter: TypeAdapter[T], value: object) -> T:
    """Check a result. Raises WireError, which names the field and not its value."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise WireError(f"{first['loc']}: {first['msg']}") from None


def room_params(spec: RoomSpec) -> dict[str, Any]:
    """Return the parameters of a mixer's `apply`."""
    return ApplyRoom(spec=spec).model_dump(mode="json")


def play_params(room: RoomId, spec: PlayerSpec) -> dict[str, Any]:
    """Return the parameters of `play`."""
    return Play(room=room, spec=spec).model_dump(mode="json")


def event_params(event: PlaneEvent) -> dict[str, Any]:
    """Return the parameters of `event`."""
    return Event(event=event).model_dump(mode="json")


def recording_params(report: RecordingReport) -> dict[str, Any]:
    """Return the parameters of `recording`."""
    return Recording(report=report).model_dump(mode="json")


def broadcast_params(spec: BroadcastSpec) -> dict[str, Any]:
    """Return the parameters of a broadcast's `apply`."""
    keys = [asdict(key) for key in spec.keys]
    for key in keys:
        key.update((name, base64.b64encode(key[name]).decode("ascii")) for name in ("key", "iv"))
    broadcast = _BROADCAST.dump_python(replace(spec, keys=()), mode="json")
    return {"broadcast": broadcast, "keys": keys}


def statistics_result(statistics: PlaneStatistics) -> dict[str, Any]:
    """Return the result of `statistics`."""
    result: dict[str, Any] = STATISTICS.dump_python(statistics, mode="json")
    return result


def peers_result(peers: tuple[PeerStatistics, ...]) -> list[dict[str, Any]]:
    """Return the result of `peers`."""
    result: list[dict[str, Any]] = PEERS.dump_python(peers, mode="json")
    return result


# Errors


def refusal(error: Exception) -> RpcError | None:
    """Translate what a plane raises on purpose; an ErrorMapper."""
    match error:
        case ClientMistake():
            return RpcError(REFUSED, str(error), {"who": "client", "code": error.code})
        case PeerGone():
            return RpcError(REFUSED, str(error), {"who": "peer"})
        case NoCapacity():
            return RpcError(REFUSED, str(error), {"who": "capacity"})
        case BadSpec():
            sentence = str(error).removeprefix(f"{error.field}: ")
            return RpcError(REFUSED, sentence, {"who": "spec", "field": error.field})
        case _:
            return None


def plane_error(error: RpcError) -> MixerError | BadSpec | None:
    """Translate back what `refusal` made; None if it made it not."""
    data: Mapping[str, object] = error.data or {}
    match data.get("who") if error.code == REFUSED else None:
        case "client":
            return ClientMistake(str(data.get("code")), error.message)
        case "peer":
            return PeerGone(error.message)
        case "capacity":
            return NoCapacity(error.message)
        case "spec":
            return BadSpec(str(data.get("field")), error.message)
        case _:
            return None


# Binary frames


@dataclass(frozen=True, slots=True)
class AudioTick:
    """One tick of what is heard on a room's bus.

    `pcm` is int16[960 * channels], 48 kHz, interleaved, read-only.
    """

    room: RoomId
    bus: str
    tick: int
    pcm: Int16Frame


def audio_body(room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> bytes:
    """Return an AUDIO frame's body: tick, channels, samples (little-endian), then room/bus.

    The names stand last so that the samples are aligned.
    """
    head = _AUDIO.pack(tick, len(pcm) // FRAME_SAMPLES)
    return head + pcm.astype("<i2", copy=False).tobytes() + f"{room}/{bus}".encode()


def read_audio(kind: FrameKind, body: bytes) -> AudioTick:
    """Read an AUDIO frame. Raises WireError."""
    if kind is not FrameKind.AUDIO:
        raise WireError(f"{kind.name} is no audio")
    if len(body) < _AUDIO.size:
        raise WireError("audio has no tick")
    tick, channels = _AUDIO.unpack_from(body)
    names_at = _AUDIO.size + channels * _PCM_BYTES
    if channels not in _CHANNELS or not names_at < len(body) <= names_at + _MAX_NAMES_BYTES:
        raise WireError(f"{len(body)} bytes are no tick of a bus")
    try:
        room, slash, bus = body[names_at:].decode().partition("/")
    except UnicodeDecodeError:
        raise WireError("the names of a tick are no text") from None
    if not (room and slash and bus):
        raise WireError("a tick is of a bus of a room")
    pcm = np.frombuffer(body, "<i2", channels * FRAME_SAMPLES, _AUDIO.size)
    return AudioTick(RoomId(room), bus, tick, pcm.astype(np.int16, copy=False))


def part_body(first_frame: int, part: SoundPart) -> bytes:
    """Return the body of a SOUND frame that holds a part of a broadcast."""
    return _TICK.pack(first_frame) + part.encode()


def read_part(kind: FrameKind, body: bytes) -> tuple[int, SoundPart]:
    """Read such a frame: the number of its first AAC frame, and the part. Raises WireError."""
    if kind is not FrameKind.SOUND or len(body) < _TICK.size:
        raise WireError(f"{kind.name} of {len(body)} bytes is no part")
    try:
        return _TICK.unpack_from(body)[0], decode(body[_TICK.size :])
    except ValueError as error:
        raise WireError(str(error)) from None


def blob_body(number: int, data: bytes) -> bytes:
    """Return a BLOB frame's body."""
    return _TICK.pack(number) + data


def read_blob(kind: FrameKind, body: bytes) -> tuple[int, bytes]:
    """Read a BLOB frame: its number and the bytes. Raises WireError."""
    if kind is not FrameKind.BLOB:
        raise WireError(f"{kind.name} is no blob")
    if len(body) < _TICK.size:
        raise WireError("a blob has no number")
    return _TICK.unpack_from(body)[0], body[_TICK.size :]


def recording_body(name: str, chunk: bytes) -> bytes:
    """Return a RECORDING frame's body; the name has at most 255 bytes."""
    text = name.encode()
    return _NAME_LENGTH.pack(len(text)) + text + chunk


def read_recording(kind: FrameKind, body: bytes) -> tuple[str, bytes]:
    """Read a RECORDING frame: the recording's name and a chunk. Raises WireError."""
    if kind is not FrameKind.RECORDING:
        raise WireError(f"{kind.name} is no recording")
    end = 1 + body[0] if body else 1
    if len(body) < end:
        raise WireError("a recording has no name")
    try:
        return body[1:end].decode(), body[end:]
    except UnicodeDecodeError:
        raise WireError("a recording's name is no text") from None


@dataclass(frozen=True, slots=True)
class Sound:
    """Frames of a player: `pcm` is int16[n, 960], 48 kHz mono, read-only; n = 0 is its end."""

    room: RoomId
    name: str
    pcm: Int16Frame


def sound_body(room: RoomId, name: str, pcm: bytes) -> bytes:
    """Return a SOUND frame's body; `pcm` is whole frames of 16 bits, little-endian."""
    text = f"{room}/{name}".encode()
    return _NAME_LENGTH.pack(len(text)) + text + pcm


def read_sound(kind: FrameKind, body: bytes) -> Sound:
    """Read a SOUND frame that goes to a mixer. Raises WireError."""
    if kind is not FrameKind.SOUND:
        raise WireError(f"{kind.name} is no sound")
    end = 1 + body[0] if body else 1
    if len(body) < end or (len(body) - end) % _PCM_BYTES:
        raise WireError(f"{len(body)} bytes are no frames of a player")
    try:
        room, _, name = body[1:end].decode().partition("/")
    except UnicodeDecodeError:
        raise WireError("a player's name is no text") from None
    pcm = np.frombuffer(body, "<i2", offset=end).reshape(-1, FRAME_SAMPLES)
    return Sound(RoomId(room), name, pcm.astype(np.int16, copy=False))
