"""Requests so plain that there is one way to read them."""

import asyncio
from unittest.mock import Mock

import pytest
from aiohttp._cookie_helpers import parse_cookie_header
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.types import RoomId
from server.domain import plain_get
from server.domain.plain_get import Requests, read_cookies, read_target

HEAD = (
    b"GET /hls/demo/stream.m3u8?_HLS_msn=7 HTTP/1.1\r\n"
    b"Host: radio.example\r\nUser-Agent: Some Browser/1 (X)\r\nAccept:*/*\r\n\r\n"
)


def with_field(field: str) -> bytes:
    return HEAD[:-2] + field.encode("latin-1") + b"\r\n\r\n"


def test_plain() -> None:
    """A request as players send it is read whole, and can be put together again."""
    request = Requests().read(HEAD)
    assert request is not None
    assert (request.method, request.target) == ("GET", "/hls/demo/stream.m3u8?_HLS_msn=7")
    assert request.fields.values == {
        "host": "radio.example",
        "user-agent": "Some Browser/1 (X)",
        "accept": "*/*",
    }
    assert (request.is_plain_get, request.fields.get("origin")) == (True, "")
    assert request.line + request.block == HEAD


@pytest.mark.parametrize(
    "field",
    [
        "Connection: close",
        "Range: bytes=0-1",
        "If-None-Match: *",
        "X-Forwarded-For: 192.0.2.1",
        "traceparent: 00-1-2-3",
        "Content-Length: 0",
    ],
)
def test_whole_but_more_than_a_wish(field: str) -> None:
    """Where it ends is known; what it wants is not for a short way."""
    request = Requests().read(with_field(field))
    assert request is not None
    assert not request.is_plain_get


def test_bodies() -> None:
    """A request with its whole body ends where it says, and nowhere else."""
    head = b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    request = Requests().read(head + b"body")
    assert request is not None
    assert (request.method, request.is_plain_get) == ("POST", False)
    for body in (b"", b"bod", b"bodyG"):
        assert Requests().read(head + body) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1",
        HEAD[:-1],
        HEAD[:-2],
        HEAD + b"G",
        HEAD + HEAD,
        HEAD.replace(b"1.1", b"1.0"),
        HEAD.replace(b"GET", b"get"),
        HEAD.replace(b"GET", b"PRI"),
        HEAD.replace(b" /hls", b" hls"),
        HEAD.replace(b"Host", b"Ho st"),
        HEAD.replace(b"Host:", b"Host :"),
        HEAD.replace(b"\r\n", b"\n"),
        with_field(" folded"),
        with_field("Host: another.example"),
        with_field("X: \xe9"),
        with_field("X: a\x00b"),
        with_field("X:  two"),
        with_field("X: blank "),
        with_field("Transfer-Encoding: chunked"),
        with_field("Upgrade: websocket"),
        with_field("Expect: 100-continue"),
        with_field("Connection: keep-alive, Upgrade"),
        with_field("Content-Length: 01"),
        with_field("Content-Length: -1"),
        with_field("Content-Length: 4"),
        with_field("\r\n".join(f"X-{n}: 1" for n in range(64))),
        with_field("X: " + "x" * 8190),
    ],
)
def test_not_taken(data: bytes) -> None:
    """Half of one, more than one, and what can be read in two ways."""
    assert Requests().read(data) is None


def test_without_a_host() -> None:
    """It is whole, but plain is what says whom it asks."""
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost:\r\n\r\n"):
        request = Requests().read(data)
        assert request is not None
        assert not request.is_plain_get


