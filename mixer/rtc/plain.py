"""Plain RTP (RFC 3550, RFC 3551): participants on one UDP port, forwarders on another, no SRTP."""

import ipaddress
import secrets
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.core import g711
from mixer.core.gate import OPEN_DBOV
from mixer.core.jitter import Arrival
from mixer.core.level import SILENCE_DBOV, level_dbov
from mixer.core.reframe import Frame, Reframer
from mixer.core.resample import FACTOR, Decimator
from mixer.core.rtp import Headers, parse_headers, payload
from mixer.core.toc import DTX_BYTES
from mixer.rtc.block import DatagramBlock
from mixer.rtc.guard import Guard
from mixer.rtc.outbox import Outbox
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
INTERRUPTED_S = 5.0  # from then on another address may be theirs
FORGOTTEN_S = 15.0  # from then on nothing is sent there
TIMERS_S = 0.5
COMFORT_NOISE_TYPE = 13  # RFC 3389

OPUS_SILENCE = b"\xf8\xff\xfe"  # 20 ms of digital silence, as libopus's CELT encodes it
_SILENCE_FRAME: Int16Frame = np.zeros(FRAME_SAMPLES, np.int16)
_HEADER = struct.Struct("!BBHII")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(eq=False, slots=True)
class Stream:
    """What goes to one place. `address` is None while nobody is there."""

    room: RoomId
    row: int
    codec: RtpCodec
    payload_type: int
    outbox: Outbox
    ssrc_out: int
    address: NDArray[np.uint8] | None = None
    address_length: int = 0
    sequence_out: int = field(default_factory=lambda: secrets.randbits(15))
    timestamp_base: int = field(default_factory=lambda: secrets.randbits(32))
    packets_out: int = 0
    decimator: Decimator = field(default_factory=Decimator)
    is_ringing: bool = False  # the decimator still holds sound


