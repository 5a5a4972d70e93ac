"""RTCP of a port: sender and receiver reports out, theirs read (RFC 3550 §6)."""

from collections import Counter
from collections.abc import Iterator

from mixer.core import rtcp
from mixer.core.rtcp import ReceptionStatistics, RtcpError, ntp_time
from mixer.rtc.peers import Peer, PeerTable
from mixer.types import FRAME_SAMPLES, TICK_S, PeerState

CNAME = "roomtone"
EVERY_TICKS = 50  # one compound packet per peer and second; browsers do the same


class Reports:
    """What is said to, and learned from, each peer about its two streams."""

    def __init__(self, table: PeerTable, counters: Counter[str]) -> None:
        self.table = table
        self.counters = counters

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
        """Yield the compound packet of every peer whose turn it is; each has one a second."""
        peers = self.table.peers
        for row in range(tick % EVERY_TICKS, len(peers), EVERY_TICKS):
            peer = peers[row]
            if peer is not None and peer.send is not None and peer.state is not PeerState.GONE:
                yield peer, self._compose(peer, now, unix_now)

    def _compose(self, peer: Peer, now: float, unix_now: float) -> bytes:
        table, row = self.table, peer.row
        ssrc = int(table.ssrc_out[row])
        blocks = () if peer.reception is None else (peer.reception.block(now),)
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
                    self._read_blocks(peer, packet.blocks, unix_now)
                case rtcp.ReceiverReport():
                    self._read_blocks(peer, packet.blocks, unix_now)
                case rtcp.Bye():
                    self.counters["rtcp_byes"] += 1  # a stream's end, not the connection's
                case _:
                    pass

    def _read_blocks(
        self, peer: Peer, blocks: tuple[rtcp.ReportBlock, ...], unix_now: float
    ) -> None:
        for block in blocks:
            if block.ssrc == int(self.table.ssrc_out[peer.row]):
                peer.fraction_lost = block.fraction_lost / 256
                peer.round_trip_s = rtcp.round_trip_s(ntp_time(unix_now), block)
