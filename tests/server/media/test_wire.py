import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from hls.errors import BadSpec
from hls.types import (
    BroadcastSpec,
    Container,
    KeySpec,
    MixFormat,
    RecordingSpec,
    RenditionSpec,
)
from mixer.errors import ClientMistake, NoCapacity, PeerGone
from mixer.types import (
    AnchorSpec,
    ForwarderSpec,
    GoneReason,
    Overloaded,
    OverloadLevel,
    PeerChanged,
    PeerId,
    PeerState,
    PlaneEvent,
    PlaneStatistics,
    Played,
    Profile,
    RoomId,
    RoomSpec,
    RtpCodec,
    RtpParticipantSpec,
    Talking,
)
from server.media import wire
from server.rpc.errors import RpcError
from server.rpc.framing import FrameKind

names = st.text(max_size=10)
rooms = names.map(RoomId)
peers = names.map(PeerId)
gains = st.floats(allow_nan=False, allow_infinity=False)
anchor_specs = st.builds(
    AnchorSpec,
    peers,
    st.booleans(),
    gain_db=gains,
    pan=gains,
    agc_target_dbov=st.none() | gains,
    hears=st.dictionaries(names, gains, max_size=3),
    speaks=st.lists(names, max_size=3).map(tuple),
    for_me=st.dictionaries(peers, st.none() | gains, max_size=3),
    profile=st.none() | st.sampled_from(Profile),
)
room_specs = st.builds(
    RoomSpec,
    rooms,
    st.integers(),
    st.lists(st.builds(AnchorSpec, peers, st.booleans()) | anchor_specs, max_size=4).map(tuple),
    st.booleans(),
    st.booleans(),
    profile=st.sampled_from(Profile),
    loudest=st.integers(),
    automix=st.booleans(),
    buses=st.lists(names, max_size=3).map(tuple),
    air_buses=st.lists(names, max_size=3).map(tuple),
)
broadcast_specs = st.builds(
    BroadcastSpec,
    names,
    st.integers(),
    st.lists(
        st.builds(KeySpec, st.integers(), st.binary(), st.binary(), names, st.integers()),
        max_size=3,
    ).map(tuple),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.builds(RenditionSpec, names, st.integers(), names, names, names), max_size=3).map(
        tuple
    ),
    container=st.sampled_from(Container),
    loudness_lufs=st.none() | st.floats(-70, 0),
    recording=st.none()
    | st.builds(RecordingSpec, names, names, st.booleans(), st.sampled_from(MixFormat)),
)
events = (
    st.builds(
        PeerChanged,
        rooms,
        peers,
        st.sampled_from(PeerState),
        st.none() | st.sampled_from(GoneReason),
    )
    | st.builds(Talking, rooms, st.dictionaries(peers, st.integers(-127, 0)))
    | st.builds(Overloaded, st.sampled_from(OverloadLevel))
    | st.builds(Played, rooms, names, st.integers(), is_over=st.booleans())
)


def over_the_wire(value: object) -> Any:
    """What arrives of a JSON value."""
    return json.loads(json.dumps(value))


@given(room_specs)
def test_a_room_arrives_as_it_left(spec: RoomSpec) -> None:
    """A RoomSpec survives the border."""
    assert wire.ApplyRoom.model_validate(over_the_wire(wire.room_params(spec))).spec == spec


def test_a_room_that_says_little_is_read_with_defaults() -> None:
    """Whoever writes the least gets a plain room."""
    params = {"spec": {"room": "r", "version": 1, "anchors": [{"peer": "ann"}]}}
    spec = RoomSpec(RoomId("r"), 1, (AnchorSpec(PeerId("ann")),))
    assert wire.ApplyRoom.model_validate(params).spec == spec


@given(broadcast_specs)
def test_a_broadcast_arrives_as_it_left(spec: BroadcastSpec) -> None:
    """A BroadcastSpec survives the border, its keys byte for byte."""
    params = over_the_wire(wire.broadcast_params(spec))
    assert wire.ApplyBroadcast.model_validate(params).spec() == spec


