"""TCP connections that carry datagrams, over loopback."""

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from mixer.core.framing import FrameReader, write_frame
from mixer.errors import SetupError
from mixer.rtc.block import DatagramBlock
from mixer.rtc.sockets import PlainSocket, bind_udp, unpack_address
from mixer.rtc.streams import (
    FRAMES_PER_POLL,
    MAX_UNPROVEN,
    PROVE_WITHIN_S,
    SEND_FRAMES,
    STREAM_FAMILY,
    SplitSender,
    Streams,
    bind_tcp,
)


class Stage:
    """Streams on a port of its own, with clients that come and go."""

    def __init__(self, stack: ExitStack, host: str = "127.0.0.1") -> None:
        self.streams = Streams(bind_tcp(host, 0))
        self.known: set[bytes] = set()
        self.streams.attach(self.known.__contains__)
        self.block = DatagramBlock(64)
        self.now = 100.0
        self._stack = stack
        self._host = host
        stack.callback(self.streams.close)

    def connect(self) -> socket.socket:
        """Return a client that has been accepted."""
        client = self._stack.enter_context(
            socket.create_connection((self._host, self.streams.port), timeout=5)
        )
        self.wait()
        self.poll()
        return client

    def wait(self) -> None:
        """Wait until something has arrived."""
        selector = self.streams._selector
        assert selector.select(5), "nothing came"

    def poll(self) -> list[bytes]:
        """Return the datagrams of one poll."""
        rows = self.streams.receive(self.block, now=self.now)
        return [self.block.data[row, : self.block.lengths[row]].tobytes() for row in range(rows)]

    def path(self, row: int = 0) -> bytes:
        return bytes(self.block.addresses[row])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def stage(stack: ExitStack) -> Stage:
    return Stage(stack)


def is_ended(client: socket.socket) -> bool:
    """Whether the other side has closed."""
    client.settimeout(5)
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_is_an_address(stack: ExitStack, host: str) -> None:
    """Its datagrams come as rows from the client's host and port, and answers go back to it."""
    stage = Stage(stack, host)
    client = stage.connect()
    client.sendall(write_frame(b"hello") + write_frame(b"again"))
    stage.wait()
    assert stage.poll() == [b"hello", b"again"]
    assert unpack_address(stage.path()) == client.getsockname()[:2]
    assert struct.unpack_from("=H", stage.path())[0] == STREAM_FAMILY
    assert stage.block.arrivals[0] == stage.now
    assert stage.streams.send(stage.path(), b"back")
    assert client.recv(100) == write_frame(b"back")


def test_two_connections_of_one_host_are_two_addresses(stage: Stage) -> None:
    """Also when the second has the port of the first."""
    for client in (stage.connect(), stage.connect()):
        client.sendall(write_frame(b"x"))
    seen: list[bytes] = []
    while len(seen) < 2:
        stage.wait()
        seen += [stage.path(row) for row in range(len(stage.poll()))]
    assert len(set(seen)) == 2


def test_blocks_go_both_ways_at_once(stage: Stage, stack: ExitStack) -> None:
    """Of one block, TCP rows go to their streams and the others by UDP, each as it was."""
    client = stage.connect()
    client.sendall(write_frame(b"x"))
    stage.wait()
    stage.poll()
    tcp = stage.path()
    receiver = stack.enter_context(bind_udp("127.0.0.1", 0))
    sender = PlainSocket(bind_udp("127.0.0.1", 0))
    stack.callback(sender.close)
    block = DatagramBlock(4)
    udp = struct.pack("=H", socket.AF_INET) + struct.pack("!H", receiver.getsockname()[1])
    udp = (udp + socket.inet_aton("127.0.0.1")).ljust(28, b"\0")
    for row, (text, path) in enumerate([(b"a", tcp), (b"bb", udp), (b"ccc", tcp), (b"dddd", udp)]):
        block.data[row, : len(text)] = np.frombuffer(text, np.uint8)
        block.lengths[row] = len(text)
        block.addresses[row] = np.frombuffer(path, np.uint8)
        block.address_lengths[row] = 28 if path is tcp else 16
    split = SplitSender(sender, stage.streams)
    assert split.send(block, 4) == 4
    assert FrameReader().push(client.recv(100)) == [b"a", b"ccc"]
    assert [receiver.recv(100) for _ in range(2)] == [b"bb", b"dddd"]
    block.addresses[0] = block.addresses[1]
    block.address_lengths[0] = 16
    assert split.send(block, 1) == 1
    assert receiver.recv(100) == b"bb"


def test_a_client_that_reads_nothing_loses_the_oldest(stage: Stage) -> None:
    """The queue is bounded, no frame is cut, and nobody waits."""
    client = stage.connect()
    client.sendall(write_frame(b"x"))
    stage.wait()
    stage.poll()
    path = stage.path()
    for number in range(4000):
        stage.streams.send(path, number.to_bytes(2, "big") + b"\0" * 998)
    (connection,) = stage.streams._by_path.values()
    assert len(connection.to_send) == SEND_FRAMES
    reader, got = FrameReader(), list[int]()
    while not got or got[-1] != 3999:
        stage.streams.flush()
        client.settimeout(5)
        got += [int.from_bytes(f[:2], "big") for f in reader.push(client.recv(65_536))]
    assert got == sorted(got)
    assert got[-SEND_FRAMES + 1 :] == list(range(4000 - SEND_FRAMES + 1, 4000))
    assert stage.streams.counters["tcp_send_dropped"] == 4000 - len(got)


