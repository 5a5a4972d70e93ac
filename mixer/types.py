"""Values that cross the border of the mixer."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

RoomId = NewType("RoomId", str)
PeerId = NewType("PeerId", str)

Int16Frame = NDArray[np.int16]

SAMPLE_RATE = 48_000
TICK_S = 0.02
FRAME_SAMPLES = 960  # 20 ms at 48 kHz: one Opus frame, one tick


def tick_at(now: float) -> int:
    """Return the number of the tick that contains `now` (CLOCK_MONOTONIC seconds).

    The clock is the machine's, so every process of a node counts the same ticks and a restarted
    one goes on where it stopped.
    """
    return int(now // TICK_S)


@dataclass(frozen=True, slots=True)
class AnchorSpec:
    """One person with a microphone, as the control plane wants them mixed."""

    peer: PeerId
    muted: bool = False


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """A room as it should be: the whole of it, so that a lost plane can be given it again.

    A spec whose `version` is not above the applied one is ignored. Anchors that are not listed
    lose their connection. `on_air` feeds the room's full mix to the tap. `closed` removes the room.
    """

    room: RoomId
    version: int
    anchors: tuple[AnchorSpec, ...] = ()
    on_air: bool = False
    closed: bool = False


class PeerState(Enum):
    """Where a WebRTC connection is in its life."""

    CONNECTING = "connecting"
    LIVE = "live"
    INTERRUPTED = "interrupted"  # nothing authentic for 5 s
    GONE = "gone"


class GoneReason(Enum):
    """Why a connection ended."""

    LEFT = "left"  # close_notify
    REMOVED = "removed"  # no longer in the room's spec
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


PlaneEvent = PeerChanged | Talking


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
class ReceptionStatistics:
    """How one person's audio arrives: the state of its jitter buffer, and counters since it began.

    Of the `lost` packets some were recovered: from redundancy sent with a later one (RED), or from
    the FEC inside the next. What was not is `concealed`, in frames of 20 ms.
    """

    depth_frames: int
    target_frames: int
    received: int
    late: int
    duplicate: int
    lost: int
    recovered_fec: int
    recovered_red: int
    concealed: int
    trimmed: int
    compressed: int
    expanded: int
    corrupt: int


@dataclass(frozen=True, slots=True)
class PlaneSettings:
    """Where a media plane listens and what it tells clients about it.

    `udp_host` is "" for every address of the machine; `udp_port` 0 takes a free one. `advertised`
    are the addresses named in answers; empty = those found on the machine.
    """

    udp_host: str = ""
    udp_port: int = 10_000
    advertised: tuple[str, ...] = ()
    batched_sockets: bool = True  # recvmmsg/sendmmsg where the platform has them


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One encoded frame and the rows of the peer table (intp[n]) that hear it."""

    payload: bytes
    rows: NDArray[np.intp]
    level_dbov: int
    marker: bool = False  # the first frame after silence (RFC 3551 §4.1)


class Tap(Protocol):
    """A reader of a room's mix."""

    def write(self, room: RoomId, tick: int, pcm: Int16Frame) -> None:
        """Take one tick of mono 48 kHz audio (int16, 960 samples). Never blocks, never raises."""


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
