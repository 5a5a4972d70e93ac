"""What browsers are told about every answer."""

import re
import zlib
from pathlib import Path

import pytest

from tests.server.security.conftest import Open, Port

PAGES = ["/", "/join/demo", "/listen/demo"]
OTHERS = ["/static/js/join.js", "/api/rooms", "/nothing", "/hls/demo/stream.m3u8", "/health"]


def directives(policy: str) -> dict[str, list[str]]:
    found = (directive.split() for directive in policy.split(";"))
    return {name: values for name, *values in found}


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
async def test_every_answer(port: Port, path: str) -> None:
    """Pages, files and refusals alike: no sniffing, no frames, nothing inline, no referrer."""
    headers = (await port.ask(path)).headers
    policy = directives(headers["Content-Security-Policy"])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "microphone=(self)" in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["default-src"] == ["'self'"]
    assert policy["object-src"] == policy["base-uri"] == ["'none'"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert not {"script-src", "style-src"} & policy.keys(), "default-src holds for them"
    assert headers["Server"] == "roomtone"


@pytest.mark.parametrize("page", ["index.html", "join.html", "listen.html"])
def test_nothing_inline(page: str) -> None:
    """No page has a script, a style or a handler in it, which the policy would stop."""
    text = Path("static", page).read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:", text)


async def test_sockets_of_this_host(port: Port) -> None:
    """Pages may open sockets to the host they came from, and to no other."""
    policy = directives((await port.ask("/")).headers["Content-Security-Policy"])
    host = f"127.0.0.1:{port.number}"
    assert policy["connect-src"] == ["'self'", f"ws://{host}", f"wss://{host}"]


async def test_public_address(open_port: Open) -> None:
    """The public address may be asked too, since links and streams name it."""
    port = await open_port(public_url="https://audio.example.org")
    policy = directives((await port.ask("/")).headers["Content-Security-Policy"])
    assert {"https://audio.example.org", "wss://audio.example.org"} <= set(policy["connect-src"])


async def test_embedding(open_port: Open) -> None:
    """The player alone may be shown in frames, and on the pages of the setting alone."""
    port = await open_port(embed_origin="https://blog.example,https://news.example")
    frames = {}
    for path in (*PAGES, "/listen/demo?embed", "/join/demo?embed"):
        policy = directives((await port.ask(path)).headers["Content-Security-Policy"])
        frames[path] = policy["frame-ancestors"]
    assert frames.pop("/listen/demo?embed") == ["https://blog.example", "https://news.example"]
    assert set(map(tuple, frames.values())) == {("'none'",)}


async def test_hsts(open_port: Open, tmp_path: Path) -> None:
    """Only with a certificate of one's own are browsers told to come by HTTPS alone."""
    pem = tmp_path / "x.pem"
    with_tls = await open_port(tls_cert=pem, tls_key=pem)
    answer = await with_tls.ask("/")
    assert answer.headers["Strict-Transport-Security"] == "max-age=15552000"


async def test_no_hsts(port: Port) -> None:
    """Without, they are told nothing: it would lock people out of plain HTTP for months."""
    assert "Strict-Transport-Security" not in (await port.ask("/")).headers


async def test_caps_of_bodies(port: Port) -> None:
    """A body of more than 32 KiB is refused, with a length or in chunks."""
    head = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    body = b"{" + b" " * 40_000 + b"}"
    plain = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for sent in (plain, chunked):
        (answer,) = await port.throw(sent)
        assert (answer.status, answer.json["code"]) == (413, "too_large")


async def test_a_bomb(port: Port) -> None:
    """A body that is small and unpacks to much is refused as if it had come unpacked."""
    bomb = zlib.compress(b" " * 50_000_000)
    head = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: deflate\r\n"
    head += b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    found = await port.throw(head + bomb)
    assert [answer.status for answer in found] in ([413], [400])
    assert await port.is_well()