@given(events)
def test_an_event_arrives_as_it_left(event: PlaneEvent) -> None:
    """Each kind of event comes out as its own kind."""
    arrived = wire.Event.model_validate(over_the_wire(wire.event_params(event))).event
    assert arrived == event
    assert type(arrived) is type(event)


def test_statistics_arrive_as_they_left() -> None:
    """Counters stay integers, gauges floats."""
    sent = PlaneStatistics({"ticks": 2**40}, {"late": 0.5})
    assert wire.read(wire.STATISTICS, over_the_wire(wire.statistics_result(sent))) == sent


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "room",
                    "version",
                    "anchors",
                    "peer",
                    "hears",
                    "key",
                    "iv",
                    "event",
                    "levels",
                ]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "model",
    [wire.ApplyRoom, wire.ApplyBroadcast, wire.Event, wire.AskSegment, wire.Ready, wire.Play],
)
@given(json_values)
def test_any_parameters_are_taken_or_refused(model: type[BaseModel], value: object) -> None:
    """No JSON raises anything but ValidationError."""
    with suppress(ValidationError):
        model.model_validate(value)


@given(json_values)
def test_any_result_is_taken_or_refused(value: object) -> None:
    """No JSON raises anything but WireError."""
    with suppress(wire.WireError):
        wire.read(wire.STATISTICS, value)


@pytest.mark.parametrize(
    "error",
    [ClientMistake("no_audio", "no"), PeerGone("no"), NoCapacity("no"), BadSpec("key", "no")],
)
def test_a_refusal_keeps_its_kind(error: ClientMistake | PeerGone | NoCapacity | BadSpec) -> None:
    """Type, sentence and code of what a plane raises survive the border."""
    sent = wire.refusal(error)
    assert sent is not None
    arrived = wire.plane_error(sent)
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))


def test_other_errors_are_no_refusals() -> None:
    """A bug in the plane is not told as a refusal, nor any other failure read as one."""
    assert wire.refusal(ValueError("inside")) is None
    assert wire.plane_error(RpcError(-32603, "internal", {"who": "peer"})) is None
    assert wire.plane_error(RpcError(wire.REFUSED, "?", {"who": "nobody"})) is None
    assert wire.plane_error(RpcError(wire.REFUSED, "?")) is None


@pytest.mark.parametrize("room", ["r", "a-room_1", "r" * 64, "räume"])
@pytest.mark.parametrize("bus", ["floor", "français", "a/b"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("tick", [0, 2**63])
def test_a_tick_arrives_as_it_left(room: str, bus: str, channels: int, tick: int) -> None:
    """Room, bus, number and every sample survive, extremes included."""
    pcm = np.linspace(-32768, 32767, 960 * channels).astype(np.int16)
    audio = wire.read_audio(FrameKind.AUDIO, wire.audio_body(RoomId(room), bus, tick, pcm))
    assert (audio.room, audio.bus, audio.tick) == (room, bus, tick)
    assert audio.pcm.dtype == np.int16
    assert np.array_equal(audio.pcm, pcm)


@given(st.binary() | st.binary(min_size=1920, max_size=2000))
def test_any_audio_is_taken_or_refused(body: bytes) -> None:
    """No bytes raise anything but WireError."""
    with suppress(wire.WireError):
        wire.read_audio(FrameKind.AUDIO, body)


MONO = wire.audio_body(RoomId("r"), "b", 1, np.zeros(960, np.int16))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        MONO[:15],
        MONO[:-4],  # a sample too few
        MONO[:-3],  # no names
        MONO[:-1],  # no bus
        MONO[:-3] + b"room",
        MONO[:-3] + b"/bus",
        MONO[:-3] + b"\xff/\xff",
        MONO[:-3] + b"r/" + b"b" * 300,
        MONO[:8] + b"\x00" + MONO[9:],
        MONO[:8] + b"\x02" + MONO[9:],
        MONO[:8] + b"\xff" + MONO[9:],
    ],
)
def test_audio_of_no_bus_is_refused(body: bytes) -> None:
    """Names that are missing, too long or no text, and samples that are not of whole channels."""
    with pytest.raises(wire.WireError):
        wire.read_audio(FrameKind.AUDIO, body)


