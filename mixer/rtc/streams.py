"""TCP connections that carry datagrams: ICE-TCP, passive (RFC 6544), for who has no UDP.

To the rest of the port a connection is an address: a row of 28 bytes with a family of its own, the
client's host and port, and the connection's number, so that it is told from every other.
"""

import selectors
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mixer.core.framing import FrameReader, write_frame
from mixer.errors import SetupError
from mixer.rtc.block import ADDRESS_BYTES, DatagramBlock
from mixer.rtc.sockets import BlockSocket, pack_address

STREAM_FAMILY = 0xF1CE  # no address family of any system
MAX_UNPROVEN = 64  # connections from which no check has passed; one more ends the oldest
PROVE_WITHIN_S = 5.0
ACCEPTS_PER_POLL = 16
READ_BYTES = 4096
FRAMES_PER_POLL = 16  # of one connection; what is more waits, and then the client waits
SEND_FRAMES = 32  # 640 ms of audio; above it the oldest is of no use any more
# What the kernel holds beside that: it is audio that plays late.
_KERNEL_SEND_BYTES = 16 * 1024
_KERNEL_RECEIVE_BYTES = 64 * 1024


def bind_tcp(host: str, port: int) -> socket.socket:
    """Listen on a non-blocking TCP socket; `host` "" is every address, both families if there are.

    Raises:
        SetupError: the port is taken or the address is not this machine's.
    """
    six = ":" in host or (host == "" and socket.has_dualstack_ipv6())
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host not in ("", "::"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_SEND_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_RECEIVE_BYTES)
        sock.setblocking(False)
        sock.bind((host, port))
        sock.listen(MAX_UNPROVEN)
    except OSError as error:
        sock.close()
        raise SetupError(
            f"TCP port {port} on {host or 'all addresses'} cannot be bound: {error.strerror}. "
            "Choose another with --tcp-port, or 0 to do without."
        ) from error
    return sock


@dataclass(eq=False, slots=True)
class _Connection:
    sock: socket.socket
    path: bytes
    accepted: float
    reader: FrameReader = field(default_factory=FrameReader)
    arrived: deque[bytes] = field(default_factory=deque)
    to_send: deque[bytes] = field(default_factory=deque)
    head_sent: int = 0  # bytes of the first frame that have left


