"""The peers of a port as columns: what every packet needs of its peer, one row each."""

import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.core.rtcp import ReceptionStatistics
from mixer.core.sequence import Unwrapper
from mixer.rtc.block import ADDRESS_BYTES
from mixer.rtc.dtls import DtlsSession
from mixer.rtc.ice import Credentials
from mixer.rtc.srtp import SrtpContext
from mixer.types import PeerId, PeerState, RoomId

_INITIAL_ROWS = 64
MAX_SSRCS = 16  # libsrtp keeps a stream for every SSRC a peer ever used
PREROLL = 2  # packets kept from before a voice: the jitter buffer's target, so they cost no delay
HELD_BYTES = 400  # a longer packet is no silence (coded room noise is 80 bytes)

# A universal hash of an address: multipliers nobody can know, so that nobody can choose an address
# that collides with another's.
_HASH = np.array([secrets.randbits(64) | 1 for _ in range(ADDRESS_BYTES // 4)], np.uint64)


class Wants(IntEnum):
    """Which of a peer's packets are worth decrypting."""

    ALL = 0
    VOICED = 1  # those above the silence threshold
    NONE = 2  # muted


@dataclass(eq=False, slots=True)
class Peer:
    """One connection. Columns of `PeerTable` hold what the packet loops need."""

    room: RoomId
    id: PeerId
    row: int
    local: Credentials
    remote: Credentials
    payload_type: int
    mid: str
    speaks: bool  # the peer sends audio
    hears: bool  # the peer takes audio
    created: float
    dtls: DtlsSession | None = None
    state: PeerState = PeerState.CONNECTING
    receive: SrtpContext | None = None
    send: SrtpContext | None = None
    ssrc: int | None = None  # the one it sends with now
    ssrcs: set[int] = field(default_factory=set)
    sequence: Unwrapper = field(default_factory=Unwrapper)
    reception: ReceptionStatistics | None = None
    validated: set[bytes] = field(default_factory=set)  # address rows that passed a check
    last_report: float = 0.0
    round_trip_s: float | None = None
    fraction_lost: float = 0.0


class PeerTable:
    """Rows of peers; a free row is reused. Columns are valid up to `size`."""

    def __init__(self) -> None:
        self.peers: list[Peer | None] = []
        self.send_handles: list[Any] = []  # libsrtp's, by row
        self._free: list[int] = []
        self._grow(_INITIAL_ROWS)
        self._keys: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._key_rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._stale = False

    def _grow(self, rows: int) -> None:
        def column(name: str, dtype: type, width: int | None = None) -> Any:
            fresh: Any = np.zeros(rows if width is None else (rows, width), dtype)
            old = getattr(self, name, None)
            if old is not None:
                fresh[: len(old)] = old
            return fresh

        self.address: NDArray[np.uint8] = column("address", np.uint8, ADDRESS_BYTES)
        self.address_length: NDArray[np.uint32] = column("address_length", np.uint32)
        self.has_address: NDArray[np.bool_] = column("has_address", np.bool_)
        self.level_id: NDArray[np.uint8] = column("level_id", np.uint8)
        self.wants: NDArray[np.uint8] = column("wants", np.uint8)
        self.last_heard: NDArray[np.float64] = column("last_heard", np.float64)
        self.last_unprotected: NDArray[np.float64] = column("last_unprotected", np.float64)
        self.skipped: NDArray[np.int64] = column("skipped", np.int64)
        self.last_sequence: NDArray[np.uint16] = column("last_sequence", np.uint16)
        self.ssrc_in: NDArray[np.uint32] = column("ssrc_in", np.uint32)
        self.ssrc_out: NDArray[np.uint32] = column("ssrc_out", np.uint32)
        self.sequence_out: NDArray[np.uint16] = column("sequence_out", np.uint16)
        self.timestamp_base: NDArray[np.uint32] = column("timestamp_base", np.uint32)
        self.payload_type: NDArray[np.uint8] = column("payload_type", np.uint8)
        self.packets_out: NDArray[np.uint32] = column("packets_out", np.uint32)
        self.octets_out: NDArray[np.uint32] = column("octets_out", np.uint32)
        self.hears: NDArray[np.bool_] = column("hears", np.bool_)  # ready to be sent to
        self.held: NDArray[np.uint8] = column("held", np.uint8, PREROLL * HELD_BYTES)
        self.held_length: NDArray[np.int32] = column("held_length", np.int32, PREROLL)
        self.held_arrival: NDArray[np.float64] = column("held_arrival", np.float64, PREROLL)
        self.held_next: NDArray[np.uint8] = column("held_next", np.uint8)
        self.send_handles += [None] * (rows - len(self.send_handles))
        self._free += range(len(self.peers), rows)
        self.peers += [None] * (rows - len(self.peers))

    @property
    def count(self) -> int:
        """How many rows are taken."""
        return len(self.peers) - len(self._free)

    def take_row(self) -> int:
        """Return a free row with its columns zeroed."""
        if not self._free:
            self._grow(2 * len(self.peers))
        row = self._free.pop()
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and not name.startswith("_"):
                value[row] = 0
        return row

    def release_row(self, row: int) -> None:
        """Give a row back."""
        self.peers[row] = None
        self.send_handles[row] = None
        self.has_address[row] = False
        self.hears[row] = False
        self._free.append(row)
        self._stale = True

    def set_address(self, row: int, address: NDArray[np.uint8], length: int) -> None:
        """Make `address` (uint8[28]) the peer's: where its packets come from and ours go to."""
        self.address[row] = address
        self.address_length[row] = length
        self.has_address[row] = True
        self._stale = True

    def find(self, addresses: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Return the peer row of each address (uint8[n, 28] → intp[n]), -1 where there is none."""
        if self._stale:
            rows = np.flatnonzero(self.has_address)
            keys = _hash(self.address[rows])
            order = np.argsort(keys, kind="stable")
            self._keys, self._key_rows, self._stale = keys[order], rows[order], False
        if not len(self._keys):
            return np.full(len(addresses), -1, np.intp)
        at = np.minimum(np.searchsorted(self._keys, _hash(addresses)), len(self._keys) - 1)
        rows = self._key_rows[at]
        return np.where((self.address[rows] == addresses).all(axis=1), rows, -1)

    def find_one(self, address: NDArray[np.uint8]) -> "Peer | None":
        """Return the peer at an address (uint8[28])."""
        row = int(self.find(address[np.newaxis])[0])
        return None if row < 0 else self.peers[row]


def _hash(addresses: NDArray[np.uint8]) -> NDArray[np.uint64]:
    words = np.ascontiguousarray(addresses).view(np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = (words * _HASH).sum(axis=1, dtype=np.uint64)
    return mixed
