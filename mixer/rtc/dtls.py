"""One connection's DTLS: aiortc's transport fed from a ring instead of a socket."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mixer.rtc.aiortc_parts import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from mixer.rtc.srtp import SrtpContext
from mixer.rtc.turns import Turns
from mixer.types import Cancellable, Spawn

RING = 16  # datagrams; a whole flight is under eight, what is above is a flood

_CHANGE_CIPHER_SPEC, _HANDSHAKE = 20, 22
_CONTENT_TYPES = (_CHANGE_CIPHER_SPEC, 21, _HANDSHAKE, 23)  # and alert, application data
_VERSIONS = (b"\xfe\xff", b"\xfe\xfd")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A certificate fingerprint as it stands in SDP (RFC 8122)."""

    algorithm: str
    value: str


class Certificate:
    """The server's certificate, one for all connections of a process."""

    def __init__(self) -> None:
        self._certificate = RTCCertificate.generateCertificate()

    @property
    def native(self) -> object:
        """Aiortc's object."""
        return self._certificate

    def sha256(self) -> str:
        """Return the SHA-256 fingerprint, upper-case hexadecimal with colons."""
        for fingerprint in self._certificate.getFingerprints():
            if fingerprint.algorithm == "sha-256":
                return str(fingerprint.value)
        raise AssertionError("aiortc always computes SHA-256")


class _Wire:
    """What aiortc takes for its ICE transport: `_recv` and `_send`."""

    role = "controlled"  # we are an ICE-lite agent
    state = "completed"

    def __init__(self, queue: Turns, send: Callable[[bytes], None]) -> None:
        self._queue = queue
        self._send_datagram = send
        self._ring: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def push(self, datagram: bytes) -> bool:
        """Keep a datagram for the reader; False if the ring is full."""
        if self._closed or len(self._ring) >= RING:
            return False
        self._ring.append(datagram)
        if self._waiter is not None:
            self._queue.add(self)
            self._queue.pump()
        return True

    def release(self) -> bool:
        """Wake the reader; False if there is none."""
        if self._waiter is None or self._waiter.done():
            return False
        self._waiter.set_result(None)
        return True

    def close(self) -> None:
        """End the reader; nothing is taken any more."""
        self._closed = True
        self._ring.clear()
        self.release()
        self._queue.leave(self)

    async def _recv(self) -> bytes:
        self._queue.done(self)  # aiortc is through with the datagram before
        if self._closed:
            raise ConnectionError("the connection was closed")
        await self._take_turn(has_work=bool(self._ring))
        if not self._ring:
            raise ConnectionError("the connection was closed")
        return self._ring.popleft()

    async def begin(self) -> None:
        """Wait for the turn in which the handshake begins; the reader's first one ends it.

        Raises:
            ConnectionError: the connection was closed.
        """
        await self._take_turn(has_work=True)
        if self._closed:
            raise ConnectionError("the connection was closed")

    async def _take_turn(self, *, has_work: bool) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        if has_work:
            self._queue.add(self)
            self._queue.pump()
        try:
            await self._waiter
        except asyncio.CancelledError:  # aiortc's retransmission timer: it reads on afterwards
            self._queue.done(self)
            raise
        finally:
            self._waiter = None

    async def _send(self, data: bytes) -> None:
        self._send_datagram(data)


class DtlsSession:
    """The handshake and, for the life of the connection, every DTLS record after it.

    `on_keys(receive, send)` is called once when the handshake is through and the fingerprint
    matched; `on_end(connected)` once when it failed or the peer said close_notify. Neither is
    called after `stop()`.
    """

    def __init__(
        self,
        certificate: Certificate,
        queue: Turns,
        *,
        send: Callable[[bytes], None],
        on_keys: Callable[[SrtpContext, SrtpContext], None],
        on_end: Callable[[bool], None],
    ) -> None:
        self._wire = _Wire(queue, send)
        self._transport = RTCDtlsTransport(self._wire, [certificate.native])
        self._on_keys = on_keys
        self._on_end = on_end
        self._connected = False
        self._ended = False
        self._task: Cancellable | None = None
        self._transport.on("statechange", self._state_changed)

    @property
    def is_started(self) -> bool:
        """Whether the handshake has begun."""
        return self._task is not None

    def start(
        self, fingerprints: tuple[Fingerprint, ...], *, is_client: bool, spawn: Spawn
    ) -> None:
        """Begin the handshake; `is_client` when the peer insists on being the DTLS server."""
        self._transport._set_role("client" if is_client else "server")  # noqa: SLF001 - as RTCPeerConnection does
        parameters = RTCDtlsParameters(
            fingerprints=[
                RTCDtlsFingerprint(algorithm=f.algorithm, value=f.value) for f in fingerprints
            ]
        )
        # Ends by itself when the handshake is over; `stop` cancels it before that.
        self._task = spawn(self._run(parameters), name="dtls")

    def push(self, datagram: bytes) -> bool:
        """Take one datagram of DTLS records; False if it was refused.

        Refused is what the ring cannot hold, what is no DTLS 1.0 to 1.2, and, until the handshake
        is through, what would end it without a key: alerts and data in the clear.
        """
        return self._is_plausible(datagram) and self._wire.push(datagram)

    def _is_plausible(self, datagram: bytes) -> bool:
        # RFC 6347 §4.1: content type, version (fe ff or fe fd), epoch, …
        kind, epoch = datagram[0], datagram[3:5]
        if kind not in _CONTENT_TYPES or datagram[1:3] not in _VERSIONS:
            return False
        return self._connected or kind in (_CHANGE_CIPHER_SPEC, _HANDSHAKE) or epoch != b"\0\0"

    async def stop(self) -> None:
        """Say close_notify and end."""
        self._ended = True
        self._wire.close()
        await self._transport.stop()
        if self._task is not None:
            self._task.cancel()

    async def _run(self, parameters: object) -> None:
        try:
            await self._wire.begin()  # to make an OpenSSL context is a tenth of the work
            await self._transport.start(parameters)
        except Exception:  # noqa: BLE001 - what a peer's certificate can do to its parser is its own failure
            _log.debug("a DTLS handshake failed", exc_info=True)
            self._end()

    def _state_changed(self) -> None:
        state = self._transport.state
        if self._ended:
            return
        if state == "connected":
            self._connected = True
            receive, send = self._transport._rx_srtp, self._transport._tx_srtp  # noqa: SLF001
            self._on_keys(SrtpContext(receive), SrtpContext(send))
        elif state in ("closed", "failed"):
            self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._wire.close()
            self._on_end(self._connected)