@dataclass(eq=False, slots=True)
class Participant:
    """A person on plain RTP: their stream out, and what is known of the one that comes in."""

    spec: RtpParticipantSpec
    stream: Stream
    networks: tuple[Network, ...]
    ssrc: int | None = None  # the one they send with now
    reframer: Reframer = field(default_factory=Reframer)
    last_heard: float = 0.0
    state: PeerState = PeerState.CONNECTING


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
    known by its SSRC. Forwarders send from another socket, which is never read.
    """

    def __init__(
        self, participants: BlockSocket, forwarders: BlockSocket, listener: PlainListener
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.streams: dict[int, Stream] = {}  # by row
        self.participants: dict[int, Participant] = {}  # by row
        self._socket = participants
        self._forward_socket = forwarders
        self._outbox = Outbox(SplitSender(participants, None), counters=self.counters)
        self._forward_outbox = Outbox(SplitSender(forwarders, None), counters=self.counters)
        self._listener = listener
        self._guard = Guard(self.counters)
        self._block = DatagramBlock(RECEIVE_ROWS)
        self._by_address: dict[bytes, Participant] = {}
        self._strangers_left = STRANGERS_PER_TICK
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
            room, row, spec.codec, spec.payload_type, self._outbox, secrets.randbits(32)
        )
        networks = tuple(ipaddress.ip_network(text, strict=False) for text in spec.allow)
        made = Participant(spec, stream, networks)
        if spec.host:
            self._send_to(stream, self._socket, spec.host, spec.port)
            assert stream.address is not None, "just set"
            self._by_address[stream.address.tobytes()] = made
        self.streams[row] = stream
        self.participants[row] = made
        return made

    def add_forwarder(self, room: RoomId, spec: ForwarderSpec) -> Stream | None:
        """Begin to send to a forwarder's address; None if there is no room for one more."""
        row = self._free_row(spec.codec)
        if row is None:
            return None
        stream = Stream(room, row, spec.codec, spec.payload_type, self._forward_outbox, spec.ssrc)
        self._send_to(stream, self._forward_socket, spec.host, spec.port)
        self.streams[row] = stream
        return stream

    def remove(self, row: int) -> None:
        """Forget a participant or forwarder."""
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

    @staticmethod
    def _send_to(stream: Stream, socket: BlockSocket, host: str, port: int) -> None:
        packed = pack_address(host, port, six=socket.is_six)
        stream.address = np.frombuffer(packed, np.uint8)
        stream.address_length = 28 if socket.is_six else 16

    def _forget_address(self, participant: Participant) -> None:
        stream = participant.stream
        if stream.address is not None:
            self._by_address.pop(stream.address.tobytes(), None)
            stream.address = None

    # In

    def poll(self, *, now: float, unix_now: float) -> None:
        """Read and handle what has arrived, a bounded number of blocks."""
        for _ in range(BLOCKS_A_POLL):
            count = self._socket.receive(self._block, now=now, unix_now=unix_now)
            if count:
                self._handle(count, now)
            if count < RECEIVE_ROWS:
                return

    def _handle(self, count: int, now: float) -> None:
        block = self._block
        self.counters["plain_rtp_datagrams"] += count
        rows = np.arange(count)
        headers = parse_headers(block.data, block.lengths, rows, np.zeros(count, np.uint8))
        is_rtcp = (block.data[:count, 1] >= 192) & (block.data[:count, 1] < 224)  # RFC 5761 §4
        usable = headers.valid & ~is_rtcp & (block.lengths[:count] >= _HEADER.size)
        self.counters["plain_rtp_junk"] += int((~usable).sum())
        for row in np.flatnonzero(usable).tolist():
            self._guard(self._receive, row, headers, now)

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
            self._by_address[block.addresses[row].tobytes()] = participant
        participant.last_heard = now
        if participant.ssrc != ssrc:
            if participant.ssrc is not None:
                self._listener.began(participant)
            participant.ssrc = ssrc
            participant.reframer = Reframer()
        self._set_state(participant, PeerState.LIVE)
        self.counters["plain_rtp_received"] += 1
        sequence, timestamp = int(headers.sequence[row]), int(headers.timestamp[row])
        arrival_s = float(block.arrivals[row])
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
        address = ipaddress.ip_address(unpack_address(self._block.addresses[row].tobytes())[0])
        others = []
        for one in self.participants.values():
            is_free = one.stream.address is None or now - one.last_heard >= INTERRUPTED_S
            if one.spec.ssrc == ssrc:
                is_allowed = any(address in network for network in one.networks)
                return one if is_free and not one.spec.host and is_allowed else None
            if one.spec.ssrc is None and is_free and not one.spec.host:
                others.append(one)
        return next(
            (one for one in others if any(address in network for network in one.networks)), None
        )

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
        self._outbox.flush()
        self._forward_outbox.flush()

    def _send_frame(self, stream: Stream, frame: Outgoing | None, tick: int) -> None:
        if stream.address is None:
            return
        if stream.codec is RtpCodec.OPUS:
            body = OPUS_SILENCE if frame is None else frame.payload
            body = body if len(body) > DTX_BYTES else OPUS_SILENCE
            per_tick = FRAME_SAMPLES
        else:
            body = _g711_body(stream, None if frame is None else frame.pcm)
            per_tick = g711.FRAME_BYTES
        marker = frame is not None and frame.marker
        head = _HEADER.pack(
            0x80,
            marker << 7 | stream.payload_type,
            stream.sequence_out,
            (stream.timestamp_base + tick * per_tick) & 0xFFFFFFFF,
            stream.ssrc_out,
        )
        stream.sequence_out = (stream.sequence_out + 1) & 0xFFFF
        stream.packets_out += 1
        self.counters["plain_rtp_sent"] += 1
        stream.outbox.push(head + body, stream.address, stream.address_length)

    # Time

    def tick(self, *, now: float) -> None:
        """Do what time demands: who is silent is interrupted, then forgotten."""
        self._strangers_left = STRANGERS_PER_TICK
        if now < self._next_timers:
            return
        self._next_timers = now + TIMERS_S
        for one in self.participants.values():
            silent_s = now - one.last_heard
            if silent_s >= FORGOTTEN_S and one.state is PeerState.INTERRUPTED:
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
        """Close both sockets."""
        self._socket.close()
        self._forward_socket.close()

    @property
    def port(self) -> int:
        """The bound UDP port of participants."""
        return self._socket.port


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
