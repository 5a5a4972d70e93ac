"""The peers of a port as columns: what every packet needs of its peer, one row each."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.core.gate import CLOSE_DBOV, OPEN_DBOV
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
EVERY_LEVEL = 2  # above those a packet can have, the one that stands for none included


class Wants(Enum):
    """Which of a peer's packets are worth decrypting.

    The value is the level in dBov up to which they are not, of packets without and with RFC 6464's
    voice bit.
    """

    ALL = (-128, -128)
    VOICED = (OPEN_DBOV, CLOSE_DBOV)  # those above the silence threshold
    NONE = (EVERY_LEVEL, EVERY_LEVEL)  # muted


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
    measured_at: float = 0.0  # when that was
    wants: Wants = Wants.ALL
    media_at: float = -1e9  # when the last authentic packet of its stream came
    suspect_until: float = 0.0
    allowance: float = 0.0  # how many packets it may still send
    allowed_at: float = 0.0  # when that was
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

    `red_depth` is how many earlier frames each packet to them carries. A packet whose level is not
    above `unread_dbov` (int16[n, 2]: without, with the voice bit) need not be decrypted before
    `proven_until`.

    A peer is found by any address that passed one of its checks (its *paths*). One of them is where
    our packets go: the `address` column.
    """

    def __init__(self) -> None:
        self.peers: list[Peer | None] = []
        self.send_handles: list[Any] = []  # libsrtp's, by row
        self._free: list[int] = []
        self._grow(_INITIAL_ROWS)
        self._paths: dict[bytes, int] = {}  # row by address
        self._current: dict[bytes, int] = {}  # row by the address our packets go to

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
        self.unread_dbov: NDArray[np.int16] = column("unread_dbov", np.int16, 2)
        self.last_heard: NDArray[np.float64] = column("last_heard", np.float64)
        self.proven_until: NDArray[np.float64] = column("proven_until", np.float64)
        self.skipped: NDArray[np.int64] = column("skipped", np.int64)
        self.last_sequence: NDArray[np.uint16] = column("last_sequence", np.uint16)
        self.last_skipped: NDArray[np.uint16] = column("last_skipped", np.uint16)
        self.ssrc_in: NDArray[np.uint32] = column("ssrc_in", np.uint32)
        self.ssrc_out: NDArray[np.uint32] = column("ssrc_out", np.uint32)
        self.sequence_out: NDArray[np.uint16] = column("sequence_out", np.uint16)
        self.timestamp_base: NDArray[np.uint32] = column("timestamp_base", np.uint32)
        self.payload_type: NDArray[np.uint8] = column("payload_type", np.uint8)
        self.red_payload_type: NDArray[np.uint8] = column("red_payload_type", np.uint8)
        self.red_depth: NDArray[np.uint8] = column("red_depth", np.uint8)
        self.octets_in: NDArray[np.int64] = column("octets_in", np.int64)
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
        self.unread_dbov[row] = Wants.ALL.value
        return row

    def want(self, peer: Peer, wants: Wants) -> None:
        """Have other packets of the peer decrypted than before."""
        if peer.wants is not wants:
            peer.wants = wants
            self.unread_dbov[peer.row] = wants.value

    def release_row(self, row: int) -> None:
        """Give a row back, and its addresses."""
        peer = self.peers[row]
        self._leave(row)
        if peer is not None:
            for path in peer.paths:
                del self._paths[path]
            peer.paths.clear()
        self.peers[row] = None
        self.send_handles[row] = None
        self._free.append(row)

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
            if is_current:
                self._leave(holder.row)
        if len(peer.paths) >= MAX_PATHS:
            current = self.address[peer.row].tobytes()
            self._forget(peer, next(old for old in peer.paths if old != current))
        peer.paths.append(path)
        self._paths[path] = peer.row
        return True

    def _forget(self, peer: Peer, path: bytes) -> None:
        peer.paths.remove(path)
        del self._paths[path]

    def send_to(self, row: int, address: NDArray[np.uint8], length: int) -> None:
        """Make `address` (uint8[28], of which `length` bytes count) the one our packets go to."""
        self._leave(row)
        self.address[row] = address
        self.address_length[row] = length
        self.has_address[row] = True
        self._current[address.tobytes()] = row

    def _leave(self, row: int) -> None:
        """Let no packets go to the row's address any longer."""
        if self.has_address[row]:
            self.has_address[row] = False
            path = self.address[row].tobytes()
            if self._current.get(path) == row:
                del self._current[path]

    def find(self, addresses: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Return the peer row of each address (uint8[n, 28] → intp[n]), -1 where there is none."""
        # A dict asked row by row: the vector expressions that do the same cost as much for 200 rows
        # and three times as much for 40.
        return _looked_up(self._paths, addresses)

    def find_current(self, addresses: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Return the row of the peer whose packets we send to each address, else -1; as `find`."""
        return _looked_up(self._current, addresses)


def _looked_up(rows: dict[bytes, int], addresses: NDArray[np.uint8]) -> NDArray[np.intp]:
    raw, get = addresses.tobytes(), rows.get
    found = [get(raw[at : at + ADDRESS_BYTES], -1) for at in range(0, len(raw), ADDRESS_BYTES)]
    return np.array(found, np.intp)
