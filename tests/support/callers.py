"""WebRTC callers and a port, joined by memory instead of sockets, on a clock that is told."""

import asyncio
import contextlib
import itertools
import struct
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from aioice import stun
from aiortc import RTCCertificate, RTCDtlsParameters
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsTransport
from aiortc.sdp import SessionDescription
from pylibsrtp import Error, Session

from mixer.core.jitter import Arrival
from mixer.core.rtcp import ReceiverReport, ReportBlock, serialise
from mixer.rtc.block import DatagramBlock
from mixer.rtc.peers import Peer
from mixer.rtc.port import PortListener, WebRtcPort
from mixer.rtc.sdp import read_offer
from mixer.rtc.sockets import pack_address, unpack_address
from mixer.types import TICK_S, GoneReason, Outgoing, PeerId, PeerState, RoomId
from tests.support.clock import FakeClock

Address = tuple[str, int]

ELSEWHERE: Address = ("203.0.113.7", 7000)  # whence nobody was invited
PAYLOAD_TYPE = 111
LEVEL_ID = 1
RED_PAYLOAD_TYPE = 63
SESSIONS = itertools.count(1)  # of offers: one RTCPeerConnection keeps its own
CERTIFICATE = RTCCertificate.generateCertificate()  # 1 ms each, and all callers may share one


def frame(*rows: int, payload: bytes = b"\xf8mix") -> Outgoing:
    """Return a frame for the peers in these rows."""
    return Outgoing(payload, np.array(rows, np.intp), -30)


