"""Hundreds of WebRTC clients in one process: real ICE checks, DTLS and SRTP, ready-made Opus.

Packets are written and read as rows of a block; only checks, handshakes, RTCP and the packets of
those who listen closely (`ears`) are looked at one by one.
"""

import asyncio
import contextlib
import secrets
import struct
import time
from collections.abc import Callable

import numpy as np
from aioice import stun
from aiortc import RTCCertificate, RTCDtlsParameters
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsTransport
from aiortc.sdp import SessionDescription
from numpy.typing import NDArray
from pylibsrtp import Error

from bench.errors import BenchMistake
from bench.plan import Plan
from bench.sockets import Sockets, local_address
from mixer.core.rtp import Kind, classify
from mixer.rtc.block import DatagramBlock
from mixer.rtc.srtp import RowPointers, SrtpContext, protect_rows, unprotect_row

LEVEL_ID = 1
PAYLOAD_TYPE = 111
RED_PAYLOAD_TYPE = 63
HEADER_BYTES = 20
POLL_S = 0.002
CHECK_EVERY_S = 2.5  # consent (RFC 7675 asks for every 5 s)
CONNECT_S = 20.0
_ROWS = 512

Ear = Callable[[float, bytes], bool]
"""Takes (arrival on the monotonic clock, decrypted RTP packet); False: lost on its way here."""


