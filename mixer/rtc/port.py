"""One UDP port of WebRTC peers: datagrams in blocks, in and out."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.core.rtp import Kind, classify
from mixer.rtc.block import DatagramBlock
from mixer.rtc.checks import Checks
from mixer.rtc.dtls import Certificate, DtlsSession
from mixer.rtc.guard import Guard
from mixer.rtc.outbox import Outbox
from mixer.rtc.peers import Peer, PeerTable
from mixer.rtc.receive import BURST_PACKETS, NOWHERE, MediaListener, MediaReceiver
from mixer.rtc.reports import Reports
from mixer.rtc.sdp import WISH, Answerer, Offer, write_answer
from mixer.rtc.sockets import BlockSocket
from mixer.rtc.srtp import SrtpContext
from mixer.rtc.streams import SplitSender, Streams
from mixer.rtc.transmit import MediaSender
from mixer.rtc.turns import Turns
from mixer.types import (
    Delivery,
    GoneReason,
    OpusParameters,
    Outgoing,
    PeerId,
    PeerState,
    RoomId,
    Spawn,
    TransportStatistics,
)

RECEIVE_ROWS = 256
# Per tick, for all who join: a storm of them must not make a tick late.
HANDSHAKE_BUDGET_S = 0.004
OFFER_BUDGET_S = 0.002
POLL_BUDGET_S = 0.01  # half a tick: a flood cannot hold the ticker, it overflows in the kernel
STRAYS_PER_TICK = 50  # tries to find whose media comes from an unknown address: 5 µs each
BUSY_ROWS = 128  # in a tick
INTERRUPTED_S = 5.0
_NOBODY: NDArray[np.intp] = np.zeros(0, np.intp)
GONE_S = 15.0


class PortListener(MediaListener, Protocol):
    """Who the port tells. No call may block."""

    def changed(self, peer: Peer, reason: GoneReason | None) -> None:
        """`peer.state` is new."""


class WebRtcPort:
    """ICE-lite, DTLS-SRTP and RTP for all peers of a process, on one UDP socket.

    `streams` are those who come over TCP, where that is served.
    """

    def __init__(
        self,
        socket: BlockSocket,
        listener: PortListener,
        *,
        clock: Callable[[], float],
        spawn: Spawn,
        streams: Streams | None = None,
    ) -> None:
        self.table = PeerTable()
        self.counters: Counter[str] = Counter()
        self._socket = socket
        self._streams = streams
        if streams is not None:
            streams.attach(self.table.knows)
        self._listener = listener
        self._clock = clock
        self._spawn = spawn
        self._peers: dict[Peer, None] = {}  # in order of arrival
        self._connecting: set[Peer] = set()
        self._certificate = Certificate()
        self.offers = Turns(clock, OFFER_BUDGET_S)
        self._handshakes = Turns(clock, HANDSHAKE_BUDGET_S)
        self._incoming = DatagramBlock(RECEIVE_ROWS)
        self._guard = Guard(self.counters)
        sender = SplitSender(socket, streams)
        self._outbox = Outbox(sender, counters=self.counters)
        self._sender = MediaSender(sender, self.table, counters=self.counters)
        self._reports = Reports(self.table, self.counters, clock)
        self._receiver = MediaReceiver(
            self._incoming, self._reports, self._guard, life=self, listener=listener
        )
        self._checks = Checks(self._incoming, self._reports, self._guard, self._outbox, life=self)
        self._next_timers = 0.0
        self._rows_last_tick = self._rows_this_tick = 0
        self._strays_left = STRAYS_PER_TICK

    # Peers

    def add_peer(self, room: RoomId, peer_id: PeerId, offer: Offer, *, now: float) -> Peer:
        """Make a connection for an offer; its handshake begins when the peer's checks arrive."""
        row = self.table.take_row()
        peer = Peer(
            room=room,
            id=peer_id,
            row=row,
            ice=[],
            offer=offer,
            created=now,
            allowance=BURST_PACKETS,
            allowed_at=now,
            session_id=secrets.randbits(62),
        )
        table = self.table
        table.peers[row] = peer
        self._peers[peer] = None
        self._take_offer(peer, offer)
        table.ssrc_out[row] = secrets.randbits(32)
        table.sequence_out[row] = secrets.randbits(
            15
        )  # room before the first wrap (RFC 3711 §3.3.1)
        table.timestamp_base[row] = secrets.randbits(32)
        table.last_heard[row] = now
        self._connecting.add(peer)
        peer.dtls = DtlsSession(
            self._certificate,
            self._handshakes,
            send=lambda record: self._send_to(peer, record),
            on_keys=lambda receive, send: self._keys_ready(peer, receive, send),
            on_end=lambda connected: self._dtls_ended(peer, connected=connected),
        )
        return peer

    def hold_joins(self) -> None:
        """Let no work for those who join begin before the next tick."""
        self._handshakes.hold()
        self.offers.hold()

    def renegotiate(self, peer: Peer, offer: Offer) -> bool:
        """Take a further offer of the same connection; False if it is one of another.

        With another ufrag it is an ICE restart (RFC 8839 §4.4.1.1.1): new credentials of ours are
        taken from now on, those in force stay until a check with the new ones nominates a path.
        """
        continued = peer.offer.continued_by(offer)
        if continued is None or peer.state is PeerState.GONE:
            return False
        self._take_offer(peer, continued)
        return True

    def _take_offer(self, peer: Peer, offer: Offer) -> None:
        peer.offer = offer
        table, row = self.table, peer.row
        table.level_id[row] = offer.level_id
        table.payload_type[row] = offer.codecs.opus
        table.red_payload_type[row] = offer.codecs.red
        self._reports.agree(peer)
        self._checks.offered(peer)

    def write_answer(
        self,
        peer: Peer,
        *,
        addresses: tuple[str, ...],
        port: int,
        tcp_port: int = 0,
        wish: OpusParameters = WISH,
    ) -> str:
        """Return the SDP answer that leads the peer here and asks for sound as wished."""
        peer.session_version += 1
        return write_answer(
            peer.offer,
            Answerer(
                credentials=peer.local,
                fingerprint_sha256=self._certificate.sha256(),
                addresses=addresses,
                port=port,
                ssrc=int(self.table.ssrc_out[peer.row]),
                cname="roomtone",
                session_id=peer.session_id,
                session_version=peer.session_version,
                tcp_port=tcp_port,
                wish=wish,
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
        self._checks.forget(peer)
        self._peers.pop(peer, None)
        # The row lives until close_notify has left by its address, then goes back.
        asyncio.get_running_loop().call_soon(self._release, peer)

    def _release(self, peer: Peer) -> None:
        self._outbox.flush()
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
    def is_joining(self) -> bool:
        """Whether somebody is on their way in, so that the socket is worth reading more often."""
        return bool(self._connecting) or self.offers.is_wanted

    @property
    def is_busy(self) -> bool:
        """Whether so much came in the last tick that the socket is worth reading twice in one.

        A stock receive buffer of 208 KiB holds some 270 packets.
        """
        return self._rows_last_tick >= BUSY_ROWS

    def poll(self, *, now: float, unix_now: float) -> None:
        """Read and handle what has arrived, for POLL_BUDGET_S at most."""
        deadline = self._clock() + POLL_BUDGET_S
        if self._streams is not None:
            self._streams.flush()
            if rows := self._streams.receive(self._incoming, now=now):
                self._rows_this_tick += rows
                self._handle(rows, now, unix_now)
        while rows := self._socket.receive(self._incoming, now=now, unix_now=unix_now):
            self._rows_this_tick += rows
            self._handle(rows, now, unix_now)
            if rows < RECEIVE_ROWS or self._clock() >= deadline:
                break
        self._outbox.flush()

    def _handle(self, rows: int, now: float, unix_now: float) -> None:
        block, table = self._incoming, self.table
        kinds = classify(block.data[:rows], block.lengths[:rows])
        counts = np.bincount(kinds, minlength=len(Kind)).tolist()
        self.counters["junk_datagrams"] += counts[Kind.JUNK]
        if counts[Kind.STUN]:
            self._checks.handle(np.flatnonzero(kinds == Kind.STUN), now)
        others = np.flatnonzero(kinds >= Kind.DTLS)
        if not len(others):
            return
        peers = table.find_current(block.addresses[others])
        elsewhere, strays = NOWHERE, _NOBODY
        if np.minimum.reduce(peers) < 0:
            away = peers < 0
            peers[away] = table.find(block.addresses[others[away]])
            known = peers >= 0
            elsewhere, strays = frozenset(others[away & known].tolist()), others[~known]
            others, peers = others[known], peers[known]
        sorts = kinds[others]
        if counts[Kind.DTLS]:
            for row, peer_row in _pairs(others, peers, sorts == Kind.DTLS):
                self._guard(self._handle_dtls, row, peer_row, is_elsewhere=row in elsewhere)
        if counts[Kind.RTP]:
            rtp = sorts == Kind.RTP
            self._receiver.receive_rtp(others[rtp], peers[rtp], now, elsewhere)
        if counts[Kind.RTCP]:
            for row, peer_row in _pairs(others, peers, sorts == Kind.RTCP):
                self._guard(
                    self._receiver.receive_rtcp,
                    row,
                    peer_row,
                    now=now,
                    unix_now=unix_now,
                    is_elsewhere=row in elsewhere,
                )
        # Last: a copy that came another way must not be taken before its original.
        for row, kind in zip(strays.tolist(), kinds[strays].tolist(), strict=True):
            self._guard(self._handle_stray, row, kind, now, unix_now)

    def _handle_stray(self, row: int, kind: int, now: float, unix_now: float) -> None:
        """Look whose media comes from an unknown address: their network changed under them."""
        is_rtcp, is_found = kind == Kind.RTCP, False
        if kind != Kind.DTLS and self._strays_left > 0:
            for peer_row in self._receiver.find_stray(row, is_rtcp=is_rtcp):
                self._strays_left -= 1
                if is_rtcp:
                    is_found = self._receiver.receive_rtcp(
                        row, peer_row, now=now, unix_now=unix_now, is_elsewhere=True
                    )
                else:
                    is_found = self._receiver.receive_stray_rtp(row, peer_row, now)
                if is_found:
                    return
        self.counters["foreign_datagrams"] += 1

    def move(self, peer: Peer, row: int) -> None:
        """See Life."""
        block, table = self._incoming, self.table
        if table.has_address[peer.row]:
            if (table.address[peer.row] == block.addresses[row]).all():
                return
            self.counters["address_migrations"] += 1
        if not table.claim(peer, block.addresses[row].tobytes()):
            return  # another live peer's: authentic or not, it cannot be ousted
        table.send_to(peer.row, block.addresses[row], int(block.address_lengths[row]))

    def _handle_dtls(self, row: int, peer_row: int, *, is_elsewhere: bool) -> None:
        peer = self.table.peers[peer_row]
        if peer is None or peer.dtls is None:
            return
        block = self._incoming
        if not peer.dtls.push(block.data[row, : block.lengths[row]].tobytes()):
            self.counters["dtls_refused"] += 1
        elif is_elsewhere and peer.state is PeerState.CONNECTING:
            self.move(peer, row)

    def checked(self, peer: Peer) -> None:
        """See Life."""
        if peer.dtls is not None and not peer.dtls.is_started:
            peer.dtls.start(
                peer.offer.fingerprints,
                is_client=peer.offer.setup == "passive",
                spawn=self._spawn,
            )

    def heard_from(self, peer: Peer, now: float) -> None:
        """See Life."""
        self.table.last_heard[peer.row] = now
        if peer.state is PeerState.INTERRUPTED:
            self._set_state(peer, PeerState.LIVE)

    # Out

    def send(self, frames: Sequence[Outgoing], *, tick: int) -> None:
        """Send each frame to its hearers: headers by columns, SRTP in place, one call."""
        self._sender.send(frames, tick)

    def _send_to(self, peer: Peer, datagram: bytes) -> None:
        row = peer.row
        if self.table.peers[row] is peer and self.table.has_address[row]:
            self._outbox.push(
                datagram, self.table.address[row], int(self.table.address_length[row])
            )
            self._outbox.flush()

    def _send_rtcp(self, peer: Peer, packet: bytes) -> None:
        if peer.send is None or not self.table.has_address[peer.row]:
            return
        protected = peer.send.protect_rtcp(packet)
        if protected is None:
            self.counters["srtp_protect_failures"] += 1
            return
        self._outbox.push(
            protected, self.table.address[peer.row], int(self.table.address_length[peer.row])
        )

    # Time

    def tick(self, tick: int, *, now: float, unix_now: float) -> None:
        """Do what time demands: handshake budget, reports, interrupted and gone peers."""
        self._handshakes.new_tick()
        self.offers.new_tick()
        self.counters["datagrams_received"] += self._rows_this_tick
        self._rows_last_tick, self._rows_this_tick = self._rows_this_tick, 0
        self._strays_left = STRAYS_PER_TICK
        self._checks.new_tick()
        for peer, packet in self._reports.due(tick, now=now, unix_now=unix_now):
            self._send_rtcp(peer, packet)
        if now >= self._next_timers:
            self._next_timers = now + 0.5
            self._check_liveness(now)
            if self._streams is not None:
                self._streams.sweep(now)
        self._outbox.flush()

    def _check_liveness(self, now: float) -> None:
        for peer in list(self._peers):
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
        for peer in list(self._peers):
            self.remove(peer, GoneReason.REMOVED)
        await asyncio.sleep(0)  # lets the close_notify records out
        await asyncio.sleep(0)
        self._outbox.flush()
        self._socket.close()
        if self._streams is not None:
            self._streams.close()

    def deliver(self, peer: Peer, *, mix_bps: int, now: float) -> Delivery:
        """Return what suits a peer's link, of a mix that has so many bits a second."""
        if peer.link.terms.mix_bps != mix_bps:
            self._reports.agree(peer, mix_bps=mix_bps)
        return peer.link.delivery(now)

    def statistics(self, peer: Peer) -> TransportStatistics:
        """Return how a connection does."""
        return self._reports.statistics(peer)

    @property
    def socket_counters(self) -> dict[str, int]:
        """The sockets' own counters."""
        streams = {} if self._streams is None else self._streams.counters
        return {**self._socket.counters, **streams}


def _pairs(
    rows: NDArray[np.intp], peers: NDArray[np.intp], chosen: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Pair the chosen rows with the rows of their peers."""
    return zip(rows[chosen].tolist(), peers[chosen].tolist(), strict=True)