class Tasks:
    """A Spawn that keeps what it started; `close` ends it and tells what failed."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def __call__(self, coro: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(coro, name=name))
        return self._tasks[-1]

    async def close(self) -> list[BaseException]:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        return [
            end
            for end in ends
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError)
        ]


class MemorySocket:
    """A BlockSocket whose kernel is two queues."""

    port = 10_000
    is_six = False

    def __init__(self) -> None:
        self.counters: dict[str, int] = {"udp_send_failures": 0}
        self.inbox: deque[tuple[bytes, Address]] = deque()
        self.outbox: deque[tuple[bytes, Address]] = deque()
        self.is_closed = False

    def receive(self, block: DatagramBlock, *, now: float, unix_now: float) -> int:
        rows = 0
        while self.inbox and rows < block.capacity:
            datagram, (host, port) = self.inbox.popleft()
            kept = np.frombuffer(datagram[: block.data.shape[1]], np.uint8)
            block.data[rows, : len(kept)] = kept
            block.lengths[rows] = len(datagram)
            block.addresses[rows] = np.frombuffer(pack_address(host, port, six=False), np.uint8)
            block.address_lengths[rows] = 16
            block.arrivals[rows] = now
            rows += 1
        return rows

    def send(self, block: DatagramBlock, rows: int) -> int:
        for row in range(rows):
            datagram = block.data[row, : block.lengths[row]].tobytes()
            self.outbox.append((datagram, unpack_address(block.addresses[row].tobytes())))
        return rows

    def close(self) -> None:
        self.is_closed = True


class Recorder:
    """A PortListener that remembers."""

    def __init__(self) -> None:
        self.packets: list[tuple[PeerId, Arrival, int | None]] = []
        self.changes: list[tuple[PeerId, PeerState, GoneReason | None]] = []
        self.streams = 0

    def arrived(self, peer: Peer, packet: Arrival, level_dbov: int | None, *, voice: bool) -> None:
        self.packets.append((peer.id, packet, level_dbov))

    def began(self, peer: Peer) -> None:
        self.streams += 1

    def changed(self, peer: Peer, reason: GoneReason | None) -> None:
        self.changes.append((peer.id, peer.state, reason))

    @property
    def sequences(self) -> list[int]:
        return [packet.sequence for _, packet, _ in self.packets]


class Caller:
    """A WebRTC client by hand. `heard` is every RTP packet that reached it, decrypted."""

    role = "controlling"
    state = "completed"

    def __init__(
        self,
        socket: Any,  # with an `inbox` to append (datagram, source) to
        address: Address,
        *,
        direction: str = "sendrecv",
        setup: str = "actpass",
        level_id: int = LEVEL_ID,
        red: bool = False,
        fec: bool = False,
    ) -> None:
        self.address = address
        self.direction = direction
        self.ufrag = "caller"
        self._version = 0
        self._session_id = next(SESSIONS)
        self._red, self._fec = red, fec
        self.heard: list[bytes] = []
        self.records: list[bytes] = []
        self.replies: list[stun.Message] = []
        self.reports: list[bytes] = []
        self.sent: list[bytes] = []
        self.sequence = 1000
        self.ssrc = 0x1234
        self._socket = socket
        self._setup, self._level_id = setup, level_id
        self._remote: tuple[str, str] = ("", "")
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.dtls = RTCDtlsTransport(self, [CERTIFICATE])  # type: ignore[arg-type]

    # What an ICE transport is to aiortc

    async def _recv(self) -> bytes:
        return await self._inbox.get()

    async def _send(self, data: bytes) -> None:
        self.send(data)

    # Signalling

    def offer(self) -> str:
        """Return the next offer of this connection: its session, a new version."""
        self._version += 1
        fingerprint = CERTIFICATE.getFingerprints()[0]
        red = [
            f"a=rtpmap:{RED_PAYLOAD_TYPE} red/48000/2",
            f"a=fmtp:{RED_PAYLOAD_TYPE} {PAYLOAD_TYPE}/{PAYLOAD_TYPE}",
        ]
        levels = [f"a=extmap:{self._level_id} urn:ietf:params:rtp-hdrext:ssrc-audio-level"]
        lines = [
            *("v=0", f"o=- {self._session_id} {self._version} IN IP4 127.0.0.1", "s=-", "t=0 0"),
            f"m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE} {RED_PAYLOAD_TYPE if self._red else 0}",
            "c=IN IP4 0.0.0.0",
            *(f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{'p' * 24}"),
            f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}",
            *(f"a=setup:{self._setup}", "a=mid:0", f"a={self.direction}", "a=rtcp-mux"),
            f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2",
            *([f"a=fmtp:{PAYLOAD_TYPE} minptime=10;useinbandfec=1"] if self._fec else []),
            *(red if self._red else []),
            *(levels if self._level_id else []),
        ]
        return "\r\n".join(lines) + "\r\n"

    def accept(self, answer: str) -> None:
        media = SessionDescription.parse(answer).media[0]
        assert media.ice is not None
        assert media.dtls is not None
        self._remote = (media.ice.usernameFragment or "", media.ice.password or "")
        self._fingerprints = media.dtls.fingerprints
        if self.dtls.state == "connected":  # a further answer
            return
        self.dtls._set_role("client" if self._setup != "passive" else "server")

    # Packets

    def check(
        self,
        *,
        nominate: bool = True,
        user: str | None = None,
        role: str = "ICE-CONTROLLING",
        ufrag: str | None = None,
        password: str | None = None,
    ) -> bytes:
        """Return a connectivity check, signed for the port."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{ufrag or self._remote[0]}:{user or self.ufrag}"
        request.attributes["PRIORITY"] = 1
        request.attributes[role] = 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity((password or self._remote[1]).encode())
        return bytes(request)

    def clear_rtp(
        self,
        payload: bytes = b"\xf8voice",
        *,
        level_dbov: int = -20,
        voice: bool = False,
        sequence: int | None = None,
        payload_type: int = PAYLOAD_TYPE,
    ) -> bytes:
        """Return the next RTP packet, not protected."""
        if sequence is None:
            sequence = self.sequence = (self.sequence + 1) & 0xFFFF
        head = struct.pack(
            "!BBHII", 0x80, payload_type, sequence, sequence * 960 & 0xFFFFFFFF, self.ssrc
        )
        if self._level_id:
            head = b"\x90" + head[1:]
            head += struct.pack(
                "!HHBBH", 0xBEDE, 1, self._level_id << 4, voice << 7 | -level_dbov, 0
            )
        return head + payload

    def rtp(self, payload: bytes = b"\xf8voice", **fields: Any) -> bytes:
        """Return the next RTP packet, protected."""
        return bytes(self._session.protect(self.clear_rtp(payload, **fields)))

    def rtcp(self, packet: bytes | None = None) -> bytes:
        """Return a protected RTCP packet, by default a receiver report of nothing."""
        clear = struct.pack("!BBHI", 0x80, 201, 1, self.ssrc) if packet is None else packet
        return bytes(self._session.protect_rtcp(clear))

    def report(self, *, lost: float, about: int, jitter: int = 0) -> bytes:
        """Return a protected receiver report: the share of our packets `about` that was lost."""
        block = ReportBlock(about, round(lost * 256), 0, 0, jitter, 0, 0)
        return self.rtcp(serialise((ReceiverReport(self.ssrc, (block,)),)))

    @property
    def _session(self) -> Session:
        return self.dtls._tx_srtp

    # The wire

    def send(self, datagram: bytes, *, source: Address | None = None) -> None:
        """Give a datagram to the network; `source` other than the caller's own is spoofed."""
        self.sent.append(datagram)
        self._socket.inbox.append((datagram, source or self.address))

    def deliver(self, datagram: bytes) -> None:
        """Take what the port sent here."""
        if datagram[0] < 2:
            self.replies.append(stun.parse_message(datagram))
        elif datagram[0] < 64:
            self.records.append(datagram)
            self._inbox.put_nowait(datagram)
        elif self.dtls.state != "connected":
            return  # media that overtakes the end of the handshake
        elif 192 <= datagram[1] <= 223:
            self.reports.append(bytes(self.dtls._rx_srtp.unprotect_rtcp(datagram)))
        else:
            with contextlib.suppress(Error):  # a repeated packet
                self.heard.append(bytes(self.dtls._rx_srtp.unprotect(datagram)))

    async def handshake(self) -> None:
        """Run the DTLS handshake to its end."""
        parameters = RTCDtlsParameters(
            fingerprints=[
                RTCDtlsFingerprint(algorithm=f.algorithm, value=f.value) for f in self._fingerprints
            ]
        )
        await self.dtls.start(parameters)


