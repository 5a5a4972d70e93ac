"""One connection's DTLS: aiortc's transport fed from a ring instead of a socket."""

import asyncio
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
from mixer.types import Cancellable, Spawn

RING = 16  # records; a whole flight is under eight, what is above is a flood
HANDSHAKE_BUDGET_S = 0.004  # per tick for all peers: a join storm must not make a tick late


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


class HandshakeQueue:
    """Lets the waiting connections work, a few milliseconds a tick and one after another."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: deque[_Wire] = deque()
        self._spent_s = 0.0
        self._running: _Wire | None = None
        self._started = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    def new_tick(self) -> None:
        """Give out the next tick's budget."""
        self._spent_s = 0.0
        self.pump()

    def add(self, wire: "_Wire") -> None:
        """Queue a connection that has records to read."""
        if wire not in self._waiting:
            self._waiting.append(wire)

    def pump(self) -> None:
        """Let the next connection run unless one is running or the budget is spent."""
        if self._running is not None or self._spent_s >= HANDSHAKE_BUDGET_S or not self._waiting:
            return
        wire = self._waiting.popleft()
        self._running, self._started = wire, self._clock()
        if not wire.release():
            self._running = None
            self.pump()

    def done(self, wire: "_Wire") -> None:
        """Account the work of the connection that ran, and let the next one run."""
        if self._running is wire:
            self._spent_s += self._clock() - self._started
            self._running = None
            self.pump()


class _Wire:
    """What aiortc takes for its ICE transport: `_recv` and `_send`."""

    role = "controlled"  # we are an ICE-lite agent
    state = "completed"

    def __init__(self, queue: HandshakeQueue, send: Callable[[bytes], None]) -> None:
        self._queue = queue
        self._send_datagram = send
        self._ring: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.dropped = 0

    def push(self, record: bytes) -> None:
        if len(self._ring) >= RING:
            self.dropped += 1
            return
        self._ring.append(record)
        if self._waiter is not None:
            self._queue.add(self)
            self._queue.pump()

    def release(self) -> bool:
        """Wake the reader; False if there is none."""
        if self._waiter is None or self._waiter.done():
            return False
        self._waiter.set_result(None)
        return True

    def close(self) -> None:
        self._closed = True
        self.release()

    async def _recv(self) -> bytes:
        self._queue.done(self)
        if not self._closed:
            self._waiter = asyncio.get_running_loop().create_future()
            if self._ring:
                self._queue.add(self)
                self._queue.pump()
            try:
                await self._waiter
            finally:
                self._waiter = None
                if not self._ring:
                    self._queue.done(self)
        if self._closed or not self._ring:
            self._queue.done(self)
            raise ConnectionError("the connection was closed")
        return self._ring.popleft()

    async def _send(self, data: bytes) -> None:
        self._send_datagram(data)


class DtlsSession:
    """The handshake and, for the life of the connection, every DTLS record after it.

    `on_keys(receive, send)` is called once when the handshake is through and the fingerprint
    matched; `on_end(connected)` once when it failed or the peer said close_notify.
    """

    def __init__(
        self,
        certificate: Certificate,
        queue: HandshakeQueue,
        *,
        send: Callable[[bytes], None],
        on_keys: Callable[[SrtpContext, SrtpContext], None],
        on_end: Callable[[bool], None],
    ) -> None:
        self._wire = _Wire(queue, send)
        self._queue = queue
        self._transport = RTCDtlsTransport(self._wire, [certificate.native])
        self._on_keys = on_keys
        self._on_end = on_end
        self._connected = False
        self._ended = False
        self._task: Cancellable | None = None
        self._transport.on("statechange", self._state_changed)

    @property
    def dropped(self) -> int:
        """Records that found the ring full."""
        return self._wire.dropped

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

    def push(self, record: bytes) -> None:
        """Take one datagram of DTLS records; more than the ring holds is dropped and counted."""
        self._wire.push(record)

    async def stop(self) -> None:
        """Say close_notify and end."""
        self._ended = True
        self._wire.close()
        self._queue.done(self._wire)
        await self._transport.stop()
        if self._task is not None:
            self._task.cancel()

    async def _run(self, parameters: object) -> None:
        try:
            await self._transport.start(parameters)
        finally:
            self._queue.done(self._wire)

    def _state_changed(self) -> None:
        state = self._transport.state
        if self._ended:
            return
        if state == "connected":
            self._connected = True
            receive, send = self._transport._rx_srtp, self._transport._tx_srtp  # noqa: SLF001
            self._on_keys(SrtpContext(receive), SrtpContext(send))
        elif state in ("closed", "failed"):
            self._ended = True
            self._queue.done(self._wire)
            self._on_end(self._connected)
