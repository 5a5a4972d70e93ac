"""The streams of plain RTP: what goes out to one place, and who sends to us."""

import ipaddress
import secrets
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixer.core import g711
from mixer.core.reframe import Reframer
from mixer.core.resample import FACTOR, Decimator
from mixer.core.rtcp import ReceptionStatistics
from mixer.rtc.outbox import Outbox
from mixer.types import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    PeerState,
    RoomId,
    RtcpMode,
    RtpCodec,
    RtpParticipantSpec,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(eq=False, slots=True)
class Control:
    """What RTCP has said and learned of a stream that goes out."""

    due_s: float = 0.0  # when the next report is due
    has_spoken: bool = False
    reports: int = 0  # of the receiver
    round_trip_s: float | None = None
    loss: float = 0.0  # 0..1, of the last interval
    lost: int = 0  # packets, of all
    jitter_s: float = 0.0


@dataclass(slots=True)
class Rate:
    """Bits a second, between two looks at a count of octets."""

    bits_s: float = 0.0
    _octets: int = 0
    _at_s: float = 0.0

    def measure(self, octets: int, now: float) -> None:
        """Look at the count once more."""
        if now > self._at_s > 0:
            self.bits_s = 8 * (octets - self._octets) / (now - self._at_s)
        self._octets, self._at_s = octets, now


@dataclass(eq=False, slots=True)
class Stream:
    """What goes to one place. `address` is None while nobody is there."""

    room: RoomId
    row: int
    codec: RtpCodec
    payload_type: int
    outbox: Outbox
    ssrc_out: int
    rtcp: RtcpMode = RtcpMode.MUX
    is_participant: bool = False  # they send to us, too
    address: NDArray[np.uint8] | None = None
    address_length: int = 0
    host: str = ""  # of the address
    sequence_out: int = field(default_factory=lambda: secrets.randbits(15))
    timestamp_base: int = field(default_factory=lambda: secrets.randbits(32))
    packets_out: int = 0
    octets_out: int = 0  # of payload, as sender reports have it
    rate_out: Rate = field(default_factory=Rate)
    control: Control = field(default_factory=Control)
    decimator: Decimator = field(default_factory=Decimator)
    is_ringing: bool = False  # the decimator still holds sound

    @property
    def clock_hz(self) -> int:
        """How fast its timestamps run."""
        return SAMPLE_RATE if self.codec is RtpCodec.OPUS else SAMPLE_RATE // FACTOR

    @property
    def samples_a_tick(self) -> int:
        """By how much they grow in 20 ms."""
        return FRAME_SAMPLES if self.codec is RtpCodec.OPUS else g711.FRAME_BYTES


@dataclass(eq=False, slots=True)
class Participant:
    """A person on plain RTP: their stream out, and what is known of the one that comes in."""

    spec: RtpParticipantSpec
    stream: Stream
    networks: tuple[Network, ...]
    ssrc: int | None = None  # the one they send with now
    reframer: Reframer = field(default_factory=Reframer)
    reception: ReceptionStatistics | None = None  # of that SSRC
    octets_in: int = 0
    rate_in: Rate = field(default_factory=Rate)
    loss_in: float = 0.0  # 0..1, of the last interval
    last_heard: float = 0.0
    last_report: float = 0.0  # of theirs
    state: PeerState = PeerState.CONNECTING
