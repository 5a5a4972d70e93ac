import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from server.rpc.errors import TransportClosed
from server.rpc.framing import FrameKind, frame_head
from server.rpc.unix import (
    MAX_OUTGOING_BYTES,
    MAX_UNREAD_TEXTS,
    SLOW_READER_BYTES,
    UnixTransport,
    adopt,
    connect,
    listen,
)


@pytest.fixture
async def raw() -> AsyncIterator[tuple[UnixTransport, socket.socket]]:
    """A transport and the bare socket it talks to."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport = await adopt(ours)
    with theirs:
        yield transport, theirs
        transport.abort()
        await transport.wait_closed()


async def test_binary_frames_reach_the_callback(tmp_path: Path) -> None:
    """Texts and frames of one connection keep to their own paths, over a listening socket."""
    came: list[tuple[FrameKind, bytes]] = []
    accepted = asyncio.Queue[UnixTransport]()
    path = tmp_path / "socket"

    def accept() -> UnixTransport:
        return UnixTransport(lambda *frame: came.append(frame), on_open=accepted.put_nowait)

    async with await listen(path, accept):
        client = await connect(path)
        await client.send_frame(FrameKind.AUDIO, b"sound")
        await client.send("text")
        served = await accepted.get()
        assert await served.receive() == "text"
        client.close()
        await served.wait_closed()
    assert came == [(FrameKind.AUDIO, b"sound")]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_who_speaks_is_heard(raw: tuple[UnixTransport, socket.socket]) -> None:
    """Whatever comes counts once, so that the silent can be asked whether they live."""
    transport, theirs = raw
    assert not transport.has_come()
    theirs.sendall(frame_head(FrameKind.JSON, 2) + b"{}")
    assert await transport.receive() == "{}"
    assert transport.has_come()
    assert not transport.has_come()


async def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    """What a killed process left behind does not keep the next from listening."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with await listen(path, UnixTransport):
        client = await connect(path)
        client.abort()
        await client.wait_closed()


async def test_broken_framing_ends_the_connection(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """A stream out of step is closed, and said so once."""
    transport, theirs = raw
    with capture_logs() as logs:
        theirs.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(TransportClosed):
            await transport.receive()
    assert [line["event"] for line in logs] == ["frame_refused"]


async def test_a_burst_is_handed_out_one_a_turn(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """Whoever else is due has a turn between any two texts that came at once."""
    transport, theirs = raw
    theirs.send(8 * (frame_head(FrameKind.JSON, 2) + b"{}"))
    await transport.receive()
    for _ in range(7):
        others: list[None] = []
        asyncio.get_running_loop().call_soon(others.append, None)
        await transport.receive()
        assert others


async def test_a_failing_callback_is_logged_and_no_more() -> None:
    """The frame after the one that could not be taken is taken."""
    came: list[bytes] = []

    def pick(_kind: FrameKind, body: bytes) -> None:
        if body == b"bad":
            raise ValueError(body)
        came.append(body)

    left, right = socket.socketpair()
    sender, reader = await adopt(left), await adopt(right, pick)
    with capture_logs() as logs:
        await sender.send_frame(FrameKind.BLOB, b"bad")
        await sender.send_frame(FrameKind.BLOB, b"good")
        sender.close()
        await reader.wait_closed()
    assert came == [b"good"]
    assert [line["event"] for line in logs] == ["frame_failed"]


async def test_offers_are_refused_while_nobody_reads(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """What may be lost never piles up: it is refused beyond the high-water mark."""
    transport, _ = raw
    body = bytes(SLOW_READER_BYTES)
    assert transport.offer_frame(FrameKind.AUDIO, body)
    assert transport.offer_frame(FrameKind.AUDIO, body)
    assert not transport.offer_frame(FrameKind.AUDIO, body)


async def test_a_side_that_stops_reading_loses_the_connection(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """Memory is bounded: beyond the limit the connection is cut, not the buffer grown."""
    transport, _ = raw
    body = bytes(MAX_OUTGOING_BYTES // 2 - 100)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(transport.send_frame(FrameKind.BLOB, body)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        with capture_logs(), pytest.raises(TransportClosed):
            await transport.send_frame(FrameKind.BLOB, body)
    assert transport.is_closed


async def test_a_flood_of_texts_is_left_in_the_kernel(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """Unread texts are bounded, and all of them come through once they are read."""
    transport, theirs = raw
    count = 3 * MAX_UNREAD_TEXTS
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        group.create_task(loop.sock_sendall(theirs, b"\x00\x00\x00\x01\x01x" * count))
        texts = [await transport.receive() for _ in range(count)]
    assert texts == ["x"] * count


async def test_text_that_is_no_utf8_is_handed_on_for_refusal(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """The codec refuses it; the connection lives."""
    transport, theirs = raw
    theirs.send(b"\x00\x00\x00\x01\x01\xff")
    assert await transport.receive() == "\udcff"


async def test_what_came_before_the_end_is_still_read(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """A text followed by the end of the stream is not lost; then TransportClosed."""
    transport, theirs = raw
    theirs.send(b"\x00\x00\x00\x01\x01x")
    theirs.close()
    await transport.wait_closed()
    assert await transport.receive() == "x"
    with pytest.raises(TransportClosed):
        await transport.receive()
    with pytest.raises(TransportClosed):
        await transport.send("late")


async def test_another_callback_takes_the_frames_from_then_on(
    raw: tuple[UnixTransport, socket.socket],
) -> None:
    """Whoever serves a connection may come after it."""
    transport, theirs = raw
    came: list[bytes] = []
    transport.take_frames(lambda _kind, body: came.append(body))
    await asyncio.get_running_loop().sock_sendall(theirs, b"\0\0\0\2\5ab")
    for _ in range(5):
        await asyncio.sleep(0)
    assert came == [b"ab"]
