"""The UDP socket, read and written in blocks."""

import contextlib
import ctypes
import errno
import ipaddress
import socket
import struct
import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.errors import SetupError
from mixer.rtc.block import ADDRESS_BYTES, ROW_BYTES, SUPPORTED, DatagramBlock

RECEIVE_BUFFER_BYTES = (
    4 << 20
)  # a stock 208 KiB holds 90 ms of 100 talkers; the kernel may give less
_SO_TIMESTAMPNS = 35  # linux/asm-generic/socket.h; Python does not name it
_SO_RXQ_OVFL = 40
_STAMP_BYTES = 32  # CMSG_SPACE(sizeof(struct timespec)); the kernel puts it before the drop count
MAX_AGE_S = 1.0  # of a datagram when it is read; the wall clock may jump
# Return the real length of a truncated datagram; elsewhere it is the row's, also more than any MTU.
_REAL_LENGTH = socket.MSG_TRUNC if sys.platform == "linux" else 0
_TRANSIENT = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ENOBUFS)


class BlockSocket(Protocol):
    """A bound, non-blocking UDP socket."""

    port: int
    is_six: bool  # its addresses are `sockaddr_in6`
    counters: dict[str, int]

    def receive(self, block: DatagramBlock, *, now: float, unix_now: float) -> int:
        """Fill `block` with what has arrived; return the number of rows."""

    def send(self, block: DatagramBlock, rows: int) -> int:
        """Send the first `rows` rows; return how many the kernel took. Never raises."""

    def close(self) -> None:
        """Close the socket."""


def bind_udp(host: str, port: int, option: str = "--udp-port") -> socket.socket:
    """Bind a non-blocking UDP socket; `host` "" is every address, both families if there are.

    Raises:
        SetupError: the port is taken or the address is not this machine's.
    """
    six = ":" in host or (host == "" and socket.has_dualstack_ipv6())
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host not in ("", "::"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE_BUFFER_BYTES)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SetupError(
            f"UDP port {port} on {host or 'all addresses'} cannot be bound: {error.strerror}. "
            f"Choose another with {option} or stop the program that holds it."
        ) from error
    return sock


def pack_address(host: str, port: int, *, six: bool) -> bytes:
    """Return a 28-byte row holding a `sockaddr_in` or (mapped where needed) `sockaddr_in6`."""
    address = ipaddress.ip_address(host)
    if not six:
        packed = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + address.packed
        return packed.ljust(ADDRESS_BYTES, b"\0")
    if address.version == 4:
        address = ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    return (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack("!HI", port, 0)
        + address.packed
        + b"\0" * 4
    )


def unpack_address(row: bytes) -> tuple[str, int]:
    """Return host and port of a 28-byte row; IPv4-mapped addresses come out as IPv4."""
    family = struct.unpack_from("=H", row)[0]
    port = struct.unpack_from("!H", row, 2)[0]
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(row[4:8])), port
    address = ipaddress.IPv6Address(row[8:24])
    return str(address.ipv4_mapped or address), port


def open_socket(host: str, port: int, *, batched: bool, option: str = "--udp-port") -> BlockSocket:
    """Bind and wrap a socket: batched system calls where the platform has them, else one by one.

    `option` is what to name if the port is taken. Raises SetupError.
    """
    sock = bind_udp(host, port, option)
    if batched and SUPPORTED:
        with contextlib.suppress(AttributeError, OSError):
            return MmsgSocket(sock)
    return PlainSocket(sock)


