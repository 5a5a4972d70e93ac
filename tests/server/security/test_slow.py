"""Callers that are slow on purpose; time is a number."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from server.edge import pace
from server.edge.connections import HEAD_S, IDLE_S, STUCK_S, SWEEP_S, Connection
from server.errors import TooSlow
from tests.server.security.conftest import Open, Port, is_cut, until
from tests.support.clock import FakeClock


@pytest.fixture
def clock(port: Port) -> FakeClock:
    clock = FakeClock(port.connections.now())
    port.connections.now = clock
    return clock


async def opened(port: Port, number: int = 1) -> None:
    await until(lambda: len(port.connections) >= number)


async def pass_time(port: Port, clock: FakeClock, seconds: float) -> None:
    """Let time pass, with a sweep as often as there is one."""
    for _ in range(int(seconds / SWEEP_S) + 1):
        clock.advance(SWEEP_S)
        port.connections.sweep()
        await asyncio.sleep(0)


async def test_headers_in_drops(port: Port, clock: FakeClock) -> None:
    """Headers that come a byte at a time end the connection, however often a byte comes."""
    async with port.connect() as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\n")
        await opened(port)
        await until(lambda: any(one.began for one in port.connections))
        for _ in range(int(HEAD_S / SWEEP_S) + 1):
            writer.write(b"X")
            await pass_time(port, clock, 0)
        assert await is_cut(reader)
    assert port.connections.cut == {"headers do not end": 1}
    assert await port.is_well()


async def test_nothing_at_all(port: Port, clock: FakeClock) -> None:
    """A connection that never asks is ended; one that asks now and then is not."""
    async with port.connect() as (silent, _), port.connect() as (reader, writer):
        await opened(port, 2)
        for _ in range(2):
            await pass_time(port, clock, IDLE_S / 2)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n")
            await reader.readuntil(b"}")
        assert await is_cut(silent)
        assert port.connections.cut == {"idle": 1}
        assert len(port.connections) == 1


async def test_second_request_in_drops(port: Port, clock: FakeClock) -> None:
    """The second request of a connection has the same time as the first."""
    async with port.connect() as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"}")
        writer.write(b"GET /hea")
        await until(lambda: any(one.began for one in port.connections))
        await pass_time(port, clock, HEAD_S)
        assert await is_cut(reader)
    assert port.connections.cut == {"headers do not end": 1}


async def test_never_reads(port: Port, clock: FakeClock) -> None:
    """Who asks and never reads is dropped with what waits for them; others go on."""
    async with port.connect() as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
        await until(lambda: any(one.waiting for one in port.connections))
        await pass_time(port, clock, STUCK_S + SWEEP_S)
        assert await port.is_well()
        assert port.connections.cut == {"reads nothing": 1}


async def test_never_reads_a_file(port: Port, clock: FakeClock) -> None:
    """Files, too, are sent so that it is seen when they stand still."""
    async with port.connect() as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /static/js/join.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
        await until(lambda: any(one.waiting for one in port.connections))
        await pass_time(port, clock, STUCK_S + SWEEP_S)
        assert await port.is_well()
        assert port.connections.cut == {"reads nothing": 1}


async def test_reads_slowly(port: Port, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads, however slowly, is not taken for one that never does."""
    sizes = iter([9000, 8000, 8000, 8000, 7000, 7000, 7000, 6000, 0, 0, 0])
    async with port.connect():
        await opened(port)
        monkeypatch.setattr(Connection, "waiting", property(lambda _: next(sizes)))
        await pass_time(port, clock, 9 * SWEEP_S)
        assert not port.connections.cut


async def test_too_many_connections(open_port: Open) -> None:
    """An address has as many connections as the setting says; when one ends another may come."""
    port = await open_port(limit_connections=3)
    async with port.connect(), port.connect(), port.connect() as (_, last):
        await opened(port, 3)
        async with port.connect() as (reader, _):
            assert await is_cut(reader)
        assert port.connections.cut == {"too many from one address": 1}
        last.transport.abort()
        await until(lambda: len(port.connections) == 2)
        assert await port.is_well()