class Client:
    """One peer of a crowd: its signalling and handshake. aiortc sees it as an ICE transport."""

    role, state = "controlling", "completed"

    def __init__(self, crowd: "Crowd", index: int, direction: str, *, red: bool) -> None:
        self.index = index
        self._port = crowd.sockets.open()
        self.remote_address = ("", 0)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._crowd, self._direction, self._red = crowd, direction, red
        self.ufrag, self._password = secrets.token_hex(4), secrets.token_hex(12)
        self._remote = ("", "")
        self.records: asyncio.Queue[bytes] = asyncio.Queue()
        self.dtls = RTCDtlsTransport(self, [crowd.certificate])  # type: ignore[arg-type]  # duck
        self._expected = self._counted = 0
        self.may_send_red = False
        """Whether the server takes redundancy."""

    def offer(self) -> str:
        """Return an SDP offer of one Opus stream with levels."""
        fingerprint = self._crowd.certificate.getFingerprints()[0]
        formats, red = f"{PAYLOAD_TYPE}", []
        if self._red:  # RFC 2198, as Chrome offers it
            formats = f"{RED_PAYLOAD_TYPE} {PAYLOAD_TYPE}"
            red = [
                f"a=rtpmap:{RED_PAYLOAD_TYPE} red/48000/2",
                f"a=fmtp:{RED_PAYLOAD_TYPE} {PAYLOAD_TYPE}/{PAYLOAD_TYPE}",
            ]
        lines = (
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            f"m=audio 9 UDP/TLS/RTP/SAVPF {formats}",
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self._password}",
            f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}",
            "a=setup:actpass",
            "a=mid:0",
            f"a=extmap:{LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            f"a={self._direction}",
            "a=rtcp-mux",
            f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2",
            f"a=fmtp:{PAYLOAD_TYPE} minptime=10;useinbandfec=1",
            *red,
            f"a=ssrc:{self._crowd.ssrc[self.index]} cname:b",  # Janus hears nobody without
            # Janus checks nobody of whom it knows no candidate.
            f"a=candidate:1 1 udp 2130706431 {local_address()} {self._port} typ host",
            "a=end-of-candidates",
            "",
        )
        return "\r\n".join(lines)

    async def connect(self, answer: str) -> None:
        """Take the answer, pass a connectivity check and the handshake.

        Raises:
            BenchMistake: the server does not answer.
        """
        media = SessionDescription.parse(answer).media[0]
        assert media.ice is not None, "every answer has credentials"
        assert media.dtls is not None, "and a fingerprint"
        self._remote = (media.ice.usernameFragment or "", media.ice.password or "")
        self.may_send_red = self._red and f"a=rtpmap:{RED_PAYLOAD_TYPE} red/" in answer
        self.remote_address = next(
            (candidate.ip, candidate.port)
            for candidate in media.ice_candidates
            if candidate.protocol.lower() == "udp" and ":" not in candidate.ip
        )
        self._crowd.sockets.connect(self.index, self.remote_address)
        try:
            async with asyncio.timeout(CONNECT_S):
                while not self.answered.done():
                    self.keep_alive()
                    await asyncio.wait({self.answered}, timeout=0.25)
                self.dtls._set_role("server" if media.dtls.role == "client" else "client")
                prints = [RTCDtlsFingerprint(f.algorithm, f.value) for f in media.dtls.fingerprints]
                await self.dtls.start(RTCDtlsParameters(fingerprints=prints))
        except TimeoutError:
            raise BenchMistake(
                f"{self.remote_address[0]}:{self.remote_address[1]} let nobody in within "
                f"{CONNECT_S:.0f} s: try fewer people."
            ) from None
        if self.dtls.state != "connected":
            raise BenchMistake("The DTLS handshake failed.")
        self._crowd.connected(self)

    def keep_alive(self) -> None:
        """Send a connectivity (later: consent) check."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._remote[0]}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._remote[1].encode())
        request.add_fingerprint()  # libnice takes nothing without
        self._send_now(bytes(request))

    def receive_stun(self, data: bytes) -> None:
        """Note our check's answer; answer the other side's checks, if it is a full agent."""
        with contextlib.suppress(ValueError):
            message = stun.parse_message(data)
            if message.message_class == stun.Class.RESPONSE:
                if not self.answered.done():
                    self.answered.set_result(None)
            elif message.message_class == stun.Class.REQUEST:
                response = stun.Message(
                    stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=message.transaction_id
                )
                response.attributes["XOR-MAPPED-ADDRESS"] = self.remote_address
                response.add_message_integrity(self._password.encode())
                response.add_fingerprint()
                self._send_now(bytes(response))

    def receive_rtcp(self, data: bytes, *, expected: int, counted: int, highest: int) -> None:
        """Answer a sender report by a receiver report (RFC 3550 §6.4.2)."""
        try:
            clear = self.dtls._rx_srtp.unprotect_rtcp(data)
        except Error:
            return
        if clear[1] != 200 or len(clear) < 28:
            return
        sender, ntp = clear[4:8], clear[10:14]
        now_expected, now_counted = expected - self._expected, counted - self._counted
        self._expected, self._counted = expected, counted
        lost = max(0, now_expected - now_counted)
        fraction = min(255, lost * 256 // now_expected) if now_expected > 0 else 0
        total = max(0, expected - counted) & 0xFFFFFF
        ssrc = struct.pack("!I", int(self._crowd.ssrc[self.index]))
        report = b"\x81\xc9\x00\x07" + ssrc + sender
        report += struct.pack("!IIII", fraction << 24 | total, highest & 0xFFFFFFFF, 0, 0)[:12]
        report += ntp + struct.pack("!I", 66)  # answered within a poll: about 1 ms in 1/65536 s
        report += b"\x81\xca\x00\x02" + ssrc + b"\x01\x01b\x00"  # SDES, CNAME "b"
        self._send_now(self.dtls._tx_srtp.protect_rtcp(report))

    def _send_now(self, data: bytes) -> None:
        self._crowd.sockets.send_one(data, self.index)

    async def _recv(self) -> bytes:
        return await self.records.get()

    async def _send(self, data: bytes) -> None:
        self._send_now(data)


class Crowd:
    """All clients of a measurement. `received[i]` counts the RTP packets of client i."""

    def __init__(self, capacity: int) -> None:
        self.sockets = Sockets(capacity)
        self.certificate = RTCCertificate.generateCertificate()
        self.clients: list[Client] = []
        self.ears: dict[int, Ear] = {}
        self.first_packet_s: dict[int, float] = {}
        self.received: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.ssrc: NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        self._highest: NDArray[np.int64] = np.full(capacity, -1, np.int64)
        self._lowest: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self._sequence: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self._timestamp: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self._handles: list[object] = [None] * capacity
        self._in, self._out = DatagramBlock(_ROWS), DatagramBlock(_ROWS)
        self._in_pointers, self._out_pointers = RowPointers(self._in), RowPointers(self._out)
        self._contexts: dict[int, SrtpContext] = {}
        self._plan: Plan | None = None
        self._start_s = 0.0
        self._at = 0
        self._next_check_s = time.monotonic() + CHECK_EVERY_S
        self._played = asyncio.Event()
        self._failure: BaseException | None = None
        self._pump = asyncio.create_task(self._run(), name="crowd")  # ends in close()

    def add(self, direction: str = "sendrecv", *, red: bool = False) -> Client:
        """Add a client, not connected yet."""
        index = len(self.clients)
        client = Client(self, index, direction, red=red)
        self.clients.append(client)
        self.ssrc[index] = secrets.randbits(32)
        self._sequence[index] = secrets.randbits(15)
        self._timestamp[index] = secrets.randbits(32)
        return client

    def connected(self, client: Client) -> None:
        """Take a connected client's keys into the columns."""
        self._handles[client.index] = SrtpContext(client.dtls._tx_srtp).handle
        self._contexts[client.index] = SrtpContext(client.dtls._rx_srtp)

    async def play(self, plan: Plan) -> float:
        """Send a plan's packets; return when it began (monotonic) once its time is over."""
        self._plan, self._at = plan, 0
        self._start_s = time.monotonic() + 0.01
        self._played.clear()
        await self._played.wait()
        if self._failure is not None:
            raise self._failure
        for client, (packets, ticks) in plan.totals.items():
            self._sequence[client] += packets
            self._timestamp[client] += ticks * 960
        return self._start_s

    def listen(self, client: Client, ear: Ear) -> None:
        """Decrypt what a client receives from now on and give it to `ear`."""
        self.ears[client.index] = ear
        self.sockets.stamped.add(client.index)

    async def close(self) -> None:
        """End the pump and close the socket; the server is about to be ended anyway."""
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        for client in self.clients:
            with contextlib.suppress(Exception):
                await client.dtls.stop()
        self.sockets.close()

    async def _run(self) -> None:
        try:
            while True:
                self._receive()
                self._depart()
                self._check()
                await asyncio.sleep(POLL_S)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the plan
            self._failure = error
            self._played.set()

    def _check(self) -> None:
        now = time.monotonic()
        if now >= self._next_check_s:
            self._next_check_s = now + CHECK_EVERY_S
            for index in self._contexts:
                self.clients[index].keep_alive()

    def _depart(self) -> None:
        plan = self._plan
        if plan is None:
            return
        now = time.monotonic() - self._start_s
        while True:
            due = int(np.searchsorted(plan.time_s, now, side="right"))
            end = min(due, self._at + _ROWS)
            if end <= self._at:
                break
            self._send(plan, slice(self._at, end))
            plan.sent_s[self._at : end] = time.monotonic()
            self._at = end
        if now >= plan.seconds and self._at >= len(plan.time_s):
            self._plan = None
            self._played.set()

    def _send(self, plan: Plan, part: slice) -> None:
        clients, packets = plan.client[part], plan.packet[part]
        count, block = len(clients), self._out
        sequence = (self._sequence[clients] + plan.number[part]).astype(np.uint16)
        timestamp = (self._timestamp[clients] + plan.tick[part] * 960).astype(np.uint32)
        head = block.data[:count, :HEADER_BYTES]
        head[:, 0] = 0x90
        head[:, 1] = np.where(plan.store.is_red[packets], RED_PAYLOAD_TYPE, PAYLOAD_TYPE)
        head[:, 2:4] = sequence.astype(">u2").view(np.uint8).reshape(-1, 2)
        head[:, 4:8] = timestamp.astype(">u4").view(np.uint8).reshape(-1, 4)
        head[:, 8:12] = self.ssrc[clients].astype(">u4").view(np.uint8).reshape(-1, 4)
        # RFC 8285 §4.2: one word of one-byte elements, the level (RFC 6464) and padding.
        head[:, 12:16] = (0xBE, 0xDE, 0, 1)
        head[:, 16], head[:, 18:20] = LEVEL_ID << 4, 0
        head[:, 17] = plan.store.levels[packets]
        lengths = plan.store.lengths[packets]
        width = int(lengths.max())
        block.data[:count, HEADER_BYTES : HEADER_BYTES + width] = plan.store.data[packets, :width]
        block.lengths[:count] = HEADER_BYTES + lengths
        senders = clients.tolist()
        failed = protect_rows(self._out_pointers, [self._handles[client] for client in senders])
        assert not failed, "our own packets can be protected"
        self.sockets.send(block, senders)

    def _receive(self) -> None:
        while True:
            now = time.monotonic()
            count, clients = self.sockets.receive(self._in, now=now, unix_now=time.time())
            if not count:
                return
            kinds = classify(self._in.data[:count], self._in.lengths[:count])
            rtp = np.flatnonzero(kinds == Kind.RTP)
            if len(rtp):
                self._receive_rtp(rtp, clients[rtp])
            for row in np.flatnonzero((kinds != Kind.RTP) & (kinds != Kind.JUNK)).tolist():
                self._receive_other(int(kinds[row]), row, int(clients[row]))

    def _receive_rtp(self, rows: NDArray[np.intp], clients: NDArray[np.intp]) -> None:
        block = self._in
        if len(self.first_packet_s) < len(self._contexts):
            for row, client in zip(rows.tolist(), clients.tolist(), strict=True):
                self.first_packet_s.setdefault(client, float(block.arrivals[row]))
        sequences = block.data[rows, 2:4].copy().view(">u2")[:, 0].astype(np.int64)
        if self.ears:
            kept = np.array(
                [
                    client not in self.ears or self._hear(row, client)
                    for row, client in zip(rows.tolist(), clients.tolist(), strict=True)
                ],
                np.bool_,
            )
            sequences, clients = sequences[kept], clients[kept]
        new = np.flatnonzero(self._highest[clients] < 0)
        for at in new[::-1].tolist():  # the first of each client is written last
            self._highest[clients[at]] = self._lowest[clients[at]] = sequences[at] + (1 << 16)
        last = self._highest[clients]
        ahead = ((sequences - last) & 0xFFFF).astype(np.uint16).view(np.int16)
        np.maximum.at(self._highest, clients, last + ahead)
        np.add.at(self.received, clients, 1)

    def _hear(self, row: int, client: int) -> bool:
        context = self._contexts.get(client)
        if context is None or not unprotect_row(self._in_pointers, row, context):
            return False
        data = self._in.data[row, : self._in.lengths[row]].tobytes()
        return self.ears[client](float(self._in.arrivals[row]), data)

    def _receive_other(self, kind: int, row: int, index: int) -> None:
        if index >= len(self.clients):
            return
        client, block = self.clients[index], self._in
        data = block.data[row, : block.lengths[row]].tobytes()
        if kind == Kind.STUN:
            client.receive_stun(data)
        elif kind == Kind.DTLS:
            client.records.put_nowait(data)
        elif index in self._contexts:
            highest, counted = int(self._highest[index]), int(self.received[index])
            client.receive_rtcp(
                data,
                expected=highest - int(self._lowest[index]) + 1 if highest >= 0 else 0,
                counted=counted,
                highest=highest,
            )
