"""A block of datagrams: numpy rows with the kernel's `mmsghdr` vectors laid over them."""

import sys

import numpy as np
from numpy.typing import NDArray

ROW_BYTES = 1600  # above any MTU we meet; what is longer is truncated and then refused as junk
ADDRESS_BYTES = 28  # sizeof(struct sockaddr_in6); an IPv4 address leaves the tail zero
CONTROL_BYTES = 64  # one SCM_TIMESTAMPNS (32) and one SO_RXQ_OVFL (24) message

_IOVEC = np.dtype([("base", "u8"), ("length", "u8")])
_MMSGHDR = np.dtype(
    [
        ("name", "u8"),
        ("name_length", "u4"),
        ("_pad0", "u4"),
        ("iov", "u8"),
        ("iov_length", "u8"),
        ("control", "u8"),
        ("control_length", "u8"),
        ("flags", "i4"),
        ("_pad1", "u4"),
        ("length", "u4"),
        ("_pad2", "u4"),
    ]
)  # struct mmsghdr of 64-bit Linux, glibc and musl

SUPPORTED = sys.platform == "linux" and sys.maxsize > 2**32 and sys.byteorder == "little"


class DatagramBlock:
    """`capacity` datagrams: bytes, lengths, addresses and arrival times, one row each.

    `data`: uint8[capacity, ROW_BYTES]; `lengths`: int32[capacity], the datagram's real length;
    `addresses`: uint8[capacity, 28], a `sockaddr` padded with zeros; `address_lengths`:
    uint32[capacity]; `arrivals`: float64[capacity], monotonic seconds.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.data: NDArray[np.uint8] = np.zeros((capacity, ROW_BYTES), np.uint8)
        self.lengths: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.addresses: NDArray[np.uint8] = np.zeros((capacity, ADDRESS_BYTES), np.uint8)
        self.address_lengths: NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        self.arrivals: NDArray[np.float64] = np.zeros(capacity)
        self.control: NDArray[np.uint8] = np.zeros((capacity, CONTROL_BYTES), np.uint8)
        self._iov = np.zeros(capacity, _IOVEC)
        self._vectors = np.zeros(capacity, _MMSGHDR)
        rows = np.arange(capacity, dtype=np.uint64)
        self._iov["base"] = self.data.ctypes.data + rows * np.uint64(ROW_BYTES)
        self._vectors["name"] = self.addresses.ctypes.data + rows * np.uint64(ADDRESS_BYTES)
        self._vectors["iov"] = self._iov.ctypes.data + rows * np.uint64(_IOVEC.itemsize)
        self._vectors["iov_length"] = 1
        self._control = self.control.ctypes.data + rows * np.uint64(CONTROL_BYTES)
        self._first_vector = int(self._vectors.ctypes.data)  # asking numpy costs more than the call
        self._filled = -1  # rows of the last `recvmmsg`; -1: they are set to send

    def vector_at(self, row: int) -> int:
        """Return the address of the row's `mmsghdr`."""
        return self._first_vector + row * _MMSGHDR.itemsize

    def prepare_receive(self) -> None:
        """Reset what the kernel wrote by the last `recvmmsg`: mostly that is few of many rows."""
        if self._filled < 0:
            self._vectors["control"] = self._control
            self._iov["length"] = ROW_BYTES
            self._filled = self.capacity
        vectors = self._vectors[: self._filled]
        vectors["name_length"] = ADDRESS_BYTES
        vectors["control_length"] = CONTROL_BYTES
        self.addresses[: self._filled] = 0  # the kernel writes 16 of 28 bytes for IPv4
        self._filled = 0

    def finish_receive(self, rows: int) -> NDArray[np.uint64]:
        """Take over lengths after a `recvmmsg` (with MSG_TRUNC: the datagram's real length).

        Returns how many bytes of each row's `control` count (uint64[rows]).
        """
        vectors = self._vectors[:rows]
        self._filled = rows
        self.lengths[:rows] = vectors["length"]
        self.address_lengths[:rows] = vectors["name_length"]
        return vectors["control_length"]

    def prepare_send(self, rows: int) -> None:
        """Give lengths and addresses of the first `rows` rows to the kernel's vectors."""
        if self._filled >= 0:
            self._vectors["control"] = self._vectors["control_length"] = 0
            self._filled = -1
        self._vectors["name_length"][:rows] = self.address_lengths[:rows]
        self._iov["length"][:rows] = self.lengths[:rows]

    def keep(self, kept: NDArray[np.bool_]) -> int:
        """Move the rows that are `kept` (bool[n], of the first n) together; return their number."""
        rows = np.flatnonzero(kept)
        for column in (self.data, self.lengths, self.addresses, self.address_lengths):
            column[: len(rows)] = column[rows]
        return len(rows)