class Rig:
    """A port, its listener and its callers. Time moves by `run`."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.socket = MemorySocket()
        self.listener = Recorder()
        self.tasks = Tasks()
        self.port = self.open_port(self.listener)
        self.callers: dict[Address, Caller] = {}
        self.lost: Counter[Address] = Counter()
        self.on_deliver: Callable[[bytes, Address], bool] = lambda _datagram, _address: True

    def open_port(self, listener: PortListener) -> WebRtcPort:
        """Return a port on the memory socket."""
        return WebRtcPort(self.socket, listener, clock=self.clock, spawn=self.tasks)

    def caller(self, number: int = 1, **options: Any) -> Caller:
        """Return a caller at an address of its own."""
        made = Caller(self.socket, (f"192.0.2.{number}", 40_000 + number), **options)
        self.callers[made.address] = made
        return made

    def invite(self, caller: Caller, name: str = "ann") -> Peer:
        """Exchange offer and answer."""
        peer = self.port.add_peer(
            RoomId("room"), PeerId(name), read_offer(caller.offer()), now=self.clock()
        )
        caller.accept(self.port.write_answer(peer, addresses=("192.0.2.99",), port=10_000))
        return peer

    def exchange(self) -> None:
        """Let the port read, and carry away what it sent."""
        self.port.poll(now=self.clock(), unix_now=self.clock() + 1e9)
        while self.socket.outbox:
            datagram, address = self.socket.outbox.popleft()
            caller = self.callers.get(address)
            if caller is None:
                self.lost[address] += 1
            elif self.on_deliver(datagram, address):
                caller.deliver(datagram)

    async def settle(self, rounds: int = 12) -> None:
        """Carry datagrams to and fro until everybody has had their turn; no time passes."""
        for _ in range(rounds):
            self.port._handshakes.new_tick()
            self.exchange()
            for _ in range(6):
                await asyncio.sleep(0)
        self.exchange()

    async def run(self, seconds: float) -> None:
        """Let time pass, a tick at a time."""
        for _ in range(round(seconds / TICK_S)):
            self.clock.advance(TICK_S)
            self.port.tick(
                int(self.clock() // TICK_S), now=self.clock(), unix_now=self.clock() + 1e9
            )
            self.exchange()
            await asyncio.sleep(0)

    async def connect(self, number: int = 1, name: str = "ann", **options: Any) -> Caller:
        """Return a caller that is live."""
        caller = self.caller(number, **options)
        self.invite(caller, name)
        caller.send(caller.check())
        self.exchange()
        handshake = asyncio.create_task(caller.handshake())
        await self.settle()
        await handshake
        assert caller.dtls.state == "connected"
        return caller

    def peer(self, name: str = "ann") -> Peer:
        """Return a connection by its person."""
        return next(peer for peer in self.port.table.peers if peer is not None and peer.id == name)

    def say(self, frames: list[Outgoing], tick: int = 7) -> None:
        """Send frames and deliver them."""
        self.port.send(frames, tick=tick)
        self.exchange()

    async def close(self) -> list[BaseException]:
        """End everything; return what failed in a task."""
        for caller in self.callers.values():
            await caller.dtls.stop()
        await self.port.close()
        await asyncio.sleep(0)
        return await self.tasks.close()