class MmsgSocket:
    """Reads and writes whole blocks by `recvmmsg` and `sendmmsg`, with kernel arrival times."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._fileno = sock.fileno()
        self.port: int = sock.getsockname()[1]
        self.is_six = sock.family == socket.AF_INET6
        self.counters = {"udp_receive_overflows": 0, "udp_send_failures": 0, "udp_send_dropped": 0}
        # PyDLL keeps the GIL: the calls never block, and a mixer has no second Python thread.
        libc: Any = ctypes.PyDLL(None, use_errno=True)
        self._recvmmsg = libc.recvmmsg
        self._recvmmsg.argtypes = (
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_void_p,
        )
        self._sendmmsg = libc.sendmmsg
        self._sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        self._overflows_seen = 0

    def receive(self, block: DatagramBlock, *, now: float, unix_now: float) -> int:
        """See BlockSocket."""
        block.prepare_receive()
        count = self._recvmmsg(
            self._fileno,
            block.vector_at(0),
            block.capacity,
            socket.MSG_DONTWAIT | _REAL_LENGTH,
            None,
        )
        if count <= 0:
            return 0
        controls = block.finish_receive(count)
        words = block.control[:count].view(np.int64)  # row: 8 words
        arrived = words[:, 2] + words[:, 3] * 1e-9
        age = np.minimum(np.maximum(unix_now - arrived, 0.0), MAX_AGE_S)
        if not (controls == _STAMP_BYTES).all():  # it is an arrival time and nothing else, mostly
            age[controls < _STAMP_BYTES] = 0.0
            self._read_drops(block.control[:count, _STAMP_BYTES:], controls > _STAMP_BYTES)
        block.arrivals[:count] = now - age
        return int(count)

    def _read_drops(self, second: NDArray[np.uint8], there: NDArray[np.bool_]) -> None:
        """Take the drop count from a row's second message: u64 length, i32 level and type, u32."""
        words = second[there].view(np.uint32)
        seen = words[words[:, 3] == _SO_RXQ_OVFL][:, 4]
        if len(seen):
            self.counters["udp_receive_overflows"] += max(0, int(seen.max()) - self._overflows_seen)
            self._overflows_seen = int(seen.max())

    def send(self, block: DatagramBlock, rows: int) -> int:
        """See BlockSocket. A row the kernel refuses is counted and stepped over."""
        block.prepare_send(rows)
        row = sent = 0
        while row < rows:
            count = self._sendmmsg(
                self._fileno, block.vector_at(row), rows - row, socket.MSG_DONTWAIT
            )
            if count > 0:
                row += count
                sent += count
                continue
            if ctypes.get_errno() in _TRANSIENT:  # the send buffer is full: audio does not wait
                self.counters["udp_send_dropped"] += rows - row
                break
            self.counters["udp_send_failures"] += 1
            row += 1
        return sent

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class PlainSocket:
    """The same, one datagram a call, for platforms without the batched calls."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._six = sock.family == socket.AF_INET6
        self.port: int = sock.getsockname()[1]
        self.is_six = sock.family == socket.AF_INET6
        self.counters = {"udp_receive_overflows": 0, "udp_send_failures": 0, "udp_send_dropped": 0}

    def receive(self, block: DatagramBlock, *, now: float, unix_now: float) -> int:
        """See BlockSocket. Arrival times are those of the call."""
        del unix_now
        rows = 0
        while rows < block.capacity:
            try:
                length, address = self._sock.recvfrom_into(
                    block.data[rows].data, ROW_BYTES, _REAL_LENGTH
                )
            except OSError:  # nothing left, or an ICMP error of an earlier send
                break
            block.lengths[rows] = length
            packed = pack_address(address[0].partition("%")[0], address[1], six=self._six)
            block.addresses[rows] = np.frombuffer(packed, np.uint8)
            block.address_lengths[rows] = 28 if self._six else 16
            block.arrivals[rows] = now
            rows += 1
        return rows

    def send(self, block: DatagramBlock, rows: int) -> int:
        """See BlockSocket."""
        sent = 0
        for row in range(rows):
            try:
                self._sock.sendto(
                    block.data[row, : block.lengths[row]].data,
                    unpack_address(block.addresses[row].tobytes())
                    if not self._six
                    else self._six_address(block, row),
                )
                sent += 1
            except OSError as error:
                key = "udp_send_dropped" if error.errno in _TRANSIENT else "udp_send_failures"
                self.counters[key] += 1
        return sent

    @staticmethod
    def _six_address(block: DatagramBlock, row: int) -> tuple[str, int]:
        packed = block.addresses[row].tobytes()
        return str(ipaddress.IPv6Address(packed[8:24])), struct.unpack_from("!H", packed, 2)[0]

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