def test_known_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields are read once; how many are known is bounded, and how long they are."""
    monkeypatch.setattr(plain_get, "MOST_KNOWN", 2)
    requests = Requests()
    first, second = requests.read(HEAD), requests.read(HEAD)
    assert first is not None
    assert second is not None
    assert first.fields is second.fields
    for n in range(5):
        assert requests.read(with_field(f"X: {n}")) is not None
        assert len(requests) <= 2
    before = len(requests)
    assert requests.read(with_field("X: " + "x" * 1024)) is not None
    assert len(requests) == before


def test_targets() -> None:
    """Streams by room, rendition, name and query; what else there is below /hls/ is not here."""
    plain = read_target("/hls/demo/64k/seg-1.2.m4s?token=a.b-c_d~&_HLS_msn=")
    assert plain is not None
    assert (plain.room, plain.rendition, plain.name) == ("demo", "64k", "seg-1.2.m4s")
    assert plain.query == {"token": "a.b-c_d~", "_HLS_msn": ""}
    assert read_target("/hls/demo/stream.m3u8") == plain_get.Target(
        RoomId("demo"), "", "stream.m3u8", {}
    )
    keys = [read_target(f"/hls/rooms/demo/{path}enc.key?token=a") for path in ("", "41/")]
    assert keys == [
        plain_get.Target(RoomId("demo"), "", "enc.key", {"token": "a"}, is_key=True, epoch=epoch)
        for epoch in (None, "41")
    ]
    for target in (
        "/",
        "/hls/rooms/enc.key",
        "/hls/rooms/demo/stream.m3u8",
        "/hls/rooms/demo/x/enc.key",
        "/hls/rooms/demo/12345678901234567/enc.key",
        "/hls/rooms/demo/1/enc.key?token=%31",
        "/hls/de/stream.m3u8",
        "/hls/demo/..",
        "/hls/demo//stream.m3u8",
        "/hls/demo/64k/more/stream.m3u8",
        "/hls/demo/stream.m3u8?",
        "/hls/demo/stream.m3u8?a",
        "/hls/demo/stream.m3u8?a=1&&b=2",
        "/hls/demo/stream.m3u8?a=1&a=2",
        "/hls/demo/stream.m3u8?a=%31",
        "/hls/demo/stream.m3u8?a=1+1",
        "/hls/demo/stream.m3u8#a",
        "/hls/d%65mo/stream.m3u8",
    ):
        assert read_target(target) is None, target


def test_cookies() -> None:
    """Plain ones by name."""
    assert read_cookies("") == {}
    assert read_cookies("a=1; roomtone_listen_demo=x.y-z") == {
        "a": "1",
        "roomtone_listen_demo": "x.y-z",
    }
    for text in ("a", "a=1;b=2", 'a="1"', "a=1; a=2", "a=1; ", "a=1,2"):
        assert read_cookies(text) is None, text


NAMES = st.sampled_from(
    [
        "Host",
        "Accept",
        "X-A",
        "Content-Length",
        "Connection",
        "Range",
        "Transfer-Encoding",
        "Upgrade",
        "Cookie",
        "content-length",
        "X_B",
        "Te",
        "Expect",
        "Origin",
    ]
)
VALUES = st.sampled_from(
    ["", "a", "0", "1", "4", "keep-alive", "close", "chunked", "a b", "\t", " a", "a ", "websocket"]
) | st.text(st.characters(codec="latin-1"), max_size=6)
FIELDS = st.tuples(NAMES, st.sampled_from([":", ": ", " : ", ":\t", ":  "]), VALUES).map("".join)
LINES = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST", "get", "OPTIONS", "CONNECT"]),
    st.sampled_from(["/", "/hls/demo/seg-1.m4s", "*", "/a?b=c#d", "http://a/b", "/\xe9"]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/1.1 ", "HTTP/2.0"]),
).map(" ".join)
TAILS = st.sampled_from(["", "", "", "a", "body", "\r\n", "GET / HTTP/1.1\r\n\r\n", "0\r\n\r\n"])


@given(LINES, st.lists(FIELDS, max_size=4), TAILS, st.sampled_from(["\r\n", "\r\n", "\n"]))
@settings(max_examples=1500, deadline=None)
def test_aiohttp_reads_the_same(line: str, fields: list[str], tail: str, end: str) -> None:
    """Whatever is taken, aiohttp takes for one whole request with the same method, path, fields."""
    data = (end.join([line, *fields]) + end + end + tail).encode("latin-1")
    request = Requests().read(data)
    if request is None:
        return
    loop = asyncio.new_event_loop()
    try:
        protocol = Mock(spec=BaseProtocol, _reading_paused=False)
        parser = HttpRequestParser(
            protocol, loop, 2**16, max_line_size=8190, max_field_size=8190, max_headers=100
        )
        try:
            messages, is_upgraded, left = parser.feed_data(data)
        except HttpProcessingError:  # it answers 400 and hangs up: nothing can follow
            assert not request.is_plain_get
            return
        ((message, payload),) = messages
        assert (is_upgraded, bytes(left), payload.is_eof()) == (False, b"", True)
        assert (message.method, message.path) == (request.method, request.target)
        assert {name.lower(): value for name, value in message.headers.items()} == (
            request.fields.values
        )
        assert len(message.headers) == len(request.fields.values)
        if request.is_plain_get:
            assert not message.should_close
        # And it is between two requests again.
        ((following, _),) = parser.feed_data(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")[0]
        assert following.path == "/next"
    finally:
        loop.close()


COOKIES = st.sampled_from(
    [
        "a=1",
        "path=/x",
        "roomtone_listen_demo=t.o-k",
        "b",
        'c="d"',
        "Domain=e",
        "$Version=1",
        "expires=Thu",
        "Secure=1",
        "a.b=%20/+:!*",
    ]
)


@given(st.lists(COOKIES, max_size=5))
def test_aiohttp_reads_the_same_cookies(cookies: list[str]) -> None:
    """A listener's cookie is theirs, whatever stands around it."""
    text = "; ".join(cookies)
    read = read_cookies(text)
    if read is not None:
        theirs = {name: morsel.value for name, morsel in parse_cookie_header(text)}
        name = "roomtone_listen_demo"
        assert read.get(name) == theirs.get(name)