async def test_proxies_have_many(open_port: Open) -> None:
    """A trusted proxy opens as many connections as it needs."""
    port = await open_port(limit_connections=1, trusted_proxy="127.0.0.0/8")
    async with port.connect(), port.connect(), port.connect():
        await opened(port, 3)
        assert await port.is_well()


async def test_counts_end(port: Port) -> None:
    """No count of an address is left once its connections are gone."""
    async with port.connect():
        await opened(port)
        assert port.connections._by_caller == {"127.0.0.1": 1}
    await until(lambda: len(port.connections) == 0)
    assert port.connections._by_caller == {}


FORM = "Content-Type: multipart/form-data; boundary=x\r\n"
SLOW = {
    "json": ("/api/session", "", "{"),
    "before anything was shown": ("/api/rooms", "Idempotency-Key: a\r\n", "{"),
    "an address that is none": ("/api/nothing", "Idempotency-Key: a\r\n", "{"),
    "an offer": ("/whip/demo", "Content-Type: application/sdp\r\n", "v"),
    "the head of a part": ("/api/rooms/demo/announcements", FORM, "--x\r\nContent-"),
    "a field": (
        "/api/rooms/demo/announcements",
        FORM,
        '--x\r\nContent-Disposition: form-data; name="to"\r\n\r\ne',
    ),
}


@pytest.mark.parametrize("what", SLOW)
async def test_body_in_drops(
    port: Port, monkeypatch: pytest.MonkeyPatch, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A body that does not come is answered with `too_slow`, whoever would have read it."""
    await port.new_room()
    path, header, drop = SLOW[what]
    shown = port.admin["Authorization"]
    if path.startswith("/whip/"):
        shown = f"Bearer {await port.join_token()}"
    if "Idempotency-Key" not in header:
        header += f"Authorization: {shown}\r\n"
    monkeypatch.setattr("server.edge.pace.BODY_S", 0.0)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n{header}\r\n{drop}"
    async with port.connect() as (reader, writer), asyncio.timeout(3):
        writer.write(head.encode())
        answer = await reader.readuntil(b"}")
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert b"too_slow" in answer
    assert "request_failed" not in capsys.readouterr().out


async def test_pieces_in_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file must come at the least rate; what has come in time is kept."""
    now = FakeClock(0.0)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", now)
    taken = []

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            now.advance(1.0)
            await asyncio.sleep(0)
            yield bytes(pace.SLOWEST_BPS // 10)

    async def take() -> None:
        async for piece in pace.in_time(pieces()):
            taken.append(piece)  # noqa: PERF401 - one by one: what came before the end counts

    with pytest.raises(TooSlow):
        await take()
    assert pace.PIECE_S <= len(taken) <= pace.PIECE_S + 5


async def test_socket_that_never_reads(
    port: Port, http: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """A WebSocket whose other end never reads is dropped; others in the room do not notice."""
    await port.new_room()
    tokens = [await port.join_token() for _ in range(2)]
    async with http.ws_connect(f"{port.url}/ws?token={tokens[0]}") as deaf:
        deaf._response.connection.transport.pause_reading()  # type: ignore[union-attr]
        text = json.dumps({"jsonrpc": "2.0", "id": "x" * 16_000, "method": "nothing"})
        with contextlib.suppress(ConnectionError):  # it is dropped in the middle
            for _ in range(1000):
                await deaf.send_str(text)
        async with http.ws_connect(f"{port.url}/ws?token={tokens[1]}") as other:
            await other.send_json({"jsonrpc": "2.0", "id": 1, "method": "leave"})
            assert (await other.receive_json())["error"]["data"]["code"] == "not_joined"
    assert "socket_dropped" in capsys.readouterr().out


async def test_a_flood_of_requests_in_a_row(port: Port) -> None:
    """Whoever asks hundreds of times at once takes turns with everybody else."""
    one = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port.number}\r\n\r\n"
    last = one.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    turns, is_over = 0, False

    async def count() -> None:
        nonlocal turns
        while not is_over:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        _ = group.create_task(count())
        found = await port.throw((one * 500 + last).encode())
        is_over = True
    assert [answer.status for answer in found] == [200] * 501
    assert turns >= 501
