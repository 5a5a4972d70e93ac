"""The UDP socket in blocks, batched and one by one, over IPv4 and IPv6, under one contract."""

import errno
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from mixer.errors import SetupError
from mixer.rtc.block import ROW_BYTES, SUPPORTED, DatagramBlock
from mixer.rtc.sockets import (
    BlockSocket,
    MmsgSocket,
    PlainSocket,
    bind_udp,
    open_socket,
    pack_address,
    unpack_address,
)


@dataclass
class Link:
    """A block socket on loopback and an ordinary one beside it."""

    ours: BlockSocket
    theirs: socket.socket
    to: tuple[str, int]
    is_six: bool

    def receive(self, count: int, *, capacity: int = 32) -> DatagramBlock:
        """Return a block with `count` datagrams; loopback has delivered at once."""
        block = DatagramBlock(capacity)
        assert self.ours.receive(block, now=time.monotonic(), unix_now=time.time()) == count
        return block

    def outgoing(self, *datagrams: bytes, ports: dict[int, int] | None = None) -> DatagramBlock:
        """Return a block addressed to `theirs`; `ports` overrides the port of a row."""
        block = DatagramBlock(max(8, len(datagrams)))
        host, port = self.theirs.getsockname()[:2]
        for row, datagram in enumerate(datagrams):
            block.data[row, : len(datagram)] = np.frombuffer(datagram, np.uint8)
            block.lengths[row] = len(datagram)
            packed = pack_address(host, (ports or {}).get(row, port), six=self.is_six)
            block.addresses[row] = np.frombuffer(packed, np.uint8)
            block.address_lengths[row] = 28 if self.is_six else 16
        return block

    def heard(self) -> list[bytes]:
        datagrams = []
        while True:
            try:
                datagrams.append(self.theirs.recv(65_536))
            except BlockingIOError:
                return datagrams


KINDS = [
    pytest.param(PlainSocket, id="plain"),
    pytest.param(
        MmsgSocket, id="batched", marks=pytest.mark.skipif(not SUPPORTED, reason="64-bit Linux")
    ),
]
PLACES = [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("", "127.0.0.1"), ("", "::1")]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> type[MmsgSocket | PlainSocket]:
    made: type[MmsgSocket | PlainSocket] = request.param
    return made


@pytest.fixture(params=PLACES, ids=["IPv4", "IPv6", "dual by IPv4", "dual by IPv6"])
def link(kind: type[MmsgSocket | PlainSocket], request: pytest.FixtureRequest) -> Iterator[Link]:
    bound, host = request.param
    if not socket.has_dualstack_ipv6() and "127" not in bound:
        pytest.skip("this machine has no IPv6")
    ours = bind_udp(bound, 0)
    theirs = bind_udp(host, 0)
    made = Link(kind(ours), theirs, (host, ours.getsockname()[1]), ours.family == socket.AF_INET6)
    yield made
    made.ours.close()
    theirs.close()


def test_datagrams_come_in_order_with_their_lengths(link: Link) -> None:
    """Bytes, lengths and the sender's address of each row."""
    sent = [bytes([number]) * (number + 1) for number in range(5)]
    for datagram in sent:
        link.theirs.sendto(datagram, link.to)
    block = link.receive(5)
    assert [block.data[row, : block.lengths[row]].tobytes() for row in range(5)] == sent
    assert unpack_address(block.addresses[0].tobytes()) == link.theirs.getsockname()[:2]


def test_an_answer_finds_its_way_back(link: Link) -> None:
    """An address row that was received is one to send to."""
    link.theirs.sendto(b"ping", link.to)
    block = link.receive(1)
    block.data[0, :4] = np.frombuffer(b"pong", np.uint8)
    assert link.ours.send(block, 1) == 1
    assert link.heard() == [b"pong"]


def test_nothing_there_is_no_row(link: Link) -> None:
    """An empty socket returns at once."""
    link.receive(0)


def test_an_empty_datagram_is_a_row_of_length_0(link: Link) -> None:
    """It ends nothing: the one behind it is read too."""
    link.theirs.sendto(b"", link.to)
    link.theirs.sendto(b"x", link.to)
    assert link.receive(2).lengths[:2].tolist() == [0, 1]


@pytest.mark.parametrize("size", [1500, ROW_BYTES, ROW_BYTES + 1, 9000])
def test_a_long_datagram_says_that_it_was_too_long(link: Link, size: int) -> None:
    """What does not fit is cut, and its length tells (on platforms that know it)."""
    link.theirs.sendto(b"y" * size, link.to)
    link.theirs.sendto(b"z", link.to)
    block = link.receive(2)
    assert block.lengths[:2].tolist() == [size, 1]
    assert block.data[1, 0] == ord("z")


def test_a_full_block_leaves_the_rest_for_the_next(link: Link) -> None:
    """At most `capacity` rows a call, nothing lost."""
    for number in range(7):
        link.theirs.sendto(bytes([number]), link.to)
    assert link.receive(4, capacity=4).data[:, 0].tolist() == [0, 1, 2, 3]
    assert link.receive(3, capacity=4).data[:3, 0].tolist() == [4, 5, 6]


def test_a_row_used_again_keeps_nothing_of_its_address(link: Link) -> None:
    """Address rows compare byte for byte, so their tails are zero."""
    block = DatagramBlock(4)
    block.addresses[:] = 0xFF
    link.theirs.sendto(b"x", link.to)
    link.ours.receive(block, now=0.0, unix_now=time.time())
    host, port = link.theirs.getsockname()[:2]
    assert block.addresses[0].tobytes() == pack_address(host, port, six=link.is_six)


