"""The values that go into a jitter buffer and come out of it."""

from dataclasses import dataclass
from typing import NamedTuple

# Named tuples where one is made for every packet: a frozen dataclass takes three times as long.


class Arrival(NamedTuple):
    """One decrypted RTP packet of an Opus stream.

    An empty payload stands for 20 ms that are known to be silent and were not decrypted.
    """

    sequence: int
    """As on the wire: 16 bit."""
    timestamp: int
    """As on the wire: 32 bit, 48 kHz."""
    payload: bytes
    arrival_s: float
    """On the clock that `pop` is asked with."""
    silent: bool
    """Known to hold nobody's voice."""
    redundancy: tuple[tuple[int, bytes], ...] = ()
    """Earlier frames it carries (RFC 2198): how many samples before `timestamp`, and the packet."""


class Play(NamedTuple):
    """Decode these packets, in order; they begin in this tick.

    Mostly one packet of 20 ms. Shorter packets come several at once: if they hold less than a
    frame, the rest is missing and to be concealed. Longer ones fill this tick and the `frames - 1`
    after it, for which `pop` returns `Continue`.
    """

    payloads: tuple[bytes, ...]
    silent: bool
    """All of them are known to be silent."""
    frames: int = 1
    """The ticks that begin with this one and are filled by these packets."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Play what is left of the packet handed out before."""


class Conceal(NamedTuple):
    """A frame is due and missing.

    `next_payload` is the 20 ms packet that follows the gap, if it is here and its in-band FEC holds
    the missing frame. It will be played at the next tick all the same.
    """

    next_payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is due: the stream has not begun, has ended, or pauses (DTX)."""

    comfort: bool = False
    """It pauses, for a second at most: what the decoder makes up is its room's noise."""


@dataclass(frozen=True, slots=True)
class JitterStatistics:
    """Counters since the beginning, in packets unless said otherwise, and the present state."""

    received: int
    played: int
    """Redundant copies that were played included."""
    late: int
    """Came after their place had been concealed or passed."""
    duplicate: int
    lost: int
    """Were not here when their place came: lost for good, late, or saved by what is next."""
    recovered_red: int
    """Of the lost: played from a redundant copy."""
    recovered_fec: int
    """Frames that the packet after them held, at a lower rate."""
    concealed: int
    """Frames without anything to play."""
    trimmed: int
    """Dropped to win back delay."""
    compressed: int
    """Frames played faster to win back delay."""
    expanded: int
    """Frames played slower to gain delay."""
    resyncs: int
    """New beginnings: jumps of timestamp or sequence number."""
    depth_frames: int
    target_frames: int