def test_a_client_that_sends_much_waits(stage: Stage) -> None:
    """Some frames a poll, the others next; what is not read yet stays with the client."""
    client = stage.connect()
    client.sendall(b"".join(write_frame(bytes([n])) for n in range(3 * FRAMES_PER_POLL)))
    stage.wait()
    polls = [stage.poll() for _ in range(4)]
    assert [len(poll) for poll in polls] == [FRAMES_PER_POLL] * 3 + [0]
    assert b"".join(b"".join(poll) for poll in polls) == bytes(range(3 * FRAMES_PER_POLL))


def test_a_full_block_serves_the_others_next(stage: Stage) -> None:
    """Of more connections than a block has room for, each has its turn."""
    stage.block = DatagramBlock(FRAMES_PER_POLL)
    clients = [stage.connect() for _ in range(3)]
    for client in clients:
        client.sendall(write_frame(b"x") * 2 * FRAMES_PER_POLL)
    served: list[int] = []
    while len(served) < 6:
        stage.streams._selector.select(0.1)
        if stage.poll():
            served.append(unpack_address(stage.path())[1])
    assert sorted(served) == sorted([c.getsockname()[1] for c in clients] * 2)
    assert len(set(served[:3])) == 3


def test_a_broken_stream_is_ended(stage: Stage) -> None:
    """A frame no datagram can have: counted and closed."""
    client = stage.connect()
    client.sendall(b"\xff\xff\0\0")
    stage.wait()
    assert stage.poll() == []
    assert stage.streams.counters["tcp_malformed"] == 1
    assert stage.streams.count == 0
    assert is_ended(client)


def test_a_client_that_leaves_is_forgotten(stage: Stage) -> None:
    """Its last datagrams are read; what is sent to it afterwards is counted."""
    client = stage.connect()
    client.sendall(write_frame(b"bye"))
    client.close()
    stage.wait()
    assert stage.poll() == [b"bye"]
    stage.poll()
    assert stage.streams.count == 0
    assert not stage.streams.send(stage.path(), b"late")
    assert stage.streams.counters["tcp_send_dropped"] == 1


def test_a_client_that_resets_is_forgotten(stage: Stage) -> None:
    """An error of the socket ends that connection and no other."""
    client, other = stage.connect(), stage.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    stage.wait()
    stage.poll()
    assert stage.streams.count == 1
    assert not is_closed(other)


def test_writing_to_a_reset_connection_ends_it(stage: Stage) -> None:
    """The error of a write is the connection's end, not the sender's."""
    client = stage.connect()
    client.sendall(write_frame(b"x"))
    stage.wait()
    stage.poll()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    stage.wait()
    stage.streams.send(stage.path(), b"late")
    assert stage.streams.count == 0


def is_closed(client: socket.socket) -> bool:
    readable, _, _ = select.select([client], [], [], 0)
    return bool(readable)


def test_who_proves_nothing_is_ended(stage: Stage) -> None:
    """A connection from which no check passed in time, however busy; a proven one stays."""
    idle, known = stage.connect(), stage.connect()
    known.sendall(write_frame(b"x"))
    stage.wait()
    stage.poll()
    stage.known.add(stage.path())
    stage.streams.sweep(stage.now + PROVE_WITHIN_S - 0.1)
    assert stage.streams.count == 2
    stage.streams.sweep(stage.now + PROVE_WITHIN_S)
    assert stage.streams.count == 1
    assert stage.streams.counters["tcp_unproven"] == 1
    assert is_ended(idle)
    stage.streams.sweep(stage.now + 1000)
    assert stage.streams.count == 1


def test_a_connection_ends_with_its_peer(stage: Stage) -> None:
    """When no peer has it as a path any more it is closed."""
    client = stage.connect()
    client.sendall(write_frame(b"x"))
    stage.wait()
    stage.poll()
    stage.known.add(stage.path())
    stage.streams.sweep(stage.now)
    stage.known.clear()
    stage.streams.sweep(stage.now)
    assert is_ended(client)


def test_connections_that_prove_nothing_are_bounded(stage: Stage) -> None:
    """One more ends the oldest of them; proven ones do not count."""
    first = stage.connect()
    first.sendall(write_frame(b"x"))
    stage.wait()
    stage.poll()
    stage.known.add(stage.path())
    second = stage.connect()
    rest = [stage.connect() for _ in range(MAX_UNPROVEN)]
    assert stage.streams.count == 1 + MAX_UNPROVEN
    assert stage.streams.counters["tcp_unproven"] == 1
    assert is_ended(second)
    assert not is_closed(first)
    assert not any(map(is_closed, rest))


def test_a_taken_port_is_told() -> None:
    """The sentence names the option."""
    with bind_tcp("127.0.0.1", 0) as taken, pytest.raises(SetupError, match="--tcp-port"):
        bind_tcp("127.0.0.1", taken.getsockname()[1])


def test_every_address_is_both_families(stack: ExitStack) -> None:
    """An empty host hears IPv4 and IPv6 on one socket."""
    stage = Stage(stack, "")
    stage._host = "127.0.0.1"
    client = stage.connect()
    client.sendall(write_frame(b"x"))
    stage.wait()
    assert stage.poll() == [b"x"]
    assert unpack_address(stage.path())[0] == "127.0.0.1"
