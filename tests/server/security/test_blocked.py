"""Players that wait for the broadcast, and callers that only pretend to be some."""

import asyncio
import random

import pytest

from hls.types import PlaylistKind
from mixer.types import RoomId
from server.errors import TooManyBlocked
from tests.server.security.conftest import Open, Port, until

DEMO = RoomId("demo")
BLOCKED = "/hls/demo/stream.m3u8?_HLS_msn=7&_HLS_part=2"


@pytest.fixture
async def on_air(open_port: Open) -> Port:
    """A room with a playlist; callers may have as many connections as they like."""
    port = await open_port(limit_connections=0, limit_hls=0)
    await port.new_room()
    await port.node.settle()
    port.node.broadcast.playlist_text = "#EXTM3U\nseg-6.m4s\n"
    port.node.broadcast.media = {"seg-6.m4s": bytes(8_000_000), "seg-7.2.m4s": b"part"}
    port.node.broadcast.hinted = {"seg-7.2.m4s"}
    return port


@pytest.mark.parametrize("path", [BLOCKED, "/hls/demo/seg-7.2.m4s"])
async def test_a_caller_who_goes_away(on_air: Port, path: str) -> None:
    """Their place is free at once, and the server goes on."""
    broadcast = on_air.node.broadcast
    async with on_air.connect() as (_, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{on_air.number}\r\n\r\n".encode())
        await until(lambda: broadcast.blocked(DEMO) == 1)
    await until(lambda: broadcast.blocked(DEMO) == 0)
    await until(lambda: len(on_air.connections) == 0)
    assert await on_air.is_well()


async def test_who_is_answered_can_ask_again(on_air: Port) -> None:
    """Waiting leaves nothing behind on the connection: the next request is a new one."""
    broadcast = on_air.node.broadcast
    request = f"GET {BLOCKED} HTTP/1.1\r\nHost: 127.0.0.1:{on_air.number}\r\n\r\n".encode()
    async with on_air.connect() as (reader, writer):
        for _ in range(3):
            writer.write(request)
            await until(lambda: broadcast.blocked(DEMO) == 1)
            broadcast.go_on(DEMO)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert b"seg-6" in await reader.readuntil(b"seg-6.m4s\n")
        writer.write(request.replace(BLOCKED.encode(), b"/health"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert await on_air.is_well()


@pytest.mark.timeout(60)
async def test_a_crowd_that_waits(on_air: Port) -> None:
    """A thousand wait on a connection each; all are answered, all places are free again."""
    broadcast = on_air.node.broadcast
    request = f"GET {BLOCKED} HTTP/1.1\r\nHost: 127.0.0.1:{on_air.number}\r\n\r\n".encode()
    crowd = [await asyncio.open_connection("127.0.0.1", on_air.number) for _ in range(400)]
    try:
        for _, writer in crowd:
            writer.write(request)
        await until(lambda: broadcast.blocked(DEMO) == len(crowd))
        for _, writer in crowd[::2]:
            writer.transport.abort()
        await until(lambda: broadcast.blocked(DEMO) == len(crowd) // 2)
        broadcast.go_on(DEMO)
        for reader, _ in crowd[1::2]:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert broadcast.blocked(DEMO) == 0
    finally:
        for _, writer in crowd:
            writer.transport.abort()
    assert await on_air.is_well()


async def test_one_too_many(on_air: Port) -> None:
    """Who cannot be let wait is told when to come again, and can have the playlist as it is."""
    on_air.node.broadcast.refusal = TooManyBlocked()
    answer = on_air.ask(BLOCKED)
    asking = asyncio.ensure_future(answer)
    await until(lambda: on_air.node.broadcast.blocked(DEMO) == 1)
    on_air.node.broadcast.go_on(DEMO)
    refused = await asking
    assert (refused.status, refused.json["code"], refused.headers["Retry-After"]) == (
        503,
        "no_capacity",
        "5",
    )
    on_air.node.broadcast.refusal = None
    assert (await on_air.ask("/hls/demo/stream.m3u8")).status == 200


@pytest.mark.parametrize("seed", range(3))
async def test_directives_made_up(on_air: Port, seed: int) -> None:
    """Whatever stands in the query: a playlist or a refusal, and nothing of ours is to blame."""
    draw = random.Random(seed)
    names = ["_HLS_msn", "_HLS_part", "_HLS_skip", "_HLS_msn[]", "token%00", "_HLS_push", ""]
    values = ["", "0", "-1", "1e9", "9" * 400, "%00", "%ff", "YES", "v2", "7&_HLS_msn=7", "NaN"]
    for _ in range(60):
        query = "&".join(f"{draw.choice(names)}={draw.choice(values)}" for _ in range(3))
        asking = asyncio.ensure_future(on_air.ask(f"/hls/demo/stream.m3u8?{query}"))
        while not asking.done():
            on_air.node.broadcast.go_on(DEMO)
            await asyncio.sleep(0)
        assert (await asking).status in {200, 400, 403}, query
    asked = on_air.node.broadcast.asked
    assert all(one.msn is None or 0 <= one.msn < 10**15 for one in asked)
    assert {one.kind for one in asked} <= {PlaylistKind.LOW_LATENCY}


@pytest.mark.parametrize(
    "path",
    [
        "/hls/demo/../demo/stream.m3u8",
        "/hls/demo/64k/..%2f..%2fstate.db",
        "/hls/demo/64k/../../../state.db",
        "/hls/demo//stream.m3u8",
        "/hls/demo/64k//seg-6.m4s",
        "/hls/demo/64k/64k/seg-6.m4s",
        "/hls/demo/seg-6.m4s/",
        f"/hls/demo/{'a' * 129}",
        "/hls/demo/seg-6.m4s%20",
        "/hls/demo/seg%2d\u0667.m4s",
    ],
)
async def test_no_such_names(on_air: Port, path: str) -> None:
    """Names are matched whole, so no path leads anywhere else."""
    answer = await on_air.ask(path.encode().decode("latin-1"))
    assert answer.status in {400, 404, 405}
    assert on_air.node.broadcast.asked == []


async def test_a_segment_for_who_reads_nothing(on_air: Port) -> None:
    """Who takes nothing of a large answer holds up nobody else who wants the same."""
    async with on_air.connect() as (_, writer):
        writer.write(
            f"GET /hls/demo/seg-6.m4s HTTP/1.1\r\nHost: 127.0.0.1:{on_air.number}\r\n\r\n".encode()
        )
        await until(lambda: any(one.waiting for one in on_air.connections))
        answer = await on_air.ask("/hls/demo/seg-6.m4s")
        assert (answer.status, len(answer.body)) == (200, 8_000_000)
