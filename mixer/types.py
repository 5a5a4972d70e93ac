"""Values that cross the border of the mixer."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, NamedTuple, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

RoomId = NewType("RoomId", str)
PeerId = NewType("PeerId", str)

Int16Frame = NDArray[np.int16]

SAMPLE_RATE = 48_000
TICK_S = 0.02
FRAME_SAMPLES = 960  # 20 ms at 48 kHz: one Opus frame, one tick
PLAIN_ROWS = 1 << 20  # rows from here on are plain RTP's, far above those of the peer table
PCM_ROWS = 1 << 21  # and from here on are those that are not sent Opus


def tick_at(now: float) -> int:
    """Return the number of the tick that contains `now` (CLOCK_MONOTONIC seconds).

    The clock is the machine's, so every process of a node counts the same ticks and a restarted
    one goes on where it stopped.
    """
    return int(now // TICK_S)


FORWARDER = "forwarder:"
"""What the peer id of a forwarder begins with, before its own id."""

FLOOR = "floor"
"""The bus that everybody speaks to and hears unless told otherwise, and that goes on air."""


class Profile(Enum):
    """What a room is for."""

    VOICE = "voice"  # mono, 96 kb/s
    MUSIC = "music"  # stereo, 128 kb/s


def _floor() -> dict[str, float]:
    return {FLOOR: 0.0}


@dataclass(frozen=True, slots=True)
class AnchorSpec:
    """One person with a microphone, as the control plane wants them mixed.

    What everybody hears of them: `gain_db` (-60..20), `pan` (-1 left..1 right, in a music room),
    brought to `agc_target_dbov` (-40..-6) slowly if set. They speak to the buses `speaks` and hear
    the buses `hears`, each with a gain in dB; a voice on several of these is heard as on the
    loudest. Who has a `profile` other than their room's is gated as in a room of that one, and in a
    music room hears it in mono, at the rate of a voice room. `for_me` changes other people for this
    person's ears alone: dB (-60..20), None = mute.
    """

    peer: PeerId
    muted: bool = False
    gain_db: float = 0.0
    pan: float = 0.0
    agc_target_dbov: float | None = None
    hears: Mapping[str, float] = field(default_factory=_floor)
    speaks: tuple[str, ...] = (FLOOR,)
    for_me: Mapping[PeerId, float | None] = field(default_factory=dict)
    profile: Profile | None = None  # None: as the room


class RtpCodec(Enum):
    """What plain RTP carries."""

    OPUS = "opus"
    PCMU = "pcmu"
    PCMA = "pcma"


class RtcpMode(Enum):
    """Where the reports of a plain RTP stream go."""

    MUX = "mux"  # to the port of RTP (RFC 5761)
    NEXT_PORT = "next"  # to the one above it, as before
    OFF = "off"


@dataclass(frozen=True, slots=True)
class ForwarderSpec:
    """A copy of a mix that is sent to `host` (an IP address) and `port` as plain RTP.

    `bus` names what is heard; "floor" is what everybody hears. It flows while anybody is
    connected to the room, silence included; `always_on` is for those who want it without that.
    """

    id: str
    host: str
    port: int
    ssrc: int
    codec: RtpCodec = RtpCodec.OPUS
    payload_type: int = 111
    bus: str = FLOOR
    always_on: bool = False
    rtcp: RtcpMode = RtcpMode.MUX


@dataclass(frozen=True, slots=True)
class RtpParticipantSpec:
    """A person whose voice comes as plain RTP, and who hears the others by it.

    Their packets come from within the networks `allow` (CIDR), and the first tells by its SSRC
    whose it is: it is `ssrc`, or any that nobody else has where that is None. From then on they are
    where that packet came from. With `host` and `port` they are there from the beginning.
    `gain_db` (-60..20) and `pan` (-1..1) are as an AnchorSpec's.
    """

    peer: PeerId
    codec: RtpCodec = RtpCodec.OPUS
    payload_type: int = 111
    ssrc: int | None = None
    allow: tuple[str, ...] = ("127.0.0.0/8",)
    host: str = ""
    port: int = 0
    muted: bool = False
    gain_db: float = 0.0
    pan: float = 0.0
    rtcp: RtcpMode = RtcpMode.MUX


@dataclass(frozen=True, slots=True)
class ArrivalsSpec:
    """A wish that what arrives in a room be recorded: up to a size, until a time (Unix s).

    A second wish is told from the first by its `name`.
    """

    name: str
    limit_bytes: int
    until_unix_s: float


@dataclass(frozen=True, slots=True)
class RecordTaps:
    """What a recorded room hands to the tap beside its mix on air.

    `mix_packets` are the floor's mix as it is encoded for those who hear it, `mix_pcm` the same
    before that; `packets` those that come from each person, `exact` the samples of each person as
    they go into the mixes, behind their fader.
    """

    mix_packets: bool = True
    mix_pcm: bool = False
    packets: bool = True
    exact: bool = False


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """A room as it should be: the whole of it, so that a lost plane can be given it again.

    A spec whose `version` is not above the applied one is ignored. Anchors that are not listed
    lose their connection. `listeners` lets in people who only hear the floor; they are not listed.
    `on_air` feeds the floor's full mix to the tap, and beside it what a listener hears of each of
    the buses `air_buses`, in as many channels as the room has. `closed` removes the room. `loudest`
    mixes that many people at a time, the loudest, 0 everybody. `automix` shares one gain among
    those who speak. `buses` names what there is beside the floor. `pass_through` lets the packets
    of a lone speaker be sent on as they came. `record` feeds the tap what a recording needs.
    """

    room: RoomId
    version: int
    anchors: tuple[AnchorSpec, ...] = ()
    on_air: bool = False
    closed: bool = False
    profile: Profile = Profile.VOICE
    loudest: int = 0
    automix: bool = False
    pass_through: bool = True
    buses: tuple[str, ...] = ()
    forwarders: tuple[ForwarderSpec, ...] = ()
    rtp: tuple[RtpParticipantSpec, ...] = ()
    arrivals: ArrivalsSpec | None = None
    listeners: bool = False
    air_buses: tuple[str, ...] = ()
    record: RecordTaps | None = None


@dataclass(frozen=True, slots=True)
class PlayerSpec:
    """What a room plays: to one person, else to who hears a bus, else to everybody and the air."""

    name: str
    peer: PeerId | None = None
    bus: str | None = None
    gain_db: float = 0.0


class PeerState(Enum):
    """Where a WebRTC connection is in its life."""

    CONNECTING = "connecting"
    LIVE = "live"
    INTERRUPTED = "interrupted"  # nothing authentic for 5 s
    GONE = "gone"


class GoneReason(Enum):
    """Why a connection ended."""

    LEFT = "left"  # close_notify
    REMOVED = "removed"  # no longer in the room's spec, or dropped
    REPLACED = "replaced"  # the same person offered anew
    TIMEOUT = "timeout"  # silent for 15 s, or never connected
    FAILED = "failed"  # the DTLS handshake was refused


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """A connection moved to `state`; `reason` is set when it is gone."""

    room: RoomId
    peer: PeerId
    state: PeerState
    reason: GoneReason | None = None


@dataclass(frozen=True, slots=True)
class Talking:
    """Who can be heard in a room now: level in dBov (-127..0) by person. Sent on change."""

    room: RoomId
    levels: Mapping[PeerId, int]


class OverloadLevel(IntEnum):
    """What an overloaded mixer does without; each level includes those before it."""

    NONE = 0
    LEAN = 1  # a mix has at most 64 kb/s
    THIN = 2  # at most 48 kb/s
    FEW = 3  # only the three loudest of a room are mixed
    FULL = 4  # nobody new is let in


@dataclass(frozen=True, slots=True)
class Overloaded:
    """The mixer does with less from now on, or with more again; NONE is how it should be."""

    level: OverloadLevel


@dataclass(frozen=True, slots=True)
class Played:
    """How far a player is: it has taken so many frames of 20 ms, and is over or not."""

    room: RoomId
    name: str
    frames: int
    is_over: bool


PlaneEvent = PeerChanged | Talking | Overloaded | Played


@dataclass(frozen=True, slots=True)
class Quality:
    """What a room may spend.

    `max_bitrate_bps` is a ceiling for each of its mixes (None: what the mix has by itself),
    `loudest` how many people are mixed at a time (0: as many as the spec says),
    `robust_complexity` libopus's for packets with FEC.
    """

    max_bitrate_bps: int | None = None
    loudest: int = 0
    robust_complexity: int = 5


class LinkMode(Enum):
    """How a person is sent the mix."""

    CLEAR = "clear"  # each frame once
    RED1 = "red1"  # with the frame before (RFC 2198)
    RED2 = "red2"  # with the two before
    ROBUST = "robust"  # fewer bits, in-band FEC


@dataclass(frozen=True, slots=True)
class Delivery:
    """Which encoding of a mix suits a person's link; the default is everybody's.

    `loss_percent` (0..100) is how much of it they lose, if FEC would help them, `bitrate_bps` the
    most their link carries (None: more than any mix has).
    """

    is_robust: bool = False
    loss_percent: int = 0
    bitrate_bps: int | None = None


@dataclass(frozen=True, slots=True)
class TransportStatistics:
    """How one connection does. Losses are 0..1 and smoothed; bit rates are RTP over a second.

    `mode` is how we send to it.
    """

    round_trip_s: float | None = None  # None: not known yet
    loss_in: float = 0.0  # from the peer to us
    loss_out: float = 0.0  # from us to the peer, as it reports
    jitter_in_s: float = 0.0  # RFC 3550 §6.4.1
    jitter_out_s: float = 0.0
    bitrate_in: float = 0.0  # bit/s
    bitrate_out: float = 0.0
    mode: LinkMode = LinkMode.CLEAR
    capacity_bps: float | None = None  # what the way to the peer carries; None: all we would send


@dataclass(frozen=True, slots=True)
class ReceptionStatistics:
    """How one person's audio arrives: the state of its jitter buffer, and counters since it began.

    Of the `lost` packets some were recovered: from redundancy sent with a later one (RED), or from
    the FEC inside the next. What was not is `concealed`, in frames of 20 ms.
    """

    depth_frames: int = 0
    target_frames: int = 0
    received: int = 0
    late: int = 0
    duplicate: int = 0
    lost: int = 0
    recovered_fec: int = 0
    recovered_red: int = 0
    concealed: int = 0
    trimmed: int = 0
    compressed: int = 0
    expanded: int = 0
    corrupt: int = 0


@dataclass(frozen=True, slots=True)
class SentStatistics:
    """What went to one place by plain RTP, and what its receiver says of it.

    `local_port` is the port it leaves by, which takes the receiver's reports. `reports` counts
    them: while it is 0 nothing is known of losses. `lost` is theirs, in packets.
    """

    local_port: int = 0
    packets: int = 0
    octets: int = 0
    reports: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """One connection as the mixer sees it; also a person's plain RTP, and a forwarder's.

    `level_dbov` is how loud the person is now (-127 = silent). `received` and `lost` are packets of
    the peer's present stream, those skipped as silent included. `sent` is plain RTP's; a
    forwarder's `peer` is "forwarder:" and its id, and nothing is received from it.
    """

    peer: PeerId
    state: PeerState
    level_dbov: int = -127
    transport: TransportStatistics = TransportStatistics()
    received: int = 0
    lost: int = 0
    reception: ReceptionStatistics = ReceptionStatistics()
    sent: SentStatistics | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often a value was up to each of `bounds` (ascending) and above the one before.

    `counts` has one entry more than `bounds`: what was above all of them. `total` is the sum of
    the values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class PlaneStatistics:
    """What a media plane has counted; names are Prometheus names without the prefix."""

    counters: Mapping[str, int] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)

    def joined(self, other: "PlaneStatistics") -> "PlaneStatistics":
        """Return both; where both know a name, the other's value."""
        return PlaneStatistics(
            {**self.counters, **other.counters},
            {**self.gauges, **other.gauges},
            {**self.histograms, **other.histograms},
        )


