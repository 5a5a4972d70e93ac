"""Real sockets for callers by hand: datagrams over UDP, or framed over TCP."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Protocol

from mixer.core.framing import FrameReader, write_frame
from tests.support.callers import Address, Caller


class Wire(Protocol):
    """What a caller writes to, and what came back."""

    def append(self, sent: tuple[bytes, Address]) -> None:
        """Send a datagram; the source cannot be chosen here."""

    def receive(self) -> list[bytes]:
        """Return the datagrams that have arrived."""

    def close(self) -> None:
        """Close the socket."""


class DatagramWire:
    """A connected UDP socket."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open()

    def _open(self) -> None:
        family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.connect(self._target)

    def move(self) -> None:
        """Go on from another port, as behind a NAT that has forgotten us."""
        before = self._sock
        self._open()
        before.close()

    def append(self, sent: tuple[bytes, Address]) -> None:
        self._sock.send(sent[0])

    def receive(self) -> list[bytes]:
        came: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                came.append(self._sock.recv(2000))
        return came

    def close(self) -> None:
        self._sock.close()


class StreamWire:
    """A connected TCP socket with RFC 4571 framing."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._sock.connect((host, port))
        self._reader = FrameReader()

    async def connected(self) -> None:
        """Wait until the connection stands."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._sock, ready.set)
        await ready.wait()
        loop.remove_writer(self._sock)

    def append(self, sent: tuple[bytes, Address]) -> None:
        frame = write_frame(sent[0])
        with contextlib.suppress(ConnectionError):  # the last goodbye may come too late
            assert self._sock.send(frame) == len(frame), "a test's packets fit the kernel's buffer"

    def receive(self) -> list[bytes]:
        came: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while data := self._sock.recv(4096):
                came += self._reader.push(data)
        return came

    def close(self) -> None:
        self._sock.close()


class WireOwner:
    """A caller's network: everything it sends goes to the wire."""

    def __init__(self, wire: Wire) -> None:
        self.inbox = wire


@contextlib.asynccontextmanager
async def wired(wire: Wire) -> AsyncIterator[Caller]:
    """A caller on a wire, whose datagrams are delivered to it while the context lasts."""
    caller = Caller(WireOwner(wire), ("unused", 0))

    async def carry() -> None:
        while True:
            for datagram in wire.receive():
                caller.deliver(datagram)
            await asyncio.sleep(0.001)

    carrier = asyncio.create_task(carry(), name="wire")
    try:
        yield caller
    finally:
        await caller.dtls.stop()
        carrier.cancel()
        await asyncio.gather(carrier, return_exceptions=True)
        wire.close()
