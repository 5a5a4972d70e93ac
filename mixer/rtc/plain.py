"""Plain RTP (RFC 3550, RFC 3551): participants on one UDP port, forwarders on another, no SRTP."""

import ipaddress
import secrets
import struct
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import numpy as np

from mixer.core import g711, rtcp
from mixer.core.gate import OPEN_DBOV
from mixer.core.jitter import Arrival
from mixer.core.level import SILENCE_DBOV, level_dbov
from mixer.core.reframe import Frame, Reframer
from mixer.core.resample import FACTOR
from mixer.core.rtcp import ReceptionStatistics, RtcpError
from mixer.core.rtp import Headers, parse_headers, payload
from mixer.core.toc import DTX_BYTES
from mixer.rtc.block import ROW_BYTES, DatagramBlock
from mixer.rtc.guard import Guard
from mixer.rtc.outbox import Outbox
from mixer.rtc.plain_reports import PlainReports
from mixer.rtc.plain_streams import Network, Participant, Stream
from mixer.rtc.sockets import BlockSocket, pack_address, unpack_address
from mixer.rtc.streams import SplitSender
from mixer.types import (
    FRAME_SAMPLES,
    PCM_ROWS,
    PLAIN_ROWS,
    ForwarderSpec,
    Int16Frame,
    Outgoing,
    PeerState,
    RoomId,
    RtpCodec,
    RtpParticipantSpec,
)

MAX_STREAMS = 256
RECEIVE_ROWS = 64
BLOCKS_A_POLL = 4  # 256 datagrams: a flood overflows in the kernel
STRANGERS_PER_TICK = 100  # packets from nobody's address whose SSRC is looked up
REPORTS_PER_TICK = 30  # of others; 256 streams' come at two in a tick
INTERRUPTED_S = 5.0  # from then on another address may be theirs
FORGOTTEN_S = 15.0  # from then on nothing is sent there
TIMERS_S = 0.5
COMFORT_NOISE_TYPE = 13  # RFC 3389

OPUS_SILENCE = b"\xf8\xff\xfe"  # 20 ms of digital silence, as libopus's CELT encodes it
_SILENCE_FRAME: Int16Frame = np.zeros(FRAME_SAMPLES, np.int16)
_HEADER = struct.Struct("!BBHII")
_RANDOM = secrets.SystemRandom()
_LEAST_RTCP = 8  # a header and an SSRC


class PlainListener(Protocol):
    """Who takes the packets. No call may block."""

    def began(self, participant: Participant) -> None:
        """The packets from here on are another stream (SSRC) than those before."""

    def arrived(self, participant: Participant, packet: Arrival, level_dbov: int | None) -> None:
        """Take one packet; G.711 is wrapped, and its level measured."""

    def changed(self, participant: Participant) -> None:
        """`participant.state` is new."""


