"""RTCP of plain RTP: reports of each stream, and what its receiver reports (RFC 3550 §6)."""

import secrets
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mixer.core import rtcp
from mixer.core.rtcp import ntp_time
from mixer.rtc.outbox import Outbox
from mixer.rtc.plain_streams import Participant, Stream
from mixer.types import TICK_S, RtcpMode

CNAME_BYTES = 12  # 96 random bits, new with each process (RFC 7022 §4.2)
_PORT = slice(2, 4)  # of a socket address, in network order, of both families
_LAST_PORT = 65_535


class PlainReports:
    """Composes what is said of the streams; `next_outbox` sends from the port above RTP's.

    `draw` gives numbers from 0 to 1, for the times between two reports.
    """

    def __init__(
        self, counters: Counter[str], next_outbox: Outbox | None, draw: Callable[[], float]
    ) -> None:
        self._counters = counters
        self._next_outbox = next_outbox
        self._draw = draw
        self._cname = secrets.token_urlsafe(CNAME_BYTES)

    def speak(
        self, stream: Stream, participant: Participant | None, *, now: float, unix_now: float
    ) -> None:
        """Queue the stream's report if it is due: the first with the first packets.

        RFC 3550 §6.2 lets the first of a unicast session go at once: a receiver that shall play
        several streams in step waits for it.
        """
        control = stream.control
        if now < control.due_s or not stream.packets_out or stream.address is None:
            return
        control.due_s = now + rtcp.interval_s(self._draw())
        # Also where nobody is told: what arrives is measured over the same times.
        if self._push(stream, self._compose(stream, participant, now, unix_now)):
            control.has_spoken = True

    def end(self, stream: Stream) -> None:
        """Queue the goodbye of a stream that has said anything (§6.6)."""
        if stream.control.has_spoken:
            ssrc = stream.ssrc_out
            bye = (
                rtcp.ReceiverReport(ssrc),
                rtcp.SourceDescription(ssrc, self._cname),
                rtcp.Bye((ssrc,)),
            )
            self._push(stream, rtcp.serialise(bye))
            stream.control.has_spoken = False

    def read_blocks(
        self, stream: Stream, packets: tuple[rtcp.Packet, ...], unix_now: float
    ) -> bool:
        """Learn what reports say of a stream; return whether they say anything."""
        found = False
        for packet in packets:
            if not isinstance(packet, rtcp.SenderReport | rtcp.ReceiverReport):
                continue
            for block in packet.blocks:
                if block.ssrc != stream.ssrc_out:
                    continue
                found = True
                control = stream.control
                control.reports += 1
                control.loss = block.fraction_lost / 256
                control.lost = block.cumulative_lost
                control.jitter_s = block.jitter / stream.clock_hz
                round_trip_s = rtcp.round_trip_s(ntp_time(unix_now), block)
                if round_trip_s is not None:
                    control.round_trip_s = round_trip_s
        return found

    def _compose(
        self, stream: Stream, participant: Participant | None, now: float, unix_now: float
    ) -> bytes:
        blocks: tuple[rtcp.ReportBlock, ...] = ()
        if participant is not None and participant.reception is not None:
            blocks = (participant.reception.block(now),)
            participant.loss_in = blocks[0].fraction_lost / 256
        elapsed = round(now / TICK_S * stream.samples_a_tick)
        report = rtcp.SenderReport(
            ssrc=stream.ssrc_out,
            ntp=ntp_time(unix_now),
            rtp_timestamp=(stream.timestamp_base + elapsed) & 0xFFFFFFFF,
            packets=stream.packets_out & 0xFFFFFFFF,
            octets=stream.octets_out & 0xFFFFFFFF,
            blocks=blocks,
        )
        return rtcp.serialise((report, rtcp.SourceDescription(stream.ssrc_out, self._cname)))

    def _push(self, stream: Stream, datagram: bytes) -> bool:
        """Queue a datagram for where the stream's reports go; False if that is nowhere."""
        if stream.address is None or stream.rtcp is RtcpMode.OFF:
            return False
        address, outbox = stream.address, stream.outbox
        if stream.rtcp is RtcpMode.NEXT_PORT:
            above = port_above(address)
            if above is None:
                return False
            address = above
            if stream.is_participant and self._next_outbox is not None:
                outbox = self._next_outbox
        outbox.push(datagram, address, stream.address_length)
        self._counters["plain_rtcp_sent"] += 1
        return True


def port_above(address: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return the address (uint8[28]) with the next port, where RTCP was before RFC 5761.

    None above the last port.
    """
    port = int.from_bytes(address[_PORT].tobytes())
    if port >= _LAST_PORT:
        return None
    above = address.copy()
    above[_PORT] = np.frombuffer((port + 1).to_bytes(2), np.uint8)
    return above
