"""The peers of a port as columns: what every packet needs of its peer, one row each."""

import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.core.link import Link
from mixer.core.rtcp import ReceptionStatistics
from mixer.rtc.block import ADDRESS_BYTES
from mixer.rtc.dtls import DtlsSession
from mixer.rtc.ice import Credentials, Generation
from mixer.rtc.sdp import Offer
from mixer.rtc.srtp import SrtpContext
from mixer.types import PeerId, PeerState, RoomId

_INITIAL_ROWS = 64
MAX_SSRCS = 16  # libsrtp keeps a stream for every SSRC a peer ever used
MAX_PATHS = 8  # addresses a peer checks from: a host candidate per interface and family
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
    ice: list[Generation]  # the one in force, and behind it one that a restart offered
    offer: Offer
    created: float
    session_id: int = 0  # of our answers, and their version
    session_version: int = 0
    dtls: DtlsSession | None = None
    state: PeerState = PeerState.CONNECTING
    receive: SrtpContext | None = None
    send: SrtpContext | None = None
    ssrc: int | None = None  # the one it sends with now
    ssrcs: set[int] = field(default_factory=set)
    reception: ReceptionStatistics | None = None
    paths: list[bytes] = field(default_factory=list)  # addresses that passed a check, oldest first
    round_trip_s: float | None = None
    loss_in: float = 0.0  # 0..1, smoothed; the link's is the other way
    jitter_out_s: float = 0.0  # as the peer reports it
    bitrate_in: float = 0.0  # bit/s
    bitrate_out: float = 0.0
    octets_seen: tuple[int, int] = (0, 0)  # in and out, at the last report
    link: Link = field(default_factory=Link)
    last_lsr: int = 0  # of our sender reports, the last the peer had when it last reported
    sent_before: tuple[int, int] = (0, 0)  # packets and octets, at the last report to us

    @property
    def local(self) -> Credentials:
        """Our newest credentials: those of the next answer."""
        return self.ice[-1].local

    def use(self, generation: Generation) -> list[Generation]:
        """Let a generation be in force; return those before it, which are over."""
        at = self.ice.index(generation)
        over, self.ice = self.ice[:at], self.ice[at:]
        return over


class PeerTable:
    """Rows of peers; a free row is reused.

    `red_depth` is how many earlier frames each packet to them carries, `allowance` how many packets
    they may still send now.

    A peer is found by any address that passed one of its checks (its *paths*). One of them is where
    our packets go: the `address` column.
    """

    def __init__(self) -> None:
        self.peers: list[Peer | None] = []
        self.send_handles: list[Any] = []  # libsrtp's, by row
        self._free: list[int] = []
        self._grow(_INITIAL_ROWS)
        self._paths: dict[bytes, int] = {}  # row by address
        self._addresses: NDArray[np.uint8] = np.zeros((0, ADDRESS_BYTES), np.uint8)
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
        self.last_skipped: NDArray[np.uint16] = column("last_skipped", np.uint16)
        self.suspect_until: NDArray[np.float64] = column("suspect_until", np.float64)
        self.ssrc_in: NDArray[np.uint32] = column("ssrc_in", np.uint32)
        self.ssrc_out: NDArray[np.uint32] = column("ssrc_out", np.uint32)
        self.sequence_out: NDArray[np.uint16] = column("sequence_out", np.uint16)
        self.timestamp_base: NDArray[np.uint32] = column("timestamp_base", np.uint32)
        self.payload_type: NDArray[np.uint8] = column("payload_type", np.uint8)
        self.red_payload_type: NDArray[np.uint8] = column("red_payload_type", np.uint8)
        self.red_depth: NDArray[np.uint8] = column("red_depth", np.uint8)
        self.octets_in: NDArray[np.int64] = column("octets_in", np.int64)
        self.allowance: NDArray[np.float32] = column("allowance", np.float32)
        self.packets_out: NDArray[np.uint32] = column("packets_out", np.uint32)
        self.octets_out: NDArray[np.uint32] = column("octets_out", np.uint32)
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
                value[row] = 0  # a column
        return row

    def release_row(self, row: int) -> None:
        """Give a row back, and its addresses."""
        peer = self.peers[row]
        if peer is not None:
            for path in peer.paths:
                del self._paths[path]
            peer.paths.clear()
        self.peers[row] = None
        self.send_handles[row] = None
        self.has_address[row] = False
        self._free.append(row)
        self._stale = True

    def knows(self, path: bytes) -> bool:
        """Whether a peer passed a check from `path` (28 bytes)."""
        return path in self._paths

    def claim(self, peer: Peer, path: bytes) -> bool:
        """Let packets from `path` (28 bytes) reach the peer, at most MAX_PATHS of them.

        False if a peer that has finished its handshake sends from there: it cannot be ousted.
        """
        if path in peer.paths:
            return True
        row = self._paths.get(path)
        holder = None if row is None else self.peers[row]
        if holder is not None:
            is_current = self.address[holder.row].tobytes() == path
            if is_current and holder.state is not PeerState.CONNECTING:
                return False
            self._forget(holder, path)
            self.has_address[holder.row] &= not is_current
        if len(peer.paths) >= MAX_PATHS:
            current = self.address[peer.row].tobytes()
            self._forget(peer, next(old for old in peer.paths if old != current))
        peer.paths.append(path)
        self._paths[path] = peer.row
        self._stale = True
        return True

    def _forget(self, peer: Peer, path: bytes) -> None:
        peer.paths.remove(path)
        del self._paths[path]
        self._stale = True

    def send_to(self, row: int, address: NDArray[np.uint8], length: int) -> None:
        """Make `address` (uint8[28], of which `length` bytes count) the one our packets go to."""
        self.address[row] = address
        self.address_length[row] = length
        self.has_address[row] = True

    def find(self, addresses: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Return the peer row of each address (uint8[n, 28] → intp[n]), -1 where there is none."""
        if self._stale:
            self._index()
        if not len(self._keys):
            return np.full(len(addresses), -1, np.intp)
        at = np.minimum(np.searchsorted(self._keys, _hash(addresses)), len(self._keys) - 1)
        found = (self._addresses[at] == addresses).all(axis=1)
        return np.where(found, self._key_rows[at], -1)

    def _index(self) -> None:
        joined = np.frombuffer(b"".join(self._paths), np.uint8).reshape(-1, ADDRESS_BYTES)
        keys = _hash(joined)
        order = np.argsort(keys)
        self._keys, self._addresses = keys[order], joined[order]
        self._key_rows = np.fromiter(self._paths.values(), np.intp, len(self._paths))[order]
        self._stale = False


def _hash(addresses: NDArray[np.uint8]) -> NDArray[np.uint64]:
    words = np.ascontiguousarray(addresses).view(np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = (words * _HASH).sum(axis=1, dtype=np.uint64)
    return mixed