def test_blobs_keep_their_number() -> None:
    """Number and bytes survive; less than a number is refused, and so is another kind."""
    assert wire.read_blob(FrameKind.BLOB, wire.blob_body(2**63, b"data")) == (2**63, b"data")
    with pytest.raises(wire.WireError):
        wire.read_blob(FrameKind.BLOB, b"1234567")
    with pytest.raises(wire.WireError):
        wire.read_blob(FrameKind.AUDIO, wire.blob_body(1, b""))
    with pytest.raises(wire.WireError):
        wire.read_audio(FrameKind.BLOB, bytes(1930))


@given(rooms.filter(lambda room: "/" not in room), names, st.integers(0, 3))
def test_sound_arrives_as_it_left(room: RoomId, name: str, frames: int) -> None:
    """Whole frames, none of them for the end."""
    pcm = np.arange(frames * 960).astype("<i2")
    sound = wire.read_sound(FrameKind.SOUND, wire.sound_body(room, name, pcm.tobytes()))
    assert (sound.room, sound.name, sound.pcm.shape) == (room, name, (frames, 960))
    assert np.array_equal(sound.pcm.ravel(), pcm)


@given(st.sampled_from(FrameKind), st.binary(max_size=40) | st.binary(min_size=1920, max_size=1960))
def test_any_sound_is_taken_or_refused(kind: FrameKind, body: bytes) -> None:
    """Nothing else happens."""
    with suppress(wire.WireError):
        wire.read_sound(kind, body)


def test_half_a_frame_of_sound_is_refused() -> None:
    """So is another kind, and a name that is no text."""
    good = wire.sound_body(RoomId("r"), "n", bytes(1920))
    for kind, body in (
        (FrameKind.SOUND, good[:-1]),
        (FrameKind.SOUND, b""),
        (FrameKind.SOUND, b"\x02\xff\xff"),
        (FrameKind.AUDIO, good),
    ):
        with pytest.raises(wire.WireError):
            wire.read_sound(kind, body)


LINES = RoomSpec(
    RoomId("r"),
    1,
    forwarders=(ForwarderSpec("f", "192.0.2.1", 5004, 7, RtpCodec.PCMA, 8),),
    rtp=(RtpParticipantSpec(PeerId("ann"), RtpCodec.PCMU, 0, allow=("10.0.0.0/8",)),),
)


def test_plain_rtp_arrives_as_it_left() -> None:
    """Forwarders and participants."""
    assert wire.ApplyRoom.model_validate(over_the_wire(wire.room_params(LINES))).spec == LINES


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("forwarders", {"host": "studio.example.org"}),
        ("forwarders", {"host": ""}),
        ("forwarders", {"port": 70_000}),
        ("forwarders", {"payload_type": 128}),
        ("forwarders", {"ssrc": 1 << 32}),
        ("forwarders", {"codec": "mp3"}),
        ("rtp", {"allow": ["10.0.0.1/8"]}),
        ("rtp", {"host": "nowhere"}),
        ("rtp", {"port": -1}),
        ("rtp", {"ssrc": -1}),
    ],
)
def test_plain_rtp_that_cannot_be_is_refused(kind: str, change: dict[str, object]) -> None:
    """The mixer takes addresses and numbers for what they say."""
    params = wire.room_params(LINES)
    params["spec"][kind][0] |= change
    with pytest.raises(ValidationError):
        wire.ApplyRoom.model_validate(params)
