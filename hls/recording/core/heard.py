"""What a recorder hears of a room, tick by tick."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TICK_SAMPLES = 960  # 20 ms at 48 kHz

Sound = NDArray[np.int16] | NDArray[np.int32]
"""20 ms, [960, channels]."""


class Codec(IntEnum):
    """What somebody's packets hold."""

    OPUS = 0
    PCMU = 1
    PCMA = 2


class HeardPacket(NamedTuple):
    """A packet of somebody's stream, with sequence number (16 bit) and timestamp (32 bit, 48 kHz).

    `arrival` is in samples of 48 kHz on CLOCK_MONOTONIC, of which a tick has 960. A copy came with
    a later packet, whose sequence number and arrival it has.
    """

    peer: str
    stream: int
    sequence: int
    timestamp: int
    arrival: int
    payload: bytes
    is_silent: bool = False
    is_copy: bool = False
    codec: Codec = Codec.OPUS


class HeardFrame(NamedTuple):
    """Somebody's 20 ms as they went into the mix; `peer` is "" for what the room played."""

    peer: str
    pcm: Sound


@dataclass(slots=True)
class Heard:
    """What a room made of one tick: its mix as a packet and as sound, who was heard in it."""

    tick: int
    mix_packet: bytes = b""
    mix_pcm: Sound | None = None
    packets: list[HeardPacket] = field(default_factory=list)
    frames: list[HeardFrame] = field(default_factory=list)