class PlainPort:
    """All plain RTP of a process.

    Participants share one socket: a packet is theirs by where it comes from, and before that is
    known by its SSRC. Forwarders send from another socket, from which only reports about them are
    taken. `rtcp_socket` has the port above the participants', for those who send reports there.
    `draw` gives numbers from 0 to 1, for the times between two reports of ours.
    """

    def __init__(
        self,
        participants: BlockSocket,
        forwarders: BlockSocket,
        listener: PlainListener,
        *,
        rtcp_socket: BlockSocket | None = None,
        draw: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.streams: dict[int, Stream] = {}  # by row
        self.participants: dict[int, Participant] = {}  # by row
        self._socket = participants
        self._forward_socket = forwarders
        self._rtcp_socket = rtcp_socket
        self._outbox = Outbox(SplitSender(participants, None), counters=self.counters)
        self._forward_outbox = Outbox(SplitSender(forwarders, None), counters=self.counters)
        self._rtcp_outbox = None
        if rtcp_socket is not None:
            self._rtcp_outbox = Outbox(SplitSender(rtcp_socket, None), counters=self.counters)
        self._reports = PlainReports(self.counters, self._rtcp_outbox, draw)
        self._listener = listener
        self._guard = Guard(self.counters)
        self._block = DatagramBlock(RECEIVE_ROWS)
        self._by_address: dict[bytes, Participant] = {}
        self._strangers_left = STRANGERS_PER_TICK
        self._reports_left = REPORTS_PER_TICK
        self._next_timers = 0.0

    # Who is there

    def add_participant(self, room: RoomId, spec: RtpParticipantSpec) -> Participant | None:
        """Wait for a person's packets, or begin to send to the address they are known to have.

        None if there is no room for one more.
        """
        row = self._free_row(spec.codec)
        if row is None:
            return None
        stream = Stream(
            room, row, spec.codec, spec.payload_type, self._outbox, secrets.randbits(32), spec.rtcp
        )
        stream.is_participant = True
        made = Participant(spec, stream, _networks(spec))
        self._place(made)
        self.streams[row] = stream
        self.participants[row] = made
        return made

    def add_forwarder(self, room: RoomId, spec: ForwarderSpec) -> Stream | None:
        """Begin to send to a forwarder's address; None if there is no room for one more."""
        row = self._free_row(spec.codec)
        if row is None:
            return None
        stream = Stream(
            room, row, spec.codec, spec.payload_type, self._forward_outbox, spec.ssrc, spec.rtcp
        )
        self._send_to(stream, self._forward_socket, spec.host, spec.port)
        self.streams[row] = stream
        return stream

    def change_participant(self, row: int, spec: RtpParticipantSpec) -> None:
        """Go on as the spec says; who may no longer send from where they do is looked for anew."""
        participant = self.participants[row]
        before, participant.spec = participant.spec, spec
        participant.networks = _networks(spec)
        stream = participant.stream
        stream.rtcp = spec.rtcp
        has_moved = (before.host, before.port) != (spec.host, spec.port)
        if has_moved or (not spec.host and stream.host and not _may(participant, stream.host)):
            self._forget_address(participant)
            self._set_state(participant, PeerState.CONNECTING)
            self._place(participant)

    def change_forwarder(self, row: int, spec: ForwarderSpec) -> None:
        """Send on to where the spec says, numbered on."""
        stream = self.streams[row]
        stream.rtcp = spec.rtcp
        self._send_to(stream, self._forward_socket, spec.host, spec.port)

    def remove(self, row: int) -> None:
        """Say goodbye for a participant or forwarder, and forget it."""
        self._reports.end(self.streams[row])
        self._flush()
        del self.streams[row]
        gone = self.participants.pop(row, None)
        if gone is not None:
            self._forget_address(gone)

    def _free_row(self, codec: RtpCodec) -> int | None:
        base = PLAIN_ROWS if codec is RtpCodec.OPUS else PCM_ROWS
        if len(self.streams) >= MAX_STREAMS:
            self.counters["plain_rtp_over_capacity"] += 1
            return None
        return next(row for row in range(base, base + MAX_STREAMS) if row not in self.streams)

    def _place(self, participant: Participant) -> None:
        """Send to the address that was given, if one was."""
        spec, stream = participant.spec, participant.stream
        if spec.host:
            self._send_to(stream, self._socket, spec.host, spec.port)
            assert stream.address is not None, "just set"
            self._by_address[stream.address.tobytes()] = participant

    @staticmethod
    def _send_to(stream: Stream, socket: BlockSocket, host: str, port: int) -> None:
        packed = pack_address(host, port, six=socket.is_six)
        stream.address = np.frombuffer(packed, np.uint8)
        stream.address_length = 28 if socket.is_six else 16
        stream.host = _host(packed)

    def _forget_address(self, participant: Participant) -> None:
        stream = participant.stream
        if stream.address is not None:
            self._by_address.pop(stream.address.tobytes(), None)
            stream.address, stream.host = None, ""

    # In

    def poll(self, *, now: float, unix_now: float) -> None:
        """Read and handle what has arrived, a bounded number of blocks of each socket."""
        self._poll(self._socket, now, unix_now)
        if self._rtcp_socket is not None:
            self._poll(self._rtcp_socket, now, unix_now)
        if len(self.streams) > len(self.participants):
            self._poll(self._forward_socket, now, unix_now)

    def _poll(self, socket: BlockSocket, now: float, unix_now: float) -> None:
        for _ in range(BLOCKS_A_POLL):
            count = socket.receive(self._block, now=now, unix_now=unix_now)
            if count:
                self._handle(socket, count, now, unix_now)
            if count < RECEIVE_ROWS:
                return

    def _handle(self, socket: BlockSocket, count: int, now: float, unix_now: float) -> None:
        block = self._block
        self.counters["plain_rtp_datagrams"] += count
        rows = np.arange(count)
        lengths = block.lengths[:count]
        headers = parse_headers(block.data, block.lengths, rows, np.zeros(count, np.uint8))
        is_rtcp = (block.data[:count, 1] >= 192) & (block.data[:count, 1] < 224)  # RFC 5761 §4
        is_report = is_rtcp & (block.data[:count, 0] >> 6 == 2)
        is_report &= (lengths >= _LEAST_RTCP) & (lengths <= ROW_BYTES)
        usable = headers.valid & ~is_rtcp & (lengths >= _HEADER.size)
        if socket is not self._socket:
            usable[:] = False  # nobody is asked to send voice there
        self.counters["plain_rtp_junk"] += int((~(usable | is_report)).sum())
        for row in np.flatnonzero(usable).tolist():
            self._guard(self._receive, row, headers, now)
        for row in np.flatnonzero(is_report).tolist():
            self._guard(self._receive_report, row, socket, now, unix_now)

    def _receive_report(self, row: int, socket: BlockSocket, now: float, unix_now: float) -> None:
        """Take RTCP; whose it is, its address must say, or its SSRC and the host it comes from."""
        if self._reports_left <= 0:
            return
        self._reports_left -= 1
        block = self._block
        try:
            packets = rtcp.parse(block.data[row, : int(block.lengths[row])].tobytes())
        except RtcpError:
            self.counters["plain_rtcp_malformed"] += 1
            return
        host = _host(block.addresses[row].tobytes())
        if socket is self._forward_socket:
            streams = (one for one in self.streams.values() if not one.is_participant)
            told = [
                self._reports.read_blocks(one, packets, unix_now)
                for one in streams
                if one.host == host
            ]
            is_known = any(told)
        else:
            participant = self._reporter(row, packets, host)
            is_known = participant is not None
            if participant is not None:
                self._hear_report(participant, packets, now, unix_now)
        self.counters["plain_rtcp_received" if is_known else "plain_rtcp_foreign"] += 1

    def _reporter(
        self, row: int, packets: tuple[rtcp.Packet, ...], host: str
    ) -> Participant | None:
        """Return whose report this is; None: nobody's."""
        known = self._by_address.get(self._block.addresses[row].tobytes())
        if known is not None:
            return known
        first = packets[0]  # RFC 3550 §6.1: a report comes first
        if not isinstance(first, rtcp.SenderReport | rtcp.ReceiverReport):
            return None
        for one in self._by_address.values():
            if one.ssrc == first.ssrc and one.stream.host == host:
                return one
        return None

    def _hear_report(
        self,
        participant: Participant,
        packets: tuple[rtcp.Packet, ...],
        now: float,
        unix_now: float,
    ) -> None:
        participant.last_report = now
        self._reports.read_blocks(participant.stream, packets, unix_now)
        for packet in packets:
            match packet:
                case rtcp.SenderReport(ssrc=ssrc) if ssrc == participant.ssrc:
                    assert participant.reception is not None, "it came with the SSRC"
                    participant.reception.sender_report(packet.ntp, now)
                case rtcp.Bye(ssrcs=ssrcs) if participant.ssrc in ssrcs:
                    self._part(participant)
                case _:
                    pass

    def _part(self, participant: Participant) -> None:
        """Their stream ended: another one may begin from elsewhere at once."""
        participant.ssrc = participant.reception = None
        if not participant.spec.host:
            self._reports.end(participant.stream)
            self._forget_address(participant)
        self._set_state(participant, PeerState.CONNECTING)

    def _receive(self, row: int, headers: Headers, now: float) -> None:
        block = self._block
        ssrc = int(headers.ssrc[row])
        participant = self._by_address.get(block.addresses[row].tobytes())
        is_new = participant is None
        if participant is None:
            participant = self._claimant(row, ssrc, now)
        if participant is None:
            self.counters["plain_rtp_foreign"] += 1
            return
        kind = int(headers.payload_type[row])
        if kind != participant.spec.payload_type:
            known = kind == COMFORT_NOISE_TYPE
            self.counters["plain_rtp_comfort" if known else "plain_rtp_unknown_type"] += 1
            return
        body = payload(block.data[row], int(headers.payload_offset[row]), int(block.lengths[row]))
        if not body:
            self.counters["plain_rtp_malformed"] += 1
            return
        if is_new:
            self._forget_address(participant)
            participant.stream.address = block.addresses[row].copy()
            participant.stream.address_length = int(block.address_lengths[row])
            participant.stream.host = _host(block.addresses[row].tobytes())
            self._by_address[block.addresses[row].tobytes()] = participant
        participant.last_heard = now
        if participant.ssrc != ssrc:
            if participant.ssrc is not None:
                self._listener.began(participant)
            participant.ssrc = ssrc
            participant.reframer = Reframer()
            participant.reception = ReceptionStatistics(ssrc, participant.stream.clock_hz)
        self._set_state(participant, PeerState.LIVE)
        self.counters["plain_rtp_received"] += 1
        sequence, timestamp = int(headers.sequence[row]), int(headers.timestamp[row])
        arrival_s = float(block.arrivals[row])
        assert participant.reception is not None, "it came with the SSRC"
        participant.reception.receive(sequence, timestamp, arrival_s)
        participant.octets_in += int(block.lengths[row])
        if participant.spec.codec is RtpCodec.OPUS:
            level = SILENCE_DBOV if len(body) <= DTX_BYTES else None
            packet = Arrival(sequence, timestamp, body, arrival_s, silent=level is not None)
            self._listener.arrived(participant, packet, level)
            return
        for frame in participant.reframer.push(sequence, timestamp, body):
            self._listener.arrived(participant, *_g711_arrival(frame, participant, arrival_s))

    def _claimant(self, row: int, ssrc: int, now: float) -> Participant | None:
        """Return whose packet this is though it comes from nobody's address; None: nobody's.

        Nobody can be ousted while they send, nor anybody whose address was given.
        """
        if self._strangers_left <= 0:
            return None
        self._strangers_left -= 1
        host = _host(self._block.addresses[row].tobytes())
        others = []
        for one in self.participants.values():
            is_free = one.stream.address is None or now - one.last_heard >= INTERRUPTED_S
            if one.spec.ssrc == ssrc:
                return one if is_free and not one.spec.host and _may(one, host) else None
            if one.spec.ssrc is None and is_free and not one.spec.host:
                others.append(one)
        return next((one for one in others if _may(one, host)), None)

    # Out

    def send(self, frames: list[Outgoing], tick: int) -> None:
        """Send each stream its frame of this tick, and silence to those that have none."""
        unserved = dict(self.streams)
        for frame in frames:
            for row in frame.rows[frame.rows >= PLAIN_ROWS].tolist():
                stream = unserved.pop(row, None)
                if stream is not None:
                    self._send_frame(stream, frame, tick)
        for stream in unserved.values():
            self._send_frame(stream, None, tick)
        self._flush()

    def _flush(self) -> None:
        self._outbox.flush()
        self._forward_outbox.flush()
        if self._rtcp_outbox is not None:
            self._rtcp_outbox.flush()

    def _send_frame(self, stream: Stream, frame: Outgoing | None, tick: int) -> None:
        if stream.address is None:
            return
        if stream.codec is RtpCodec.OPUS:
            body = OPUS_SILENCE if frame is None else frame.payload
            body = body if len(body) > DTX_BYTES else OPUS_SILENCE
        else:
            body = _g711_body(stream, None if frame is None else frame.pcm)
        marker = frame is not None and frame.marker
        head = _HEADER.pack(
            0x80,
            marker << 7 | stream.payload_type,
            stream.sequence_out,
            (stream.timestamp_base + tick * stream.samples_a_tick) & 0xFFFFFFFF,
            stream.ssrc_out,
        )
        stream.sequence_out = (stream.sequence_out + 1) & 0xFFFF
        stream.packets_out += 1
        stream.octets_out += len(body)
        self.counters["plain_rtp_sent"] += 1
        stream.outbox.push(head + body, stream.address, stream.address_length)

    # Time

    def tick(self, *, now: float, unix_now: float) -> None:
        """Do what time demands: reports go out, who is silent is interrupted, then forgotten."""
        self._strangers_left = STRANGERS_PER_TICK
        self._reports_left = REPORTS_PER_TICK
        if now < self._next_timers:
            return
        self._next_timers = now + TIMERS_S
        for row, stream in self.streams.items():
            participant = self.participants.get(row)
            self._reports.speak(stream, participant, now=now, unix_now=unix_now)
            stream.rate_out.measure(stream.octets_out, now)
            if participant is not None:
                participant.rate_in.measure(participant.octets_in, now)
                self._age(participant, now)
        self._flush()

    def _age(self, one: Participant, now: float) -> None:
        silent_s = now - one.last_heard
        # A device that sends nothing while nobody speaks is not gone while its reports come.
        gone_s = min(silent_s, now - one.last_report)
        if gone_s >= FORGOTTEN_S and one.state is PeerState.INTERRUPTED:
            if not one.spec.host:
                self._forget_address(one)
            self._set_state(one, PeerState.CONNECTING)
        elif silent_s >= INTERRUPTED_S and one.state is PeerState.LIVE:
            self._set_state(one, PeerState.INTERRUPTED)

    def _set_state(self, participant: Participant, state: PeerState) -> None:
        if participant.state is not state:
            participant.state = state
            self._listener.changed(participant)

    def close(self) -> None:
        """Say goodbye for every stream, and close the sockets."""
        for stream in self.streams.values():
            self._reports.end(stream)
        self._flush()
        for socket in (self._socket, self._forward_socket, self._rtcp_socket):
            if socket is not None:
                socket.close()

    @property
    def port(self) -> int:
        """The bound UDP port of participants."""
        return self._socket.port

    @property
    def forward_port(self) -> int:
        """The UDP port forwarders send from."""
        return self._forward_socket.port


def _networks(spec: RtpParticipantSpec) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in spec.allow)


