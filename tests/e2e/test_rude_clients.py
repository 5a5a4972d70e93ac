"""Sockets that come and vanish by the thousand: nothing of them stays.

Some thousands by default; `ROOMTONE_RUDE=20000 make test ARGS="-k rude"` takes some minutes.
"""

import asyncio
import base64
import json
import os
import secrets
import socket
import struct
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.whole_server import no_limits
from tests.support.conversation import converse
from tests.support.program import Program, running

RUDE = int(os.environ.get("ROOMTONE_RUDE", "2400"))
TOGETHER = 60
WARM_UP = 1200  # what the allocator keeps, it has after these
MOST_GROWTH_BYTES = 3 << 20  # a leak of 1.3 kB a socket
HALF_OPEN = 20

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90 + RUDE / 20)]

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def wire(program: Program) -> Wire:
    return await asyncio.open_connection("127.0.0.1", program.port)


def upgrade(program: Program, token: str) -> bytes:
    """Return the request that opens a signalling socket (RFC 6455 §4.1)."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    return (
        f"GET /ws?token={token} HTTP/1.1\r\nHost: 127.0.0.1:{program.port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def text_frame(text: str) -> bytes:
    """Return a masked text frame (RFC 6455 §5.2) of 126 to 65,535 bytes; the mask is zero."""
    data = text.encode()
    return b"\x81" + struct.pack("!BHI", 0x80 | 126, len(data), 0) + data


def call(method: str, **params: object) -> bytes:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "pad": "." * 64}
    return text_frame(json.dumps(request))


async def join(program: Program, token: str, *, reads: bool = True) -> Wire:
    """Open a socket and join; return when the answer has begun to come."""
    reader, writer = await wire(program)
    writer.write(upgrade(program, token))
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(call("join", clientId=str(uuid.uuid4())))
    if reads:
        await reader.readexactly(2)
    return reader, writer


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST: nothing is said, nothing waits (socket(7), SO_LINGER)."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_after_joining(program: Program, token: str) -> None:
    _, writer = await join(program, token)
    reset(writer)


async def leave_before_the_answer(program: Program, token: str) -> None:
    _, writer = await join(program, token, reads=False)
    reset(writer)


async def leave_in_the_handshake(program: Program, token: str) -> None:
    _, writer = await wire(program)
    request = upgrade(program, token)
    writer.write(request[: secrets.randbelow(len(request))])
    await writer.drain()
    reset(writer)


async def break_off_in_a_frame(program: Program, token: str) -> None:
    _, writer = await join(program, token)
    writer.write(call("keepalive")[:40])
    await writer.drain()
    writer.close()


async def send_no_websocket(program: Program, token: str) -> None:
    reader, writer = await join(program, token)
    writer.write(secrets.token_bytes(200))
    while await reader.read(4096):
        pass
    writer.close()


RUDENESS = (
    reset_after_joining,
    leave_before_the_answer,
    leave_in_the_handshake,
    break_off_in_a_frame,
    send_no_websocket,
)


async def come_rudely(program: Program, tokens: list[str], count: int) -> None:
    """Let people come, sixty at a time, each in one of the ways above."""
    for first in range(0, count, TOGETHER):
        await asyncio.gather(
            *(
                RUDENESS[number % len(RUDENESS)](program, tokens[number % len(tokens)])
                for number in range(first, first + TOGETHER)
            )
        )


async def people(program: Program) -> float:
    return await program.metric("roomtone_sockets") + await program.metric("roomtone_anchors")


async def is_empty(program: Program) -> None:
    """Wait until the server holds no socket and no person."""
    async with asyncio.timeout(30):
        while await people(program):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)  # sleep: a half-said goodbye has a deadline of its own


def descriptors(program: Program) -> int:
    return len(list(Path(f"/proc/{program.pid}/fd").iterdir()))


def rss(program: Program) -> int:
    pages = int(Path(f"/proc/{program.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def visited(tmp_path: Path) -> AsyncIterator[tuple[Program, list[str]]]:
    """A server with a room, and tokens for sixty people there."""
    async with running(tmp_path / "state", *no_limits()) as program:
        room = (await program.new_room())["roomId"]
        tokens = []
        for _ in range(TOGETHER):
            _, user = await program.call("POST", f"/api/rooms/{room}/users", {"role": "anchor"})
            tokens.append(user["token"])
        yield program, tokens
        assert "Traceback" not in program.output


async def test_rude_clients_leave_nothing_behind(tmp_path: Path) -> None:
    """Memory and descriptors after many broken sockets are those after some."""
    async with visited(tmp_path) as (program, tokens):
        await come_rudely(program, tokens, WARM_UP)
        await is_empty(program)
        before = descriptors(program), rss(program)
        await come_rudely(program, tokens, RUDE)
        await is_empty(program)
        after = descriptors(program), rss(program)
    assert after[0] <= before[0]
    assert after[1] - before[1] < MOST_GROWTH_BYTES


async def test_who_neither_reads_nor_answers_is_dropped(tmp_path: Path) -> None:
    """Sockets whose other side is gone without a word, in a room with much to tell.

    They cost the server a few texts each until the next ping, and those who read lose nothing.
    """
    async with visited(tmp_path) as (program, tokens):
        room = (await program.call("GET", "/api/rooms"))[1]["rooms"][0]["roomId"]
        reader = await converse(program.http, program.url, tokens[0])
        await reader.call("join", clientId=str(uuid.uuid4()))
        before = rss(program)
        silent = [await join(program, token) for token in tokens[1 : HALF_OPEN + 1]]
        for number in range(200):
            body = {"buses": [f"{number:032}", *map(str, range(31))]}
            assert (await program.call("PATCH", f"/api/rooms/{room}", body))[0] == 200
        assert await program.metric("roomtone_sockets") == HALF_OPEN + 1
        growth = rss(program) - before
        async with asyncio.timeout(30):
            while await program.metric("roomtone_sockets") > 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.2)  # sleep: a ping every ten seconds, and five for the pong
        assert await program.metric("roomtone_anchors") == 1
        await reader.call("keepalive", status="onair")
        assert reader.told["roomChanged"] == 200
        await reader.abort()
        for _, writer in silent:
            writer.close()
    assert growth < MOST_GROWTH_BYTES
