"""RTCP of a port: sender and receiver reports out, theirs read (RFC 3550 §6)."""

from collections import Counter
from collections.abc import Callable, Iterator

from mixer.core import rtcp
from mixer.core.congestion import Feedback
from mixer.core.link import Terms, smoothed
from mixer.core.rtcp import ReceptionStatistics, RtcpError, ntp_time
from mixer.rtc.peers import Peer, PeerTable
from mixer.types import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    TICK_S,
    LinkMode,
    PeerState,
    TransportStatistics,
)

CNAME = "roomtone"
EVERY_TICKS = 50  # a peer's turn comes once a second
HARDLY_ANY = 0.002  # of the packets lost, smoothed
CALM_TURNS = 3  # and only the third is used for whom nothing is lost: RFC 3550 §6.2 asks for 5 s
RED_DEPTHS = {LinkMode.RED1: 1, LinkMode.RED2: 2}


class Reports:
    """What is said to, and learned from, each peer about its two streams."""

    def __init__(
        self, table: PeerTable, counters: Counter[str], clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self.table = table
        self.counters = counters

    def agree(self, peer: Peer, *, mix_bps: int | None = None) -> None:
        """Send to a peer as its newest offer allows, of a mix that has so many bits a second."""
        codecs, link = peer.offer.codecs, peer.link
        terms = Terms(
            takes_red=codecs.red > 0,
            takes_fec=codecs.parameters.fec,
            limit_bps=codecs.parameters.max_average_bitrate,
            mix_bps=link.terms.mix_bps if mix_bps is None else mix_bps,
        )
        link.agree(terms, self._clock())
        self._follow(peer)

    def restart(self, peer: Peer) -> None:
        """Begin the statistics of a new SSRC."""
        assert peer.ssrc is not None, "the caller just learned it"
        peer.reception = ReceptionStatistics(peer.ssrc)

    def received(self, peer: Peer, sequence: int, timestamp: int, arrival_s: float) -> None:
        """Account one authentic packet, and those skipped before it."""
        assert peer.reception is not None, "restart() comes with the first packet"
        skipped = int(self.table.skipped[peer.row])
        if skipped > 0:
            self.table.skipped[peer.row] = 0
            peer.reception.count_skipped(skipped)
        peer.reception.receive(sequence, timestamp, arrival_s)

    def due(self, tick: int, *, now: float, unix_now: float) -> Iterator[tuple[Peer, bytes]]:
        """Yield the compound packet of every peer whose turn it is.

        Each has one a second while losses must be known soon, else one in three.
        """
        peers, round_ = self.table.peers, tick // EVERY_TICKS
        for row in range(tick % EVERY_TICKS, len(peers), EVERY_TICKS):
            peer = peers[row]
            if peer is None or peer.send is None or peer.state is PeerState.GONE:
                continue
            if not _is_calm(peer) or (round_ + row) % CALM_TURNS == 0:
                yield peer, self._compose(peer, now, unix_now)

    def _compose(self, peer: Peer, now: float, unix_now: float) -> bytes:
        table, row = self.table, peer.row
        ssrc = int(table.ssrc_out[row])
        blocks = () if peer.reception is None else (peer.reception.block(now),)
        for block in blocks:
            peer.loss_in = smoothed(peer.loss_in, block.fraction_lost / 256)
        self._measure_bitrates(peer, now)
        report: rtcp.SenderReport | rtcp.ReceiverReport
        if table.packets_out[row]:
            report = rtcp.SenderReport(
                ssrc=ssrc,
                ntp=ntp_time(unix_now),
                rtp_timestamp=(int(table.timestamp_base[row]) + round(now / TICK_S * FRAME_SAMPLES))
                & 0xFFFFFFFF,
                packets=int(table.packets_out[row]),
                octets=int(table.octets_out[row]),
                blocks=blocks,
            )
        else:
            report = rtcp.ReceiverReport(ssrc=ssrc, blocks=blocks)
        return rtcp.serialise((report, rtcp.SourceDescription(ssrc, CNAME)))

    def _measure_bitrates(self, peer: Peer, now: float) -> None:
        table, row = self.table, peer.row
        octets = int(table.octets_in[row]), int(table.octets_out[row])
        octets_in, octets_out = (b - a for a, b in zip(peer.octets_seen, octets, strict=True))
        peer.octets_seen = octets
        seconds = max(now - peer.measured_at, EVERY_TICKS * TICK_S)
        peer.measured_at = now
        peer.bitrate_in = octets_in * 8 / seconds
        peer.bitrate_out = (octets_out & 0xFFFFFFFF) * 8 / seconds

    def statistics(self, peer: Peer) -> TransportStatistics:
        """Return how a connection does."""
        jitter = 0.0 if peer.reception is None else peer.reception.jitter / SAMPLE_RATE
        return TransportStatistics(
            round_trip_s=peer.round_trip_s,
            loss_in=peer.loss_in,
            loss_out=peer.link.loss,
            jitter_in_s=jitter,
            jitter_out_s=peer.jitter_out_s,
            bitrate_in=peer.bitrate_in,
            bitrate_out=peer.bitrate_out,
            mode=peer.link.mode,
            capacity_bps=peer.link.capacity_bps(self._clock()),
        )

    def goodbye(self, peer: Peer) -> bytes:
        """Return the compound packet that ends our stream."""
        ssrc = int(self.table.ssrc_out[peer.row])
        return rtcp.serialise(
            (
                rtcp.ReceiverReport(ssrc, ()),
                rtcp.SourceDescription(ssrc, CNAME),
                rtcp.Bye((ssrc,), ""),
            )
        )

    def read(self, peer: Peer, data: bytes, *, arrival: float, unix_now: float) -> None:
        """Take a decrypted compound packet; a malformed one is counted."""
        try:
            packets = rtcp.parse(data)
        except RtcpError:
            self.counters["rtcp_malformed"] += 1
            return
        self.counters["rtcp_received"] += 1
        for packet in packets:
            match packet:
                case rtcp.SenderReport():
                    if peer.reception is not None and packet.ssrc == peer.ssrc:
                        peer.reception.sender_report(packet.ntp, arrival)
                    self._read_blocks(peer, packet.blocks, arrival, unix_now)
                case rtcp.ReceiverReport():
                    self._read_blocks(peer, packet.blocks, arrival, unix_now)
                case rtcp.Remb(bitrate_bps):
                    peer.link.limit(bitrate_bps, arrival)
                    self._follow(peer)
                case rtcp.Bye():
                    self.counters["rtcp_byes"] += 1  # a stream's end, not the connection's
                case _:
                    pass

    def _read_blocks(
        self, peer: Peer, blocks: tuple[rtcp.ReportBlock, ...], now: float, unix_now: float
    ) -> None:
        table, row = self.table, peer.row
        for block in blocks:
            if block.ssrc != int(table.ssrc_out[row]):
                continue
            peer.jitter_out_s = block.jitter / SAMPLE_RATE
            round_trip_s = rtcp.round_trip_s(ntp_time(unix_now), block)
            if round_trip_s is not None:
                peer.round_trip_s = round_trip_s
            is_new, peer.last_lsr = block.lsr != peer.last_lsr, block.lsr  # else it is an old story
            sent = int(table.packets_out[row]), int(table.octets_out[row])
            packets, octets = (b - a for a, b in zip(peer.sent_before, sent, strict=True))
            peer.sent_before = sent
            feedback = Feedback(
                block.fraction_lost / 256,
                peer.jitter_out_s,
                round_trip_s if is_new else None,
                packets & 0xFFFFFFFF,
                octets & 0xFFFFFFFF,
            )
            peer.link.report(feedback, now)
            self._follow(peer)

    def _follow(self, peer: Peer) -> None:
        """Redundancy begins and ends at once: nobody else's packets change."""
        self.table.red_depth[peer.row] = RED_DEPTHS.get(peer.link.mode, 0)


def _is_calm(peer: Peer) -> bool:
    """Whether nothing is lost either way, and the round trip is known."""
    loss = max(peer.link.loss, peer.loss_in)
    is_clear = peer.link.mode is LinkMode.CLEAR and loss < HARDLY_ANY
    return is_clear and peer.round_trip_s is not None
