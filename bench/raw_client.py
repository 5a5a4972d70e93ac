"""WebRTC clients cheap enough to load a server: real ICE checks, DTLS and SRTP, ready-made Opus.

One process drives hundreds of them: each has a socket of its own, sends the packets of a prepared
clip on a shared 20 ms clock and counts what comes back.
"""

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from aioice import stun
from aiortc import RTCCertificate, RTCDtlsParameters
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsTransport
from aiortc.sdp import SessionDescription

LEVEL_ID = 1
PAYLOAD_TYPE = 111


@dataclass(frozen=True, slots=True)
class Clip:
    """Ready-made Opus packets with their RFC 6464 levels (dBov, 0..-127)."""

    packets: Sequence[bytes]
    levels: Sequence[int]


class RawClient:
    """One peer. `sent` and `received` count RTP packets; `arrived(packet)` sees decrypted ones."""

    def __init__(self, clip: Clip, certificate: RTCCertificate, *, decrypt: bool = False) -> None:
        self.sent = self.received = 0
        self.arrived: Callable[[bytes], None] | None = None
        self._clip, self._decrypt = clip, decrypt
        self._ufrag, self._password = secrets.token_hex(4), secrets.token_hex(12)
        self._records: asyncio.Queue[bytes] = asyncio.Queue()
        self._certificate = certificate
        self.role, self.state = "controlling", "completed"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._dtls = RTCDtlsTransport(self, [certificate])
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(32)
        self._at = secrets.randbelow(len(clip.packets))
        self._remote = ("", "")

    def offer(self) -> str:
        """Return an SDP offer of one Opus stream with levels."""
        fingerprint = self._certificate.getFingerprints()[0]
        return "\r\n".join(
            (
                "v=0",
                "o=- 1 1 IN IP4 127.0.0.1",
                "s=-",
                "t=0 0",
                "a=group:BUNDLE 0",
                f"m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}",
                "c=IN IP4 0.0.0.0",
                f"a=ice-ufrag:{self._ufrag}",
                f"a=ice-pwd:{self._password}",
                f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}",
                "a=setup:actpass",
                "a=mid:0",
                f"a=extmap:{LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level",
                "a=sendrecv",
                "a=rtcp-mux",
                f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2",
                "",
            )
        )

    async def connect(self, answer: str, host: str = "127.0.0.1") -> None:
        """Take the answer, pass a connectivity check and the handshake."""
        media = SessionDescription.parse(answer).media[0]
        self._remote = (media.ice.usernameFragment, media.ice.password)
        self._socket.connect((host, media.port))
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        while not self._answered.done():
            self._socket.send(self._check())
            await asyncio.wait({self._answered}, timeout=0.5)
        self._dtls._set_role("server" if media.dtls.role == "client" else "client")
        prints = [RTCDtlsFingerprint(f.algorithm, f.value) for f in media.dtls.fingerprints]
        await self._dtls.start(RTCDtlsParameters(fingerprints=prints))
        if self._dtls.state != "connected":
            raise ConnectionError("the DTLS handshake failed")

    def _check(self) -> bytes:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._remote[0]}:{self._ufrag}"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._remote[1].encode())
        return bytes(request)

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(2048)
            except OSError:
                return
            first = data[0] if data else 255
            if first < 4:
                self._read_stun(data)
            elif first < 64:
                self._records.put_nowait(data)
            elif not 192 <= data[1] < 224:
                self.received += 1
                if self._decrypt and self.arrived is not None:
                    self.arrived(self._dtls._rx_srtp.unprotect(data))

    def _read_stun(self, data: bytes) -> None:
        """Note our check's answer; answer the other side's checks, if it is a full ICE agent."""
        message = stun.parse_message(data)
        if message.message_class == stun.Class.RESPONSE:
            if not self._answered.done():
                self._answered.set_result(None)
        elif message.message_class == stun.Class.REQUEST:
            response = stun.Message(
                stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=message.transaction_id
            )
            response.attributes["XOR-MAPPED-ADDRESS"] = self._socket.getpeername()
            response.add_message_integrity(self._password.encode())
            self._socket.send(bytes(response))

    async def _recv(self) -> bytes:
        return await self._records.get()

    async def _send(self, data: bytes) -> None:
        self._socket.send(data)

    def keep_alive(self) -> None:
        """Send a consent check; browsers do every few seconds."""
        self._socket.send(self._check())

    def send_next(self) -> None:
        """Send the clip's next 20 ms."""
        clip, at = self._clip, self._at
        self._at = (at + 1) % len(clip.packets)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + 960) & 0xFFFFFFFF
        payload = clip.packets[at]
        if not payload:
            return
        head = struct.pack(
            "!BBHIIHHBBH",
            0x90, PAYLOAD_TYPE, self._sequence, self._timestamp, self._ssrc,
            0xBEDE, 1, LEVEL_ID << 4, min(127, -clip.levels[at]), 0,
        )  # fmt: skip
        self._socket.send(self._dtls._tx_srtp.protect(head + payload))
        self.sent += 1

    async def close(self) -> None:
        """Say goodbye."""
        await self._dtls.stop()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


async def stream(clients: Sequence[RawClient], seconds: float) -> None:
    """Send from all clients for a while, their packets spread over the 20 ms."""
    loop = asyncio.get_running_loop()
    start, parts = loop.time(), 10
    groups = [clients[part::parts] for part in range(parts)]
    for step in range(int(seconds / 0.02) * parts):
        for client in groups[step % parts]:
            client.send_next()
        if step % (150 * parts) == 0:
            for client in clients:
                client.keep_alive()
        await asyncio.sleep(max(0.0, start + (step + 1) * 0.02 / parts - loop.time()))


def make_clip(pcm: np.ndarray, encode: Callable[[np.ndarray], bytes]) -> Clip:
    """Encode mono 48 kHz int16 speech into a clip."""
    frames = pcm[: len(pcm) // 960 * 960].reshape(-1, 960)
    power = np.mean((frames / 32768.0) ** 2, axis=1)
    levels = np.where(power > 0, 10 * np.log10(np.maximum(power, 1e-13)), -127).round().astype(int)
    return Clip([encode(frame) for frame in frames], [max(-127, int(level)) for level in levels])
