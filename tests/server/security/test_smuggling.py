"""Requests that two parsers might read differently: one answer at most, and none of the inner."""

import asyncio

import pytest

from server.edge.connections import CAPS
from tests.server.security.conftest import ANSWER_S, Port, answers, until

HOST = b"Host: localhost\r\n"
INNER = b"DELETE /api/rooms/demo HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/session HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"

CONTRADICTIONS = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "both, the other way": CHUNKED + b"Content-Length: 6\r\n\r\n0\r\n\r\nX" + INNER,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nXXXXX" + INNER,
    "two equal lengths": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + INNER,
    "a list of lengths": b"Content-Length: 0, 5\r\n\r\n" + INNER,
    "length with a sign": b"Content-Length: +2\r\n\r\n{}" + INNER,
    "negative length": b"Content-Length: -1\r\n\r\n" + INNER,
    "length in hex": b"Content-Length: 0x2\r\n\r\n{}" + INNER,
    "length with a gap": b"Content-Length: 1 2\r\n\r\n{}" + INNER,
    "endless length": b"Content-Length: " + b"9" * 60 + b"\r\n\r\n" + INNER,
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INNER,
    "coding after chunked": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + INNER,
    "chunked twice": CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + INNER,
    "space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INNER,
    "vertical tab": b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + INNER,
    "folded header": b"X-A: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + INNER,
    "folded with a tab": b"X-A: 1\r\n\tb\r\nContent-Length: 0\r\n\r\n" + INNER,
    "bare line feed": b"X-A: 1\nContent-Length: 0\r\n\r\n" + INNER,
    "bare carriage return": b"X-A: 1\rContent-Length: 0\r\n\r\n" + INNER,
    "NUL in a value": b"X-A: 1\x002\r\nContent-Length: 0\r\n\r\n" + INNER,
    "NUL in a name": b"X-\x00A: 1\r\nContent-Length: 0\r\n\r\n" + INNER,
    "no name": b": 1\r\nContent-Length: 0\r\n\r\n" + INNER,
    "no colon": b"Content-Length\r\n\r\n" + INNER,
    "first line indented": b" Content-Length: 0\r\n\r\n" + INNER,
}  # fmt: skip

CHUNKS = {
    "no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "hex prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "negative": b"-2\r\n{}\r\n0\r\n\r\n",
    "larger than any": b"F" * 40 + b"\r\n{}\r\n0\r\n\r\n",
    "longer than it says": b"1\r\n{}\r\n0\r\n\r\n",
    "no line end": b"2\r\n{}0\r\n\r\n",
    "bare line feed": b"2\n{}\n0\n\n",
    "line feed in the extension": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "gap before the number": b" 2\r\n{}\r\n0\r\n\r\n",
}

LINES = {
    "version 0.9": b"GET /health\r\n\r\n",
    "version 9.9": b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /health  \r\nHost: localhost\r\n\r\n",
    "two spaces": b"GET /hea lth HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "odd method": b"G@T /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c2010000be0303") + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("tail", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
async def test_contradictions(port: Port, tail: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """What contradicts itself is refused, the connection closed, and nothing behind it is run."""
    await port.new_room()
    found = await port.throw(POST + port_admin(port) + tail)
    assert [(answer.status, answer.json["code"]) for answer in found] == [(400, "bad_params")]
    assert found[0].headers["X-Content-Type-Options"] == "nosniff"
    assert "[error" not in capsys.readouterr().out
    assert (await port.ask("/api/rooms", **port.admin)).json["count"] == 1


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
async def test_chunks(port: Port, body: bytes) -> None:
    """A chunk that is none ends the connection, and nothing behind it is run."""
    await port.new_room()
    head = POST + port_admin(port) + b"Transfer-Encoding: chunked\r\n\r\n"
    found = await port.throw(head + body + INNER)
    assert [answer.status for answer in found] in ([400], [])
    assert (await port.ask("/api/rooms", **port.admin)).json["count"] == 1


@pytest.mark.parametrize("name", ["no number", "longer than it says"])
async def test_late_chunks(
    port: Port, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a bad chunk in the middle of a request nothing is run, and it is no fault of ours."""
    monkeypatch.setattr("server.edge.pace.BODY_S", 0.1)
    monkeypatch.setitem(CAPS, "lingering_time", 0.0)
    await port.new_room()
    async with port.connect() as (reader, writer), asyncio.timeout(ANSWER_S):
        writer.write(POST + port_admin(port) + b"Transfer-Encoding: chunked\r\n\r\n")
        await until(lambda: any(one.busy for one in port.connections))
        writer.write(CHUNKS[name] + INNER)
        found = answers(await reader.read())
    assert found[0].status in {400, 408}
    assert {answer.status for answer in found} <= {400, 408}
    assert (await port.ask("/api/rooms", **port.admin)).json["count"] == 1
    assert "request_failed" not in capsys.readouterr().out


async def test_gone_in_the_middle(port: Port, capsys: pytest.CaptureFixture[str]) -> None:
    """Who leaves in the middle of a body leaves no error in the log."""
    async with port.connect() as (_, writer):
        writer.write(POST + b"Content-Length: 10\r\n\r\n{")
        await until(lambda: any(one.busy for one in port.connections))
    await until(lambda: len(port.connections) == 0)
    assert await port.is_well()
    assert "request_failed" not in capsys.readouterr().out


@pytest.mark.parametrize("sent", LINES.values(), ids=LINES)
async def test_lines(port: Port, sent: bytes) -> None:
    """What is no HTTP/1 is refused and the connection closed."""
    assert [answer.status for answer in await port.throw(sent)] in ([400], [421], [])
    assert await port.is_well()


@pytest.mark.parametrize("hosts", [b"", HOST * 2, HOST + b"Host: evil.example\r\n", b"Host:\r\n"])
async def test_hosts(port: Port, hosts: bytes) -> None:
    """A request has one Host (RFC 9112 §3.2)."""
    found = await port.throw(b"GET /health HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
    assert [answer.status for answer in found] in ([400], [421])


def port_admin(port: Port) -> bytes:
    return f"Authorization: Bearer {port.node.keyring.admin_key}\r\n".encode()


async def test_large_headers(port: Port) -> None:
    """A header of 64 KiB, a hundred kilobytes of target and 10,000 headers are refused."""
    for sent in (
        b"X-A: " + b"a" * 65_536 + b"\r\n\r\n",
        b"a" * 65_536 + b": 1\r\n\r\n",
        b"".join(b"X-%d: 1\r\n" % number for number in range(10_000)) + b"\r\n",
    ):
        found = await port.throw(b"GET /health HTTP/1.1\r\n" + HOST + sent)
        assert [answer.status for answer in found] in ([400], [])
    found = await port.throw(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert [answer.status for answer in found] in ([400], [])
    assert await port.is_well()


async def test_pipeline(port: Port) -> None:
    """A thousand requests in one go are answered one by one, in their order."""
    asked = [b"/health", b"/nothing"] * 500
    sent = b"".join(b"GET %s HTTP/1.1\r\n%s\r\n" % (path, HOST) for path in asked)
    sent = sent[:-2] + b"Connection: close\r\n\r\n"
    found = await port.throw(sent)
    assert [answer.status for answer in found] == [200, 404] * 500