@dataclass(frozen=True, slots=True)
class OpusParameters:
    """What one side of a connection asks the other to send it (RFC 7587 §6.1)."""

    fec: bool = False  # useinbandfec
    dtx: bool = False  # usedtx
    stereo: bool = False  # it would rather hear stereo
    sprop_stereo: bool = False  # it will probably send stereo
    max_average_bitrate: int = 0  # bit/s; 0: it does not say
    max_playback_rate: int = SAMPLE_RATE  # Hz: what is above half of it is not heard
    min_ptime: int = 3  # ms
    ptime: int = 20  # ms


@dataclass(frozen=True, slots=True)
class PlaneSettings:
    """Where a media plane listens and what it tells clients about it.

    `udp_host` is "" for every address of the machine; `udp_port` 0 takes a free one. `tcp_port` is
    for those whom no UDP reaches: None takes the UDP port's number if it is free, 0 is none.
    `advertised` are the addresses named in answers; empty = those found on the machine.
    """

    udp_host: str = ""
    udp_port: int = 10_000
    tcp_port: int | None = None
    advertised: tuple[str, ...] = ()
    batched_sockets: bool = True  # recvmmsg/sendmmsg where the platform has them
    rtp_host: str = "127.0.0.1"
    rtp_port: int | None = None  # None: no plain RTP; 0 takes a free port


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One encoded frame and the rows of the peer table (intp[n]) that hear it.

    `previous` are the payloads of the same mix one, two, … ticks before, as far as they were sent:
    redundancy (RFC 2198) for those who lose packets.
    """

    payload: bytes
    rows: NDArray[np.intp]
    level_dbov: int
    marker: bool = False  # the first frame after silence (RFC 3551 §4.1)
    previous: tuple[bytes, ...] = ()
    pcm: Int16Frame | None = None  # what was encoded (int16[960 * channels]), for other codecs
    is_passed: bool = False  # the speaker's own packet, as it came


class TappedPacket(NamedTuple):
    """A person's packet on its way to a jitter buffer, for a recording.

    `stream` tells one of their streams from another, where sequence numbers (16 bit) and timestamps
    (32 bit, 48 kHz) begin anew. A copy was sent with a later packet, whose sequence number it has.
    """

    peer: PeerId
    stream: int
    sequence: int
    timestamp: int
    arrival_s: float
    payload: bytes
    is_silent: bool
    codec: RtpCodec
    is_copy: bool = False


class TappedFrame(NamedTuple):
    """A person's 20 ms as they go into the mixes: int16 or int32, [960 * channels], unlimited.

    `peer` is None for what is played.
    """

    peer: PeerId | None
    pcm: NDArray[np.int16] | NDArray[np.int32]


class Tapped(NamedTuple):
    """What a recorded room hands on of one tick.

    The floor's mix is there as the packet that was encoded for it (b"" if none was), and limited as
    int16[960 * channels], if asked for.
    """

    mix_packet: bytes
    mix_pcm: Int16Frame | None
    packets: Sequence[TappedPacket]
    frames: Sequence[TappedFrame]


class Tap(Protocol):
    """A reader of what is heard on a room's buses."""

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        """Take one tick of 48 kHz, int16[960 * channels] interleaved. Never blocks, never raises.

        Ticks of silence are left out.
        """

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        """Take what a recorded room hands on of one tick. Never blocks, never raises."""


class Emit(Protocol):
    """Takes the plane's events. Never blocks, never raises."""

    def __call__(self, event: PlaneEvent, /) -> None:
        """Take one event."""


class Cancellable(Protocol):
    """What `Spawn` gives back."""

    def cancel(self) -> object:
        """Ask the task to end."""


class Spawn(Protocol):
    """Starts a named task owned by a supervisor; its failure is logged and ends nobody else."""

    def __call__(self, coro: Coroutine[Any, Any, None], /, *, name: str) -> Cancellable:
        """Start the task."""
