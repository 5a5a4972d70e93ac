"""Values that cross the border of the broadcast plane."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeySpec:
    """The AES-128 key of one epoch: `key` and `iv` are 16 bytes, `uri` goes into the playlist.

    It is in force from segment `first_msn` until the next key's.
    """

    epoch: int
    key: bytes
    iv: bytes
    uri: str
    first_msn: int = 0


@dataclass(frozen=True, slots=True)
class BroadcastSpec:
    """A room's broadcast as it should be.

    `base_tick` is the (20 ms, CLOCK_MONOTONIC) tick at which the room went on air and `base_unix_s`
    the wall clock at that tick, so that sequence numbers and PROGRAM-DATE-TIME go on after a
    restart. Before that tick the stream has a few segments of silence, so that there is something
    to play from the first moment on. A base that moved starts the stream anew.
    """

    room: str
    version: int
    key: KeySpec
    base_tick: int
    base_unix_s: float
    on_air: bool = True
