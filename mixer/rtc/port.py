"""One UDP port of WebRTC peers: datagrams in blocks, in and out."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.core.gate import CLOSE_DBOV, OPEN_DBOV
from mixer.core.jitter import Arrival
from mixer.core.rtp import (
    NO_LEVEL,
    Headers,
    Kind,
    classify,
    header_length,
    parse_headers,
    payload,
    write_headers,
)
from mixer.core.sequence import newer
from mixer.rtc.block import ROW_BYTES, DatagramBlock
from mixer.rtc.dtls import Certificate, DtlsSession, HandshakeQueue
from mixer.rtc.ice import CheckRefusal, answer, make_credentials, read_check
from mixer.rtc.peers import HELD_BYTES, MAX_SSRCS, PREROLL, Peer, PeerTable, Wants
from mixer.rtc.reports import Reports
from mixer.rtc.sdp import Answerer, Offer, write_answer
from mixer.rtc.sockets import BlockSocket, unpack_address
from mixer.rtc.srtp import MAX_PAYLOAD_BYTES, RowPointers, SrtpContext, protect_rows, unprotect_row
from mixer.types import FRAME_SAMPLES, GoneReason, Outgoing, PeerId, PeerState, RoomId, Spawn

RECEIVE_ROWS = 256
POLL_BUDGET_S = 0.01  # half a tick: a flood cannot hold the ticker, it overflows in the kernel
STRANGERS_PER_TICK = 100  # checks from unknown addresses: 30 µs each, and anybody can send them
SEND_ROWS = 1024
CONTROL_ROWS = 64
UNPROTECT_EVERY_S = (
    1.0  # of a silent stream: keeps libsrtp's roll-over counter and proves who sends
)
PLAUSIBLE_SKIP = 200  # sequence numbers ahead of the last authentic one; a second holds 50
MEDIA_PAUSE_S = 2.0  # DTX sends every 0.4 s; longer is somebody who only listens
INTERRUPTED_S = 5.0
GONE_S = 15.0

_NOWHERE: frozenset[int] = frozenset()
_log = logging.getLogger(__name__)


class PortListener(Protocol):
    """Who the port tells. No call may block."""

    def began(self, peer: Peer) -> None:
        """The packets from here on are another stream (SSRC) than those before."""

    def arrived(self, peer: Peer, packet: Arrival, level_dbov: int | None, *, voice: bool) -> None:
        """Take one authentic packet.

        Level and voice bit are RFC 6464's; `level_dbov` is None where the peer sends neither.
        """

    def changed(self, peer: Peer, reason: GoneReason | None) -> None:
        """`peer.state` is new."""


class WebRtcPort:
    """ICE-lite, DTLS-SRTP and RTP for all peers of a process, on one socket."""

    def __init__(
        self,
        socket: BlockSocket,
        listener: PortListener,
        *,
        clock: Callable[[], float],
        spawn: Spawn,
    ) -> None:
        self.table = PeerTable()
        self.counters: Counter[str] = Counter()
        self._socket = socket
        self._listener = listener
        self._clock = clock
        self._spawn = spawn
        self._by_ufrag: dict[str, Peer] = {}
        self._connecting: set[Peer] = set()
        self._certificate = Certificate()
        self._handshakes = HandshakeQueue(clock)
        self._incoming = DatagramBlock(RECEIVE_ROWS)
        self._incoming_pointers = RowPointers(self._incoming)
        self._held = DatagramBlock(PREROLL)
        self._held_pointers = RowPointers(self._held)
        self._outgoing = DatagramBlock(SEND_ROWS)
        self._outgoing_pointers = RowPointers(self._outgoing)
        self._control = DatagramBlock(CONTROL_ROWS)
        self._control_rows = 0
        self._reports = Reports(self.table, self.counters)
        self._next_timers = 0.0
        self._strangers_left = STRANGERS_PER_TICK
        self._elsewhere = _NOWHERE  # rows that came over another path than the peer's current one
        self._has_failed = False

    # Peers

    def add_peer(self, room: RoomId, peer_id: PeerId, offer: Offer, *, now: float) -> Peer:
        """Make a connection for an offer; its handshake begins when the peer's checks arrive."""
        row = self.table.take_row()
        peer = Peer(
            room=room, id=peer_id, row=row, local=make_credentials(), offer=offer, created=now
        )
        table = self.table
        table.peers[row] = peer
        table.level_id[row] = offer.level_id
        table.payload_type[row] = offer.payload_type
        table.ssrc_out[row] = secrets.randbits(32)
        table.sequence_out[row] = secrets.randbits(
            15
        )  # room before the first wrap (RFC 3711 §3.3.1)
        table.timestamp_base[row] = secrets.randbits(32)
        table.last_heard[row] = now
        self._by_ufrag[peer.local.ufrag] = peer
        self._connecting.add(peer)
        peer.dtls = DtlsSession(
            self._certificate,
            self._handshakes,
            send=lambda record: self._send_to(peer, record),
            on_keys=lambda receive, send: self._keys_ready(peer, receive, send),
            on_end=lambda connected: self._dtls_ended(peer, connected=connected),
        )
        return peer

    def write_answer(self, peer: Peer, *, addresses: tuple[str, ...], port: int) -> str:
        """Return the SDP answer that leads the peer here."""
        return write_answer(
            peer.offer,
            Answerer(
                credentials=peer.local,
                fingerprint_sha256=self._certificate.sha256(),
                addresses=addresses,
                port=port,
                ssrc=int(self.table.ssrc_out[peer.row]),
                cname="roomtone",
                session_id=secrets.randbits(62),
            ),
        )

    def remove(self, peer: Peer, reason: GoneReason) -> None:
        """End a connection: BYE and close_notify to the peer, `gone` to the listener."""
        if peer.state is PeerState.GONE:
            return
        if peer.send is not None:
            self._send_rtcp(peer, self._reports.goodbye(peer))
        if peer.dtls is not None:
            self._spawn(peer.dtls.stop(), name="dtls-stop")  # ends by itself: it sends one record
        self._set_state(peer, PeerState.GONE, reason)
        self._by_ufrag.pop(peer.local.ufrag, None)
        # The row lives until close_notify has left by its address, then goes back.
        asyncio.get_running_loop().call_soon(self._release, peer)

    def _release(self, peer: Peer) -> None:
        self.flush()
        self.table.release_row(peer.row)

    def _set_state(self, peer: Peer, state: PeerState, reason: GoneReason | None = None) -> None:
        if peer.state is not state and peer.state is not PeerState.GONE:
            peer.state = state
            self._connecting.discard(peer)
            self._listener.changed(peer, reason)

    def _keys_ready(self, peer: Peer, receive: SrtpContext, send: SrtpContext) -> None:
        peer.receive, peer.send = receive, send
        self.table.send_handles[peer.row] = send.handle
        self.counters["dtls_handshakes"] += 1
        self._set_state(peer, PeerState.LIVE)

    def _dtls_ended(self, peer: Peer, *, connected: bool) -> None:
        self.counters["dtls_closed" if connected else "dtls_failed"] += 1
        self.remove(peer, GoneReason.LEFT if connected else GoneReason.FAILED)

    # In

    @property
    def is_handshaking(self) -> bool:
        """Whether a peer is still on its way in, so that the socket is worth reading more often."""
        return bool(self._connecting)

    def poll(self, *, now: float, unix_now: float) -> None:
        """Read and handle what has arrived, for POLL_BUDGET_S at most."""
        deadline = self._clock() + POLL_BUDGET_S
        while rows := self._socket.receive(self._incoming, now=now, unix_now=unix_now):
            self.counters["datagrams_received"] += rows
            self._handle(rows, now, unix_now)
            if rows < RECEIVE_ROWS or self._clock() >= deadline:
                break
        self.flush()

    def _handle(self, rows: int, now: float, unix_now: float) -> None:
        block, table = self._incoming, self.table
        kinds = classify(block.data[:rows], block.lengths[:rows])
        self.counters["junk_datagrams"] += int((kinds == Kind.JUNK).sum())
        checks = np.flatnonzero(kinds == Kind.STUN)
        if len(checks):
            self._handle_checks(checks, now)
        others = np.flatnonzero(kinds >= Kind.DTLS)
        if not len(others):
            return
        peers = table.find(block.addresses[others])
        known = peers >= 0
        self.counters["foreign_datagrams"] += int((~known).sum())
        others, peers, kinds = others[known], peers[known], kinds[others[known]]
        moved = (block.addresses[others] != table.address[peers]).any(axis=1)
        self._elsewhere = frozenset(others[moved].tolist()) if moved.any() else _NOWHERE
        for row, peer_row in _pairs(others, peers, kinds == Kind.DTLS):
            self._guard(self._handle_dtls, row, peer_row)
        rtp = kinds == Kind.RTP
        if rtp.any():
            self._handle_rtp(others[rtp], peers[rtp], now)
        for row, peer_row in _pairs(others, peers, kinds == Kind.RTCP):
            self._guard(self._handle_rtcp, row, peer_row, now, unix_now)

    def _guard(self, handle: Callable[..., None], *arguments: Any) -> None:
        """Handle one datagram; whatever goes wrong with it, the next one is handled too."""
        try:
            handle(*arguments)
        except Exception:  # noqa: BLE001 - a boundary: the next datagram is somebody else's
            self.counters["datagram_failures"] += 1
            if not self._has_failed:
                self._has_failed = True
                _log.exception("a datagram could not be handled; further ones are only counted")

    def _handle_checks(self, rows: NDArray[np.intp], now: float) -> None:
        strange = self.table.find(self._incoming.addresses[rows]) < 0
        strangers = rows[strange][: self._strangers_left]
        self._strangers_left -= len(strangers)
        self.counters["stun_over_budget"] += int(strange.sum()) - len(strangers)
        for row in (*rows[~strange].tolist(), *strangers.tolist()):
            self._guard(self._handle_check, row, now)

    def _handle_check(self, row: int, now: float) -> None:
        block = self._incoming
        check = read_check(block.data[row, : block.lengths[row]].tobytes())
        if isinstance(check, CheckRefusal):
            self.counters[check.value] += 1
            return
        peer = self._by_ufrag.get(check.local_ufrag)
        if peer is None:
            self.counters[CheckRefusal.UNKNOWN_UFRAG.value] += 1
            return
        if check.remote_ufrag != peer.offer.remote.ufrag or not check.is_authentic(peer.local):
            self.counters[CheckRefusal.BAD_INTEGRITY.value] += 1
            return
        address, length = block.addresses[row], int(block.address_lengths[row])
        path = address.tobytes()
        if not check.is_role_conflict and not self.table.claim(peer, path):
            self.counters["stun_address_taken"] += 1
            return
        self._post(answer(check, peer.local, unpack_address(path)), address, length)
        self._heard_from(peer, now)
        if not check.is_role_conflict:
            self._checked(peer, row, is_nomination=check.is_nomination)

    def _checked(self, peer: Peer, row: int, *, is_nomination: bool) -> None:
        """A path works. It becomes the peer's if it has none, or nominates it to connect by.

        Later a check is not enough: it can be recorded and sent again from anywhere. Then the
        peer's address is where its newest authentic media comes from.
        """
        if not self.table.has_address[peer.row] or (
            is_nomination and peer.state is PeerState.CONNECTING
        ):
            self._move(peer, row)
        if peer.dtls is not None and not peer.dtls.is_started:
            peer.dtls.start(
                peer.offer.fingerprints,
                is_client=peer.offer.setup == "passive",
                spawn=self._spawn,
            )

    def _move(self, peer: Peer, row: int) -> None:
        """Send to where this row came from."""
        block, table = self._incoming, self.table
        if table.has_address[peer.row]:
            if (table.address[peer.row] == block.addresses[row]).all():
                return
            self.counters["address_migrations"] += 1
        table.send_to(peer.row, block.addresses[row], int(block.address_lengths[row]))

    def _handle_dtls(self, row: int, peer_row: int) -> None:
        peer = self.table.peers[peer_row]
        if peer is None or peer.dtls is None:
            return
        block = self._incoming
        if not peer.dtls.push(block.data[row, : block.lengths[row]].tobytes()):
            self.counters["dtls_refused"] += 1
        elif row in self._elsewhere and peer.state is PeerState.CONNECTING:
            self._move(peer, row)

    def _heard_from(self, peer: Peer, now: float) -> None:
        self.table.last_heard[peer.row] = now
        if peer.state is PeerState.INTERRUPTED:
            self._set_state(peer, PeerState.LIVE)

    def _handle_rtp(self, rows: NDArray[np.intp], peers: NDArray[np.intp], now: float) -> None:
        block, table = self._incoming, self.table
        headers = parse_headers(block.data, block.lengths, rows, table.level_id[peers])
        self.counters["rtp_malformed"] += int((~headers.valid).sum())
        wants = table.wants[peers]
        ahead = (headers.sequence - table.last_sequence[peers]).astype(np.uint16)
        silent = (
            (wants == Wants.VOICED)
            & (headers.level_dbov <= np.where(headers.voice, CLOSE_DBOV, OPEN_DBOV))
            & (block.lengths[rows] <= HELD_BYTES)
        )
        skip = (
            headers.valid
            & (silent | (wants == Wants.NONE))
            & (headers.ssrc == table.ssrc_in[peers])
            & (ahead > 0)
            & (ahead < PLAUSIBLE_SKIP)
            & (now - table.last_unprotected[peers] < UNPROTECT_EVERY_S)
        )
        if skip.any():
            self.counters["rtp_skipped"] += int(skip.sum())
            np.add.at(table.skipped, peers[skip], 1)
            self._hold(rows[skip & silent], peers[skip & silent])
        for index in np.flatnonzero(headers.valid & ~skip).tolist():
            self._guard(self._receive, int(rows[index]), int(peers[index]), headers, index)

    def _hold(self, rows: NDArray[np.intp], peers: NDArray[np.intp]) -> None:
        """Keep silent packets as they are, a few per peer: the first syllable may begin in them."""
        block, table = self._incoming, self.table
        while len(rows):  # a peer's first packet, then its second, …: mostly there is but one
            peer_rows, first = np.unique(peers, return_index=True)
            taken = rows[first]
            slots = table.held_next[peer_rows].astype(np.intp)
            held = table.held.reshape(-1, PREROLL, HELD_BYTES)
            held[peer_rows, slots] = block.data[taken, :HELD_BYTES]
            table.held_length[peer_rows, slots] = block.lengths[taken]
            table.held_arrival[peer_rows, slots] = block.arrivals[taken]
            table.held_next[peer_rows] = (slots + 1) % PREROLL
            if len(first) == len(rows):
                return
            rows, peers = np.delete(rows, first), np.delete(peers, first)

    def _receive(self, row: int, peer_row: int, headers: Headers, index: int) -> None:
        peer = self.table.peers[peer_row]
        if peer is None or peer.receive is None:
            self.counters["rtp_before_keys"] += 1
            return
        ssrc = int(headers.ssrc[index])
        if ssrc not in peer.ssrcs and len(peer.ssrcs) >= MAX_SSRCS:
            self.counters["rtp_too_many_ssrcs"] += 1
            return
        if self.table.held_length[peer_row].any():
            self._receive_held(peer, ssrc, int(headers.sequence[index]))
        if not unprotect_row(self._incoming_pointers, row, peer.receive):
            self.counters["srtp_refused"] += 1
            return
        if row in self._elsewhere and self._is_newest(peer, ssrc, int(headers.sequence[index])):
            self._move(peer, row)
        self._deliver(peer, self._incoming, row, headers, index)

    def _is_newest(self, peer: Peer, ssrc: int, sequence: int) -> bool:
        """Whether a packet is no straggler, which may have taken the way the peer has left."""
        last = int(self.table.last_sequence[peer.row])
        return ssrc != peer.ssrc or newer(sequence, last)

    def _receive_held(self, peer: Peer, ssrc: int, sequence: int) -> None:
        """Decrypt the kept packets that lead up to `sequence`, oldest first."""
        table, row = self.table, peer.row
        lengths, first = table.held_length[row].copy(), int(table.held_next[row])
        table.held_length[row] = 0
        packets, block = table.held[row].reshape(PREROLL, HELD_BYTES), self._held
        order = [slot for slot in (*range(first, PREROLL), *range(first)) if lengths[slot]]
        for at, slot in enumerate(order):
            block.data[at, :HELD_BYTES] = packets[slot]
            block.lengths[at] = lengths[slot]
            block.arrivals[at] = table.held_arrival[row, slot]
        held = np.arange(len(order))
        headers = parse_headers(
            block.data, block.lengths, held, np.repeat(table.level_id[row], len(order))
        )
        behind = sequence - headers.sequence.astype(np.int32) & 0xFFFF
        recent = headers.valid & (headers.ssrc == ssrc) & (behind > 0) & (behind <= 2 * PREROLL)
        table.skipped[row] -= np.count_nonzero(recent)  # they are received after all
        for at in np.flatnonzero(recent).tolist():
            if peer.receive is not None and unprotect_row(self._held_pointers, at, peer.receive):
                self._deliver(peer, block, at, headers, at)

    def _deliver(
        self, peer: Peer, block: DatagramBlock, row: int, headers: Headers, index: int
    ) -> None:
        now = self._clock()
        sequence, ssrc = int(headers.sequence[index]), int(headers.ssrc[index])
        arrival = float(block.arrivals[row])
        self._heard_from(peer, now)
        peer.ssrcs.add(ssrc)
        offer = peer.offer
        is_audio = offer.speaks and int(headers.payload_type[index]) == offer.payload_type
        if ssrc != peer.ssrc and is_audio:
            self._begin_stream(peer, ssrc)
        timestamp = int(headers.timestamp[index])
        if ssrc == peer.ssrc:
            self.table.last_unprotected[peer.row] = now
            self.table.last_sequence[peer.row] = sequence
            self._reports.received(peer, sequence, timestamp, arrival)
        if not is_audio:
            self.counters["rtp_unknown_payload_type"] += 1
            return
        body = payload(block.data[row], int(headers.payload_offset[index]), int(block.lengths[row]))
        if body is None:
            self.counters["rtp_malformed"] += 1
            return
        level = int(headers.level_dbov[index])
        voice = bool(headers.voice[index])
        silent = level != NO_LEVEL and level <= (CLOSE_DBOV if voice else OPEN_DBOV)
        packet = Arrival(
            sequence=sequence, timestamp=timestamp, payload=body, arrival_s=arrival, silent=silent
        )
        self.counters["rtp_received"] += 1
        self._listener.arrived(peer, packet, None if level == NO_LEVEL else level, voice=voice)

    def _begin_stream(self, peer: Peer, ssrc: int) -> None:
        if peer.ssrc is not None:
            self._listener.began(peer)
        peer.ssrc = ssrc
        self.table.ssrc_in[peer.row] = ssrc
        self.table.skipped[peer.row] = 0
        self._reports.restart(peer)

    def _handle_rtcp(self, row: int, peer_row: int, now: float, unix_now: float) -> None:
        peer = self.table.peers[peer_row]
        if peer is None or peer.receive is None:
            return
        block = self._incoming
        data = peer.receive.unprotect_rtcp(
            block.data[row, : min(int(block.lengths[row]), 1500)].tobytes()
        )
        if data is None:
            self.counters["srtcp_refused"] += 1
            return
        # Who sends media moves with it; RTCP has no sequence that would tell stragglers.
        if row in self._elsewhere and now - self.table.last_unprotected[peer_row] > MEDIA_PAUSE_S:
            self._move(peer, row)
        self._heard_from(peer, now)
        self._reports.read(peer, data, arrival=float(block.arrivals[row]), unix_now=unix_now)

    # Out

    def send(self, frames: Sequence[Outgoing], *, tick: int) -> None:
        """Send each frame to its hearers: headers by columns, SRTP in place, one call."""
        for chunk in _chunks(frames):
            self._send_chunk(chunk, tick)

    def _send_chunk(self, frames: Sequence[Outgoing], tick: int) -> None:
        table, block = self.table, self._outgoing
        rows = np.concatenate([frame.rows for frame in frames])
        counts = [len(frame.rows) for frame in frames]
        here = np.arange(len(rows))
        level_ids = table.level_id[rows]
        write_headers(
            block.data,
            here,
            payload_type=table.payload_type[rows],
            marker=np.repeat([frame.marker for frame in frames], counts),
            sequence=table.sequence_out[rows],
            timestamp=table.timestamp_base[rows] + np.uint32(tick * FRAME_SAMPLES & 0xFFFFFFFF),
            ssrc=table.ssrc_out[rows],
            level_id=level_ids,
            level_dbov=np.repeat(
                np.array([frame.level_dbov for frame in frames], np.int16), counts
            ),
        )
        at = 0
        for frame, count in zip(frames, counts, strict=True):
            self._write_payload(
                here[at : at + count], level_ids[at : at + count] > 0, frame.payload
            )
            at += count
        table.sequence_out[rows] += np.uint16(1)
        table.packets_out[rows] += np.uint32(1)
        table.octets_out[rows] += np.repeat(
            np.array([len(frame.payload) for frame in frames], np.uint32), counts
        )
        block.addresses[: len(rows)] = table.address[rows]
        block.address_lengths[: len(rows)] = table.address_length[rows]
        handles = table.send_handles
        protected = protect_rows(self._outgoing_pointers, [handles[row] for row in rows.tolist()])
        total = len(rows)
        if not protected.all():
            total = self._compact(protected)
        self.counters["rtp_sent"] += self._socket.send(block, total)

    def _write_payload(
        self, rows: NDArray[np.intp], with_level: NDArray[np.bool_], body: bytes
    ) -> None:
        block = self._outgoing
        data = np.frombuffer(body, np.uint8)
        for selected, offset in (
            (rows[with_level], header_length(level=True)),
            (rows[~with_level], header_length(level=False)),
        ):
            if len(selected):
                block.data[selected, offset : offset + len(data)] = data
                block.lengths[selected] = offset + len(data)

    def _compact(self, keep: NDArray[np.bool_]) -> int:
        """Move the protected rows together: one that failed holds clear text and must stay."""
        block, kept = self._outgoing, np.flatnonzero(keep)
        self.counters["srtp_protect_failures"] += len(keep) - len(kept)
        block.data[: len(kept)] = block.data[kept]
        for column in (block.lengths, block.addresses, block.address_lengths):
            column[: len(kept)] = column[kept]
        return len(kept)

    def _send_to(self, peer: Peer, datagram: bytes) -> None:
        row = peer.row
        if self.table.peers[row] is peer and self.table.has_address[row]:
            self._post(datagram, self.table.address[row], int(self.table.address_length[row]))
            self.flush()

    def _send_rtcp(self, peer: Peer, packet: bytes) -> None:
        if peer.send is None or not self.table.has_address[peer.row]:
            return
        protected = peer.send.protect_rtcp(packet)
        if protected is None:
            self.counters["srtp_protect_failures"] += 1
            return
        self._post(
            protected, self.table.address[peer.row], int(self.table.address_length[peer.row])
        )

    def _post(self, datagram: bytes, address: NDArray[np.uint8], address_length: int) -> None:
        """Queue one datagram; a full queue is sent at once."""
        if self._control_rows >= CONTROL_ROWS:
            self.flush()
        if len(datagram) > ROW_BYTES:
            self.counters["control_too_long"] += 1
            return
        row, block = self._control_rows, self._control
        block.data[row, : len(datagram)] = np.frombuffer(datagram, np.uint8)
        block.lengths[row] = len(datagram)
        block.addresses[row] = address
        block.address_lengths[row] = address_length
        self._control_rows += 1

    def flush(self) -> None:
        """Send what is queued."""
        if self._control_rows:
            self._socket.send(self._control, self._control_rows)
            self._control_rows = 0

    # Time

    def tick(self, tick: int, *, now: float, unix_now: float) -> None:
        """Do what time demands: handshake budget, reports, interrupted and gone peers."""
        self._handshakes.new_tick()
        self._strangers_left = STRANGERS_PER_TICK
        for peer, packet in self._reports.due(tick, now=now, unix_now=unix_now):
            self._send_rtcp(peer, packet)
        if now >= self._next_timers:
            self._next_timers = now + 0.5
            self._check_liveness(now)
        self.flush()

    def _check_liveness(self, now: float) -> None:
        for peer in list(self._by_ufrag.values()):
            silent_s = now - float(self.table.last_heard[peer.row])
            if silent_s >= GONE_S or (
                peer.state is PeerState.CONNECTING and now - peer.created >= GONE_S
            ):
                self.counters["peers_timed_out"] += 1
                self.remove(peer, GoneReason.TIMEOUT)
            elif silent_s >= INTERRUPTED_S and peer.state is PeerState.LIVE:
                self._set_state(peer, PeerState.INTERRUPTED)

    async def close(self) -> None:
        """End every connection and the socket."""
        for peer in list(self._by_ufrag.values()):
            self.remove(peer, GoneReason.REMOVED)
        await asyncio.sleep(0)  # lets the close_notify records out
        await asyncio.sleep(0)
        self.flush()
        self._socket.close()

    @property
    def socket_counters(self) -> dict[str, int]:
        """The socket's own counters."""
        return self._socket.counters


def _pairs(
    rows: NDArray[np.intp], peers: NDArray[np.intp], chosen: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Pair the chosen rows with the rows of their peers."""
    return zip(rows[chosen].tolist(), peers[chosen].tolist(), strict=True)


def _chunks(frames: Sequence[Outgoing]) -> list[list[Outgoing]]:
    """Split frames so that each chunk fits one block; frames too long to send are left out."""
    chunks: list[list[Outgoing]] = []
    used = SEND_ROWS
    for frame in frames:
        if len(frame.payload) > MAX_PAYLOAD_BYTES:
            continue
        start = 0
        while start < len(frame.rows):
            if used >= SEND_ROWS:
                chunks.append([])
                used = 0
            part = frame.rows[start : start + SEND_ROWS - used]
            chunks[-1].append(replace(frame, rows=part))
            used += len(part)
            start += len(part)
    return chunks
