"""Media in: RTP and RTCP of known peers, checked, decrypted and handed on."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.core.gate import CLOSE_DBOV, OPEN_DBOV
from mixer.core.jitter import Arrival
from mixer.core.red import split_red
from mixer.core.rtp import NO_LEVEL, Header, parse_headers, payload
from mixer.core.sequence import newer
from mixer.rtc.block import DatagramBlock
from mixer.rtc.guard import Guard
from mixer.rtc.peers import EVERY_LEVEL, HELD_BYTES, MAX_SSRCS, PREROLL, Peer
from mixer.rtc.reports import Reports
from mixer.rtc.srtp import RowPointers, unprotect_row

# Of a silent stream: keeps libsrtp's roll-over counter, proves who sends, and that they live.
UNPROTECT_EVERY_S = 2.0
PLAUSIBLE_SKIP = 200  # sequence numbers ahead of the last authentic one; a second holds 50
# Somebody sends in this peer's name: nothing is skipped unread for a while, or forged silence would
# take the place of the real.
SUSPECT_S = 1.0
REMEMBER_SKIPPED = 1000  # numbers; what was skipped and comes again within them is a copy
# What a peer may send: twice what 10 ms packets are, and what a stall of two seconds held back.
PACKETS_PER_S = 200
BURST_PACKETS = 400
MEDIA_PAUSE_S = 2.0  # DTX sends every 0.4 s; longer is somebody who only listens

SAME_SSRC = 4  # peers a stray packet is tried for: they choose their SSRCs, at random

NOWHERE: frozenset[int] = frozenset()
_ONE = np.uint16(1)


class MediaListener(Protocol):
    """Who takes the packets. No call may block."""

    def began(self, peer: Peer) -> None:
        """The packets from here on are another stream (SSRC) than those before."""

    def arrived(self, peer: Peer, packet: Arrival, level_dbov: int | None, *, voice: bool) -> None:
        """Take one authentic packet.

        Level and voice bit are RFC 6464's; `level_dbov` is None where the peer sends neither.
        """


class Life(Protocol):
    """What authentic media means for its peer's connection."""

    def heard_from(self, peer: Peer, now: float) -> None:
        """The peer is alive."""

    def move(self, peer: Peer, row: int) -> None:
        """The peer is where this row of the block came from, and that is one of its paths."""