def _may(participant: Participant, host: str) -> bool:
    """Whether they may send from there."""
    address = ipaddress.ip_address(host)
    return any(address in network for network in participant.networks)


def _host(address: bytes) -> str:
    return unpack_address(address)[0]


def _g711_arrival(frame: Frame, participant: Participant, arrival_s: float) -> tuple[Arrival, int]:
    sequence, timestamp, body = frame
    wrapped = g711.wrap(body)
    assert wrapped is not None, "a frame has 20 ms"
    level = level_dbov(g711.decode(body, participant.spec.codec))
    at_48_khz = timestamp * FACTOR & 0xFFFFFFFF  # wraps where 8 kHz does
    return Arrival(sequence, at_48_khz, wrapped, arrival_s, silent=level <= OPEN_DBOV), level


def _g711_body(stream: Stream, pcm: Int16Frame | None) -> bytes:
    if pcm is None and not stream.is_ringing:
        return bytes((g711.SILENCE[stream.codec],)) * g711.FRAME_BYTES
    if pcm is not None and len(pcm) > FRAME_SAMPLES:  # a music room's
        pcm = (pcm.reshape(-1, 2).sum(axis=1, dtype=np.int32) >> 1).astype(np.int16)
    stream.is_ringing = pcm is not None  # one frame of silence empties the filter
    return g711.encode(stream.decimator.push(_SILENCE_FRAME if pcm is None else pcm), stream.codec)