def test_arrival_times_are_plausible(link: Link) -> None:
    """Not after the reading, and not more than a moment before it."""
    before = time.monotonic()
    link.theirs.sendto(b"x", link.to)
    block = link.receive(1)
    assert before - 0.5 <= block.arrivals[0] <= time.monotonic()


def test_one_bad_row_does_not_stop_those_behind(link: Link) -> None:
    """Port 0 is refused by the kernel: counted, and stepped over."""
    block = link.outgoing(b"a", b"b", b"c", b"d", ports={0: 0, 2: 0})
    assert link.ours.send(block, 4) == 2
    assert link.heard() == [b"b", b"d"]
    assert link.ours.counters["udp_send_failures"] == 2


def test_only_the_rows_asked_for_are_sent(link: Link) -> None:
    """The rest of a block is left-overs."""
    assert link.ours.send(link.outgoing(b"a", b"b", b"c"), 2) == 2
    assert link.heard() == [b"a", b"b"]


def test_long_and_empty_rows_are_sent_as_they_are(link: Link) -> None:
    """Lengths 0 to the row's width."""
    assert link.ours.send(link.outgoing(b"", b"w" * ROW_BYTES), 2) == 2
    assert [len(datagram) for datagram in link.heard()] == [0, ROW_BYTES]


class Full:
    """A send that finds no room after `taken` datagrams."""

    def __init__(self, taken: int) -> None:
        self.left = taken

    def sendto(self, data: memoryview, _address: object) -> int:
        if not self.left:
            raise BlockingIOError(errno.EAGAIN, "full")
        self.left -= 1
        return len(data)


def test_a_full_send_buffer_drops_and_counts() -> None:
    """Audio does not wait: the rest of the block is dropped, one by one."""
    real = bind_udp("127.0.0.1", 0)
    plain = PlainSocket(real)
    plain._sock = Full(2)  # type: ignore[assignment]
    block = DatagramBlock(5)
    block.addresses[:] = np.frombuffer(pack_address("127.0.0.1", 9, six=False), np.uint8)
    assert plain.send(block, 5) == 2
    assert plain.counters["udp_send_dropped"] == 3
    real.close()


@pytest.mark.skipif(not SUPPORTED, reason="64-bit Linux")
def test_a_full_send_buffer_drops_and_counts_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in a batch, where the kernel says how many it took."""
    real = bind_udp("127.0.0.1", 0)
    batched = MmsgSocket(real)
    replies = [2, -1]

    def sendmmsg(*_arguments: object) -> int:
        return replies.pop(0)

    monkeypatch.setattr(batched, "_sendmmsg", sendmmsg)
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EAGAIN)
    assert batched.send(DatagramBlock(5), 5) == 2
    assert batched.counters["udp_send_dropped"] == 3
    real.close()


@pytest.mark.skipif(not SUPPORTED, reason="64-bit Linux")
def test_what_the_kernel_drops_is_counted() -> None:
    """A receive buffer that overflowed is told with the next datagram that fits."""
    ours, theirs = bind_udp("127.0.0.1", 0), bind_udp("127.0.0.1", 0)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    batched, block = MmsgSocket(ours), DatagramBlock(256)
    for _ in range(100):
        theirs.sendto(b"x" * 1000, ours.getsockname())
    read = batched.receive(block, now=0.0, unix_now=time.time())
    theirs.sendto(b"y", ours.getsockname())
    batched.receive(block, now=0.0, unix_now=time.time())
    assert batched.counters["udp_receive_overflows"] == 100 - read > 0
    ours.close()
    theirs.close()


def test_the_family_follows_the_address() -> None:
    """An IPv4 address takes IPv4 only, one of IPv6 takes IPv6."""
    with bind_udp("127.0.0.1", 0) as four, bind_udp("::1", 0) as six:
        assert (four.family, six.family) == (socket.AF_INET, socket.AF_INET6)


def test_a_taken_port_is_a_setup_error() -> None:
    """With a sentence that says what to do."""
    with bind_udp("127.0.0.1", 0) as taken, pytest.raises(SetupError, match="--udp-port"):
        bind_udp("127.0.0.1", taken.getsockname()[1])


def test_a_foreign_address_is_a_setup_error() -> None:
    """One that is not this machine's."""
    with pytest.raises(SetupError, match=r"192\.0\.2\.250"):
        bind_udp("192.0.2.250", 0)


@pytest.mark.parametrize("is_batched", [True, False])
def test_a_socket_is_opened_as_asked(*, is_batched: bool) -> None:
    """Batched where the platform has it, else one by one."""
    opened = open_socket("127.0.0.1", 0, batched=is_batched)
    assert isinstance(opened, MmsgSocket if is_batched and SUPPORTED else PlainSocket)
    assert opened.port > 0
    opened.close()


@pytest.mark.parametrize(
    ("host", "six"), [("192.0.2.1", False), ("192.0.2.1", True), ("2001:db8::9", True)]
)
def test_an_address_row_is_read_as_it_was_written(host: str, *, six: bool) -> None:
    """IPv4-mapped addresses come out as IPv4."""
    packed = pack_address(host, 54_321, six=six)
    assert len(packed) == 28
    assert unpack_address(packed) == (host, 54_321)