class MediaReceiver:
    """Reads the media rows of `block` for the peers that `reports` is about."""

    def __init__(
        self,
        block: DatagramBlock,
        reports: Reports,
        guard: Guard,
        life: Life,
        listener: MediaListener,
    ) -> None:
        self._incoming = block
        self._incoming_pointers = RowPointers(block)
        self._held = DatagramBlock(PREROLL)
        self._held_pointers = RowPointers(self._held)
        self._table = reports.table
        self._reports = reports
        self._counters = reports.counters
        self._guard = guard
        self._life = life
        self._listener = listener
        self._elsewhere = NOWHERE
        self._now = 0.0

    def receive_rtp(
        self,
        rows: NDArray[np.intp],
        peers: NDArray[np.intp],
        now: float,
        elsewhere: frozenset[int],
    ) -> None:
        """Take RTP rows: skip the silent, decrypt the others one by one.

        `rows` and `peers` are intp[k]; `elsewhere` are the rows that came over another path than
        their peer's current one.
        """
        self._elsewhere, self._now = elsewhere, now
        while len(set(peers.tolist())) < len(peers):  # of each peer's the first, then the second, …
            _, first = np.unique(peers, return_index=True)
            self._receive_each(rows[first], peers[first])
            rows, peers = np.delete(rows, first), np.delete(peers, first)
        self._receive_each(rows, peers)

    def _receive_each(self, rows: NDArray[np.intp], peers: NDArray[np.intp]) -> None:
        """Take RTP rows of as many peers.

        This is done every tick for whoever does not speak, so each step is one for all of them.
        """
        block, table = self._incoming, self._table
        lengths = block.lengths[rows]
        headers = parse_headers(block.data, block.lengths, rows, table.level_id[peers])
        valid = headers.valid
        table.octets_in[peers] += lengths
        unread_dbov = table.unread_dbov[peers, headers.voice.view(np.uint8)]
        skip = (
            valid
            & (headers.level_dbov <= unread_dbov)
            & (headers.ssrc == table.ssrc_in[peers])
            # From one to PLAUSIBLE_SKIP ahead: uint16 wraps as sequence numbers do.
            & (headers.sequence - table.last_sequence[peers] - _ONE < PLAUSIBLE_SKIP - 1)
            & (table.proven_until[peers] > self._now)
            & ((lengths <= HELD_BYTES) | (unread_dbov == EVERY_LEVEL))
        )
        read = np.flatnonzero(~skip).tolist()
        if len(read) < len(rows):
            if read:
                rows_skipped, whose, sequences = rows[skip], peers[skip], headers.sequence[skip]
                unread_dbov = unread_dbov[skip]
            else:
                rows_skipped, whose, sequences = rows, peers, headers.sequence
            self._skip(rows_skipped, whose, sequences, unread_dbov != EVERY_LEVEL)
        for at in read:
            if valid[at]:
                self._guard(self._receive, rows.item(at), peers.item(at), headers.at(at))
            else:
                self._counters["rtp_malformed"] += 1

    def _skip(
        self,
        rows: NDArray[np.intp],
        peers: NDArray[np.intp],
        sequences: NDArray[np.uint16],
        is_silent: NDArray[np.bool_],
    ) -> None:
        """Account rows that are not read, and keep the silent ones a while.

        The first syllable may begin in them.
        """
        block, table = self._incoming, self._table
        self._counters["rtp_skipped"] += len(rows)
        table.skipped[peers] += 1
        # The newest of the skipped numbers: a repetition of older ones lowers nothing.
        ahead = (sequences - table.last_skipped[peers]).view(np.int16) > 0
        if np.logical_and.reduce(ahead):
            table.last_skipped[peers] = sequences
        else:
            table.last_skipped[peers[ahead]] = sequences[ahead]
        if not np.logical_and.reduce(is_silent):
            rows, peers = rows[is_silent], peers[is_silent]
        slots = table.held_next[peers]
        held = table.held.reshape(-1, PREROLL, HELD_BYTES)
        held[peers, slots] = block.data[rows, :HELD_BYTES]
        table.held_length[peers, slots] = block.lengths[rows]
        table.held_arrival[peers, slots] = block.arrivals[rows]
        table.held_next[peers] = (slots + 1) % PREROLL

    def find_stray(self, row: int, *, is_rtcp: bool) -> list[int]:
        """Return the rows of the peers a datagram from an unknown address may be of.

        A NAT that changes its mind, or a phone that changes its network, sends media from a new
        address before any check comes from there: the SSRC tells whose it may be, its key decides.
        """
        at = 4 if is_rtcp else 8
        ssrc = int.from_bytes(self._incoming.data[row, at : at + 4].tobytes(), "big")
        table = self._table
        rows = np.flatnonzero((table.ssrc_in == ssrc) & table.has_address)[:SAME_SSRC]
        return [int(peer_row) for peer_row in rows]

    def receive_stray_rtp(self, row: int, peer_row: int, now: float) -> bool:
        """Try one RTP row of an unknown address for a peer; whether it is authentic."""
        rows = np.array([row])
        block = self._incoming
        headers = parse_headers(
            block.data, block.lengths, rows, self._table.level_id[peer_row : peer_row + 1]
        )
        self._elsewhere, self._now = frozenset((row,)), now
        return bool(headers.valid[0]) and self._receive(row, peer_row, headers.at(0))

    def _receive(self, row: int, peer_row: int, header: Header) -> bool:
        """Take one packet; whether it is authentic."""
        table, counters = self._table, self._counters
        peer = table.peers[peer_row]
        if peer is None or peer.receive is None:
            counters["rtp_before_keys"] += 1
            return False
        ssrc = header.ssrc
        if ssrc not in peer.ssrcs and len(peer.ssrcs) >= MAX_SSRCS:
            counters["rtp_too_many_ssrcs"] += 1
            return False
        if not self._is_allowed(peer):
            counters["rtp_over_limit"] += 1
            return False
        # A silent packet that is read as a proof needs no pre-roll: it opens nothing.
        if any(table.held_length[peer_row].tolist()) and not _is_quiet(header):
            self._receive_held(peer, ssrc, header.sequence)
        if not unprotect_row(self._incoming_pointers, row, peer.receive):
            counters["srtp_refused"] += 1
            peer.suspect_until = self._now + SUSPECT_S
            table.proven_until[peer_row] = 0.0
            return False
        if ssrc == peer.ssrc and not newer(header.sequence, table.last_skipped.item(peer_row)):
            counters["rtp_stale"] += 1
            return True
        peer.allowance -= 1  # by what is authentic: a forger cannot use it up
        if row in self._elsewhere and self._is_newest(peer, ssrc, header.sequence):
            self._life.move(peer, row)
        self._deliver(peer, self._incoming, row, header)
        return True

    def _is_allowed(self, peer: Peer) -> bool:
        """Whether the peer has not sent more than anybody needs to."""
        earned = PACKETS_PER_S * (self._now - peer.allowed_at)
        peer.allowance, peer.allowed_at = min(peer.allowance + earned, BURST_PACKETS), self._now
        return peer.allowance >= 1

    def _forget_skipped(self, row: int, sequence: int, *, begins: bool) -> None:
        """Let the newest skipped number follow at a distance, for numbers wrap."""
        last_skipped = self._table.last_skipped
        if begins or newer(sequence, last_skipped.item(row) + REMEMBER_SKIPPED & 0xFFFF):
            last_skipped[row] = (sequence - REMEMBER_SKIPPED) & 0xFFFF

    def _is_newest(self, peer: Peer, ssrc: int, sequence: int) -> bool:
        """Whether a packet is no straggler, which may have taken the way the peer has left.

        Nor the copy of a silent one that was skipped: libsrtp would not know that it came before.
        """
        table, row = self._table, peer.row
        return ssrc != peer.ssrc or (
            newer(sequence, table.last_sequence.item(row))
            and newer(sequence, table.last_skipped.item(row))
        )

    def _receive_held(self, peer: Peer, ssrc: int, sequence: int) -> None:
        """Decrypt the kept packets that lead up to `sequence`, oldest first."""
        table, row = self._table, peer.row
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
        recent = headers.valid & (headers.ssrc == ssrc) & (behind > 0) & (behind <= PREROLL)
        table.skipped[row] -= np.count_nonzero(recent)  # they are received after all
        for at in np.flatnonzero(recent).tolist():
            if peer.receive is not None and unprotect_row(self._held_pointers, at, peer.receive):
                self._deliver(peer, block, at, headers.at(at))

    def _deliver(self, peer: Peer, block: DatagramBlock, row: int, header: Header) -> None:
        now, sequence, ssrc = self._now, header.sequence, header.ssrc
        arrival = block.arrivals.item(row)
        self._life.heard_from(peer, now)
        peer.ssrcs.add(ssrc)
        codecs, payload_type = peer.offer.codecs, header.payload_type
        is_red = payload_type == codecs.red > 0
        is_audio = peer.offer.speaks and (is_red or payload_type == codecs.opus)
        if begins := ssrc != peer.ssrc and is_audio:
            self._begin_stream(peer, ssrc)
        if ssrc == peer.ssrc:
            peer.media_at = now
            if now >= peer.suspect_until:
                self._table.proven_until[peer.row] = now + UNPROTECT_EVERY_S
            self._table.last_sequence[peer.row] = sequence
            self._forget_skipped(peer.row, sequence, begins=begins)
            self._reports.received(peer, sequence, header.timestamp, arrival)
        if not is_audio:
            self._counters["rtp_unknown_payload_type"] += 1
            return
        body = payload(block.data[row], header.payload_offset, block.lengths.item(row))
        if body is None:
            self._counters["rtp_malformed"] += 1
            return
        frames = _unwrap(body, codecs.opus) if is_red else (body, ())
        if frames is None:
            self._counters["red_malformed"] += 1
            return
        self._counters["red_received"] += is_red
        level = header.level_dbov
        packet = Arrival(
            sequence=sequence,
            timestamp=header.timestamp,
            payload=frames[0],
            arrival_s=arrival,
            silent=_is_quiet(header),
            redundancy=frames[1],
        )
        self._counters["rtp_received"] += 1
        self._listener.arrived(
            peer,
            packet,
            None if level == NO_LEVEL else level,
            voice=header.voice,
        )

    def _begin_stream(self, peer: Peer, ssrc: int) -> None:
        if peer.ssrc is not None:
            self._listener.began(peer)
        peer.ssrc = ssrc
        self._table.ssrc_in[peer.row] = ssrc
        self._table.skipped[peer.row] = 0
        self._reports.restart(peer)

    def receive_rtcp(
        self, row: int, peer_row: int, *, now: float, unix_now: float, is_elsewhere: bool
    ) -> bool:
        """Take one SRTCP row; whether it is authentic."""
        peer = self._table.peers[peer_row]
        if peer is None or peer.receive is None:
            return False
        self._now = now
        if not self._is_allowed(peer):
            self._counters["rtcp_over_limit"] += 1
            return False
        block = self._incoming
        data = peer.receive.unprotect_rtcp(
            block.data[row, : min(int(block.lengths[row]), 1500)].tobytes()
        )
        if data is None:
            self._counters["srtcp_refused"] += 1
            return False
        peer.allowance -= 1
        # Who sends media moves with it; RTCP has no sequence that would tell stragglers.
        if is_elsewhere and now - peer.media_at > MEDIA_PAUSE_S:
            self._life.move(peer, row)
        self._life.heard_from(peer, now)
        self._reports.read(peer, data, arrival=float(block.arrivals[row]), unix_now=unix_now)
        return True


def _is_quiet(header: Header) -> bool:
    """Whether a packet says that it would not open the gate; NO_LEVEL is above every threshold."""
    return header.level_dbov <= (CLOSE_DBOV if header.voice else OPEN_DBOV)


def _unwrap(body: bytes, opus: int) -> tuple[bytes, tuple[tuple[int, bytes], ...]] | None:
    """Return the frame of a redundant payload and the earlier ones, None if it is no Opus."""
    blocks = split_red(body)
    if not blocks or blocks[-1].payload_type != opus:
        return None
    earlier = tuple(
        (block.offset, block.payload) for block in blocks[:-1] if block.payload_type == opus
    )
    return blocks[-1].payload, earlier
