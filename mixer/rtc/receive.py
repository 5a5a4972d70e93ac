"""Media in: RTP and RTCP of known peers, checked, decrypted and handed on."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.core.gate import CLOSE_DBOV, OPEN_DBOV
from mixer.core.jitter import Arrival
from mixer.core.red import split_red
from mixer.core.rtp import NO_LEVEL, Headers, parse_headers, payload
from mixer.core.sequence import newer
from mixer.rtc.block import DatagramBlock
from mixer.rtc.guard import Guard
from mixer.rtc.peers import HELD_BYTES, MAX_SSRCS, PREROLL, Peer, Wants
from mixer.rtc.reports import Reports
from mixer.rtc.srtp import RowPointers, unprotect_row

UNPROTECT_EVERY_S = (
    1.0  # of a silent stream: keeps libsrtp's roll-over counter and proves who sends
)
PLAUSIBLE_SKIP = 200  # sequence numbers ahead of the last authentic one; a second holds 50
# Somebody sends in this peer's name: nothing is skipped unread for a while, or forged silence would
# take the place of the real.
SUSPECT_S = 1.0
REMEMBER_SKIPPED = 1000  # numbers; what was skipped and comes again within them is a copy
MEDIA_PAUSE_S = 2.0  # DTX sends every 0.4 s; longer is somebody who only listens

SAME_SSRC = 4  # peers a stray packet is tried for: they choose their SSRCs, at random

NOWHERE: frozenset[int] = frozenset()


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
        block, table = self._incoming, self._table
        self._elsewhere, self._now = elsewhere, now
        headers = parse_headers(block.data, block.lengths, rows, table.level_id[peers])
        self._counters["rtp_malformed"] += int((~headers.valid).sum())
        np.add.at(table.octets_in, peers, block.lengths[rows])
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
            & (now >= table.suspect_until[peers])
        )
        if skip.any():
            self._counters["rtp_skipped"] += int(skip.sum())
            np.add.at(table.skipped, peers[skip], 1)
            self._see(peers[skip], headers.sequence[skip])
            self._hold(rows[skip & silent], peers[skip & silent])
        for index in np.flatnonzero(headers.valid & ~skip).tolist():
            self._guard(self._receive, int(rows[index]), int(peers[index]), headers, index)

    def _see(self, peers: NDArray[np.intp], sequences: NDArray[np.uint16]) -> None:
        """Note the newest of the skipped numbers: a repetition of older ones lowers nothing."""
        last_skipped = self._table.last_skipped
        ahead = (sequences - last_skipped[peers]).view(np.int16)
        order = np.argsort(ahead)  # of several values for one row the last stays
        order = order[ahead[order] > 0]
        last_skipped[peers[order]] = sequences[order]

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
        return bool(headers.valid[0]) and self._receive(row, peer_row, headers, 0)

    def _hold(self, rows: NDArray[np.intp], peers: NDArray[np.intp]) -> None:
        """Keep silent packets as they are, a few per peer: the first syllable may begin in them."""
        block, table = self._incoming, self._table
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

    def _receive(self, row: int, peer_row: int, headers: Headers, index: int) -> bool:
        """Take one packet; whether it is authentic."""
        table = self._table
        peer = table.peers[peer_row]
        if peer is None or peer.receive is None:
            self._counters["rtp_before_keys"] += 1
            return False
        ssrc = int(headers.ssrc[index])
        if ssrc not in peer.ssrcs and len(peer.ssrcs) >= MAX_SSRCS:
            self._counters["rtp_too_many_ssrcs"] += 1
            return False
        if table.allowance[peer_row] < 1:
            self._counters["rtp_over_limit"] += 1
            return False
        # A silent packet that is read as a proof needs no pre-roll: it opens nothing.
        if table.held_length[peer_row].any() and not _is_quiet(headers, index):
            self._receive_held(peer, ssrc, int(headers.sequence[index]))
        if not unprotect_row(self._incoming_pointers, row, peer.receive):
            self._counters["srtp_refused"] += 1
            table.suspect_until[peer_row] = self._now + SUSPECT_S
            return False
        if ssrc == peer.ssrc and not newer(
            int(headers.sequence[index]), int(table.last_skipped[peer_row])
        ):
            self._counters["rtp_stale"] += 1
            return True
        table.allowance[peer_row] -= 1  # by what is authentic: a forger cannot use it up
        if row in self._elsewhere and self._is_newest(peer, ssrc, int(headers.sequence[index])):
            self._life.move(peer, row)
        self._deliver(peer, self._incoming, row, headers, index)
        return True

    def _forget_skipped(self, row: int, sequence: int, *, begins: bool) -> None:
        """Let the newest skipped number follow at a distance, for numbers wrap."""
        last_skipped = self._table.last_skipped
        if begins or newer(sequence, int(last_skipped[row]) + REMEMBER_SKIPPED & 0xFFFF):
            last_skipped[row] = (sequence - REMEMBER_SKIPPED) & 0xFFFF

    def _is_newest(self, peer: Peer, ssrc: int, sequence: int) -> bool:
        """Whether a packet is no straggler, which may have taken the way the peer has left.

        Nor the copy of a silent one that was skipped: libsrtp would not know that it came before.
        """
        table, row = self._table, peer.row
        return ssrc != peer.ssrc or (
            newer(sequence, int(table.last_sequence[row]))
            and newer(sequence, int(table.last_skipped[row]))
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
                self._deliver(peer, block, at, headers, at)

    def _deliver(
        self, peer: Peer, block: DatagramBlock, row: int, headers: Headers, index: int
    ) -> None:
        now = self._now
        sequence, ssrc = int(headers.sequence[index]), int(headers.ssrc[index])
        arrival = float(block.arrivals[row])
        self._life.heard_from(peer, now)
        peer.ssrcs.add(ssrc)
        codecs, payload_type = peer.offer.codecs, int(headers.payload_type[index])
        is_red = payload_type == codecs.red > 0
        is_audio = peer.offer.speaks and (is_red or payload_type == codecs.opus)
        if begins := ssrc != peer.ssrc and is_audio:
            self._begin_stream(peer, ssrc)
        timestamp = int(headers.timestamp[index])
        if ssrc == peer.ssrc:
            self._table.last_unprotected[peer.row] = now
            self._table.last_sequence[peer.row] = sequence
            self._forget_skipped(peer.row, sequence, begins=begins)
            self._reports.received(peer, sequence, timestamp, arrival)
        if not is_audio:
            self._counters["rtp_unknown_payload_type"] += 1
            return
        body = payload(block.data[row], int(headers.payload_offset[index]), int(block.lengths[row]))
        if body is None:
            self._counters["rtp_malformed"] += 1
            return
        frames = _unwrap(body, codecs.opus) if is_red else (body, ())
        if frames is None:
            self._counters["red_malformed"] += 1
            return
        self._counters["red_received"] += is_red
        level = int(headers.level_dbov[index])
        packet = Arrival(
            sequence=sequence,
            timestamp=timestamp,
            payload=frames[0],
            arrival_s=arrival,
            silent=_is_quiet(headers, index),
            redundancy=frames[1],
        )
        self._counters["rtp_received"] += 1
        self._listener.arrived(
            peer,
            packet,
            None if level == NO_LEVEL else level,
            voice=bool(headers.voice[index]),
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
        if self._table.allowance[peer_row] < 1:
            self._counters["rtcp_over_limit"] += 1
            return False
        block = self._incoming
        data = peer.receive.unprotect_rtcp(
            block.data[row, : min(int(block.lengths[row]), 1500)].tobytes()
        )
        if data is None:
            self._counters["srtcp_refused"] += 1
            return False
        self._table.allowance[peer_row] -= 1
        # Who sends media moves with it; RTCP has no sequence that would tell stragglers.
        if is_elsewhere and now - self._table.last_unprotected[peer_row] > MEDIA_PAUSE_S:
            self._life.move(peer, row)
        self._life.heard_from(peer, now)
        self._reports.read(peer, data, arrival=float(block.arrivals[row]), unix_now=unix_now)
        return True


def _is_quiet(headers: Headers, index: int) -> bool:
    """Whether a packet says that it would not open the gate; NO_LEVEL is above every threshold."""
    return bool(headers.level_dbov[index] <= (CLOSE_DBOV if headers.voice[index] else OPEN_DBOV))


def _unwrap(body: bytes, opus: int) -> tuple[bytes, tuple[tuple[int, bytes], ...]] | None:
    """Return the frame of a redundant payload and the earlier ones, None if it is no Opus."""
    blocks = split_red(body)
    if not blocks or blocks[-1].payload_type != opus:
        return None
    earlier = tuple(
        (block.offset, block.payload) for block in blocks[:-1] if block.payload_type == opus
    )
    return blocks[-1].payload, earlier
