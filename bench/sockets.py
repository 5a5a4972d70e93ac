"""The sockets of a crowd: one UDP socket each, read into rows of one block.

A socket for all would be cheaper, each client on a loopback address of its own (IP_PKTINFO), but
libnice binds its sockets to an interface (IP_UNICAST_IF) and then reaches none of 127/8.
"""

import contextlib
import resource
import select
import socket
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixer.rtc.block import ROW_BYTES, DatagramBlock

_SO_TIMESTAMPNS = 35
_CONTROL_BYTES = socket.CMSG_SPACE(16)
_FILES_BESIDE = 200


def local_address() -> str:
    """Return this machine's address: that of its default route, else loopback."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with probe, contextlib.suppress(OSError):
        probe.connect(("198.51.100.1", 9))  # RFC 5737: nothing is sent by this
        return str(probe.getsockname()[0])
    return "127.0.0.1"


class Sockets:
    """`stamped` are the clients whose packets carry the kernel's arrival time, exact to µs."""

    def __init__(self, capacity: int) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = capacity + _FILES_BESIDE
        if soft < wanted:
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        self.stamped: set[int] = set()
        self.refused = 0  # datagrams the kernel did not take
        self._all: list[socket.socket] = []
        self._by_file: dict[int, tuple[int, socket.socket]] = {}
        self._epoll = select.epoll()

    def open(self) -> int:
        """Open the next client's socket; return its port."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind(("0.0.0.0", 0))  # noqa: S104 - connected before anything is read
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._by_file[made.fileno()] = (len(self._all), made)
        self._all.append(made)
        self._epoll.register(made.fileno(), select.EPOLLIN)
        return int(made.getsockname()[1])

    def connect(self, client: int, remote: tuple[str, int]) -> None:
        """Fix whom a client talks to."""
        self._all[client].connect(remote)

    def receive(
        self, block: DatagramBlock, *, now: float, unix_now: float
    ) -> tuple[int, NDArray[np.intp]]:
        """Fill the block, one datagram of each socket; return the rows and whose each is."""
        clients: list[int] = []
        rows, lengths = block.data, block.lengths
        block.arrivals[:] = now
        for file, _ in self._epoll.poll(0, block.capacity):
            client, sock = self._by_file[file]
            row = len(clients)
            try:
                if client in self.stamped:
                    lengths[row], age_s = _receive_stamped(sock, rows[row].data, unix_now)
                    block.arrivals[row] -= age_s
                else:
                    lengths[row] = sock.recv_into(rows[row].data, ROW_BYTES)
            except OSError:  # an ICMP error of an earlier send: the server is gone
                continue
            clients.append(client)
        return len(clients), np.array(clients, np.intp)

    def send(self, block: DatagramBlock, clients: Sequence[int]) -> None:
        """Send one row for each of `clients`."""
        lengths = block.lengths[: len(clients)].tolist()
        for row, (client, length) in enumerate(zip(clients, lengths, strict=True)):
            self.send_one(block.data[row, :length].data, client)

    def send_one(self, data: bytes | memoryview, client: int) -> None:
        """Send a single datagram from a client."""
        try:
            self._all[client].send(data)
        except OSError:
            self.refused += 1

    def close(self) -> None:
        """Close all of them."""
        self._epoll.close()
        for sock in self._all:
            sock.close()


def _receive_stamped(sock: socket.socket, row: memoryview, unix_now: float) -> tuple[int, float]:
    """Receive into a row; return the length and how long ago it came."""
    length, control, _, _ = sock.recvmsg_into([row], _CONTROL_BYTES)
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("=qq", data)
            return length, max(0.0, unix_now - seconds - nanoseconds * 1e-9)
    return length, 0.0
