"""Connectivity checks: whose address is whose (ICE-lite, RFC 8445 §2.5)."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.rtc.block import DatagramBlock
from mixer.rtc.guard import Guard
from mixer.rtc.ice import CheckRefusal, Generation, answer, make_credentials, read_check
from mixer.rtc.outbox import Outbox
from mixer.rtc.peers import Peer
from mixer.rtc.reports import Reports
from mixer.rtc.sockets import unpack_address
from mixer.types import PeerState

STRANGERS_PER_TICK = 100  # checks from unknown addresses: 30 µs each, and anybody can send them


class Life(Protocol):
    """What a check means for its peer's connection."""

    def heard_from(self, peer: Peer, now: float) -> None:
        """The peer is alive."""

    def move(self, peer: Peer, row: int) -> None:
        """The peer is where this row of the block came from, and that is one of its paths."""

    def checked(self, peer: Peer) -> None:
        """A path to the peer works."""


class Checks:
    """Answers the STUN rows of `block`, and knows which credentials are in force."""

    def __init__(
        self, block: DatagramBlock, reports: Reports, guard: Guard, outbox: Outbox, *, life: Life
    ) -> None:
        self._incoming = block
        self._table = reports.table
        self._counters = reports.counters
        self._guard = guard
        self._outbox = outbox
        self._life = life
        self._by_ufrag: dict[str, Peer] = {}
        self._strangers_left = STRANGERS_PER_TICK

    def new_tick(self) -> None:
        """Take so many checks of strangers again."""
        self._strangers_left = STRANGERS_PER_TICK

    def offered(self, peer: Peer) -> None:
        """Prepare credentials for a peer's new offer, unless it is no ICE restart."""
        remote = peer.offer.remote
        known = [generation for generation in peer.ice if generation.remote == remote]
        if known:  # and a restart that was offered before is taken back
            kept = peer.ice.index(known[0]) + 1
            self._end(peer.ice[kept:])
            del peer.ice[kept:]
            return
        self._end(peer.ice[1:])
        peer.ice[1:] = [Generation(make_credentials(), remote)]
        self._by_ufrag[peer.local.ufrag] = peer

    def forget(self, peer: Peer) -> None:
        """Answer a peer's checks no longer."""
        self._end(peer.ice)

    def _end(self, generations: list[Generation]) -> None:
        for generation in generations:
            self._by_ufrag.pop(generation.local.ufrag, None)

    def handle(self, rows: NDArray[np.intp], now: float) -> None:
        """Answer STUN rows (intp[k]); of strangers as many as a tick allows."""
        strange = self._table.find(self._incoming.addresses[rows]) < 0
        strangers = rows[strange][: self._strangers_left]
        self._strangers_left -= len(strangers)
        self._counters["stun_over_budget"] += int(strange.sum()) - len(strangers)
        for row in (*rows[~strange].tolist(), *strangers.tolist()):
            self._guard(self._handle, row, now)

    def _handle(self, row: int, now: float) -> None:
        block = self._incoming
        check = read_check(block.data[row, : block.lengths[row]].tobytes())
        if isinstance(check, CheckRefusal):
            self._counters[check.value] += 1
            return
        peer = self._by_ufrag.get(check.local_ufrag)
        if peer is None:
            self._counters[CheckRefusal.UNKNOWN_UFRAG.value] += 1
            return
        generation = next((known for known in peer.ice if check.belongs_to(known)), None)
        if generation is None:
            self._counters[CheckRefusal.BAD_INTEGRITY.value] += 1
            return
        address, length = block.addresses[row], int(block.address_lengths[row])
        path = address.tobytes()
        if not check.is_role_conflict and not self._table.claim(peer, path):
            self._counters["stun_address_taken"] += 1
            return
        self._outbox.push(answer(check, generation.local, unpack_address(path)), address, length)
        self._life.heard_from(peer, now)
        if not check.is_role_conflict:
            self._take_path(peer, row, generation, is_nomination=check.is_nomination)

    def _take_path(
        self, peer: Peer, row: int, generation: Generation, *, is_nomination: bool
    ) -> None:
        """A path works. It becomes the peer's if it has none, or nominates it to connect by.

        Later a check is not enough: it can be recorded and sent again from anywhere. Then the
        peer's address is where its newest authentic media comes from. The first nomination after an
        ICE restart is no recording, and ends the credentials before it.
        """
        over = peer.use(generation) if is_nomination else []
        self._end(over)
        if over:
            self._counters["ice_restarts"] += 1
        if (
            over
            or not self._table.has_address[peer.row]
            or (is_nomination and peer.state is PeerState.CONNECTING)
        ):
            self._life.move(peer, row)
        self._life.checked(peer)