class Streams:
    """The TCP connections of a port, polled. Nothing here blocks or raises."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.counters: Counter[str] = Counter(tcp_send_dropped=0, tcp_malformed=0, tcp_unproven=0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._by_path: dict[bytes, _Connection] = {}
        self._unproven: dict[_Connection, None] = {}  # oldest first
        self._arrived: dict[_Connection, None] = {}  # with frames to hand on, in turn
        self._serial = 0
        self._is_known: Callable[[bytes], bool] = lambda _path: False

    def attach(self, is_known: Callable[[bytes], bool]) -> None:
        """Learn how to tell whether a check has passed from a path."""
        self._is_known = is_known

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._by_path)

    @property
    def was_used(self) -> bool:
        """Whether there ever was a connection: else no address can be one's."""
        return self._serial > 0

    # In

    def receive(self, block: DatagramBlock, *, now: float) -> int:
        """Accept, read, write what was held back; fill `block` and return the number of rows."""
        for key, _ in self._selector.select(0):
            if key.data is None:
                self._accept(now)
            elif not key.data.arrived:  # else it waits, and its client with it
                self._read(key.data)
        rows = 0
        for connection in list(self._arrived):
            if rows + FRAMES_PER_POLL > block.capacity:
                break
            del self._arrived[connection]
            for _ in range(min(FRAMES_PER_POLL, len(connection.arrived))):
                self._fill(block, rows, connection, now)
                rows += 1
            if connection.arrived:
                self._arrived[connection] = None
        return rows

    def _fill(self, block: DatagramBlock, row: int, connection: _Connection, now: float) -> None:
        datagram = connection.arrived.popleft()
        block.data[row, : len(datagram)] = np.frombuffer(datagram, np.uint8)
        block.lengths[row] = len(datagram)
        block.addresses[row] = np.frombuffer(connection.path, np.uint8)
        block.address_lengths[row] = ADDRESS_BYTES
        block.arrivals[row] = now

    def _accept(self, now: float) -> None:
        for _ in range(ACCEPTS_PER_POLL):
            try:
                sock, address = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:  # nobody there, gone again, or no descriptor left
                return
            self._serial += 1
            packed = pack_address(address[0].partition("%")[0], address[1], six=True)
            family, serial = struct.pack("=H", STREAM_FAMILY), struct.pack("=I", self._serial)
            path = family + packed[2:24] + serial
            connection = self._by_path[path] = _Connection(sock, path, now)
            self._unproven[connection] = None
            self._selector.register(sock, selectors.EVENT_READ, connection)
            self._bound()

    def _bound(self) -> None:
        """End the oldest connection that has proven nothing, if there are too many of them."""
        if len(self._unproven) > MAX_UNPROVEN:
            self._note_proven()
        if len(self._unproven) > MAX_UNPROVEN:
            self.counters["tcp_unproven"] += 1
            self._close(next(iter(self._unproven)))

    def _note_proven(self) -> None:
        for connection in [c for c in self._unproven if self._is_known(c.path)]:
            del self._unproven[connection]

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.arrived.extend(connection.reader.push(data))
        if connection.arrived:
            self._arrived[connection] = None
        if connection.reader.is_broken:
            self.counters["tcp_malformed"] += 1
        if not data or connection.reader.is_broken:
            self._close(connection)

    # Out

    def send(self, path: bytes, datagram: bytes) -> bool:
        """Queue a datagram for a connection; False if it is gone. The oldest is lost to a bound."""
        connection = self._by_path.get(path)
        if connection is None:
            self.counters["tcp_send_dropped"] += 1
            return False
        queue = connection.to_send
        if len(queue) >= SEND_FRAMES:
            del queue[1 if connection.head_sent else 0]  # half a frame would break the stream
            self.counters["tcp_send_dropped"] += 1
        queue.append(write_frame(datagram))
        self._write(connection)
        return True

    def flush(self) -> None:
        """Write what the kernel would not take before."""
        for connection in [c for c in self._by_path.values() if c.to_send]:
            self._write(connection)

    def _write(self, connection: _Connection) -> None:
        queue = connection.to_send
        while queue:
            try:
                connection.head_sent += connection.sock.send(queue[0][connection.head_sent :])
            except BlockingIOError:
                return
            except OSError:
                self._close(connection)
                return
            if connection.head_sent < len(queue[0]):
                return
            queue.popleft()
            connection.head_sent = 0

    # Time

    def sweep(self, now: float) -> None:
        """End what has proven nothing in time, and what no peer uses any more."""
        self._note_proven()
        for connection in list(self._by_path.values()):
            if connection not in self._unproven:
                if not self._is_known(connection.path):
                    self._close(connection)
            elif now - connection.accepted >= PROVE_WITHIN_S:
                self.counters["tcp_unproven"] += 1
                self._close(connection)

    def _close(self, connection: _Connection) -> None:
        del self._by_path[connection.path]
        self._unproven.pop(connection, None)
        connection.to_send.clear()
        self._selector.unregister(connection.sock)
        connection.sock.close()

    def close(self) -> None:
        """End every connection and the listener."""
        for connection in list(self._by_path.values()):
            self._close(connection)
        self._selector.close()
        self._listener.close()


class SplitSender:
    """Sends blocks whose rows go to UDP addresses and TCP connections alike."""

    def __init__(self, datagrams: BlockSocket, streams: Streams | None) -> None:
        self._datagrams = datagrams
        self._streams = streams

    def send(self, block: DatagramBlock, rows: int) -> int:
        """Send the first `rows` rows; return how many were taken. Never raises."""
        streams = self._streams
        if streams is None or not streams.was_used:
            return self._datagrams.send(block, rows)
        is_stream = block.addresses[:rows, :2].view(np.uint16)[:, 0] == STREAM_FAMILY
        if not is_stream.any():
            return self._datagrams.send(block, rows)
        sent = 0
        for row in np.flatnonzero(is_stream).tolist():
            datagram = block.data[row, : block.lengths[row]].tobytes()
            sent += streams.send(block.addresses[row].tobytes(), datagram)
        return sent + self._datagrams.send(block, block.keep(~is_stream))
