"""Callers who come too often, and those beside them who do not."""

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
import pytest

from server.services.limits import Limit, Limits, token_key
from tests.server.security.conftest import Answer, Open

PROXIED: dict[str, object] = {"trusted_proxy": "127.0.0.0/8"}


def is_refused(answer: Answer, code: str = "too_many_requests") -> bool:
    """Whether this is a 429 that says when to come again, in the header and the body."""
    if answer.status != 429:
        return False
    body = answer.json
    assert (body["code"], body["retryable"], body["success"]) == (code, True, False)
    assert body["retryAfterMs"] > 0
    assert int(answer.headers["Retry-After"]) == -(-body["retryAfterMs"] // 1000)
    return True


async def test_requests(open_port: Open) -> None:
    """An address that asks too often is refused, for pages and the API alike; others are not."""
    port = await open_port(limit_requests=3, **PROXIED)
    one, other = {"X_Forwarded_For": "192.0.2.1"}, {"X_Forwarded_For": "192.0.2.2"}
    for path in ("/", "/api/session", "/static/js/join.js"):
        assert (await port.ask(path, **one)).status == 200
    assert is_refused(await port.ask("/", **one))
    assert is_refused(await port.ask("/api/session", **one))
    assert (await port.ask("/", **other)).status == 200
    port.node.advance(20.0)
    assert (await port.ask("/", **one)).status == 200


async def test_networks_of_ipv6(open_port: Open) -> None:
    """The addresses of one /64 are one caller, those of another are another."""
    port = await open_port(limit_requests=2, **PROXIED)
    for tail in ("1", "2"):
        assert (await port.ask("/", X_Forwarded_For=f"2001:db8:0:1::{tail}")).status == 200
    assert is_refused(await port.ask("/", X_Forwarded_For="2001:db8:0:1:9:9:9:9"))
    assert (await port.ask("/", X_Forwarded_For="2001:db8:0:2::1")).status == 200


async def test_watchers_and_the_admin(open_port: Open) -> None:
    """Who watches the server is not counted, nor is who shows the admin key."""
    port = await open_port(limit_requests=1, limit_token=1, limit_joins=1)
    for _ in range(3):
        assert (await port.ask("/health")).status == 200
        assert (await port.ask("/api/rooms", **port.admin)).status == 200
    assert (await port.ask("/")).status == 200
    assert is_refused(await port.ask("/", Authorization="Bearer wrong"))


async def test_one_token(open_port: Open) -> None:
    """One token is limited wherever it is shown from."""
    port = await open_port(limit_token=2, **PROXIED)
    await port.new_room()
    token = await port.join_token()
    shown = {"Authorization": f"Bearer {token}"}
    for tail in (1, 2):
        answer = await port.ask("/api/rooms/demo", **shown, X_Forwarded_For=f"192.0.2.{tail}")
        assert answer.status == 200
    assert is_refused(await port.ask("/api/rooms/demo", **shown, X_Forwarded_For="192.0.2.3"))
    other = {"Authorization": f"Bearer {await port.join_token()}"}
    assert (await port.ask("/api/rooms/demo", **other, X_Forwarded_For="192.0.2.3")).status == 200


@pytest.mark.parametrize("path", ["/api/session", "/api/token", "/api/rooms/demo/users"])
async def test_joins(open_port: Open, path: str) -> None:
    """Tokens and sessions have a limit of their own."""
    port = await open_port(limit_joins=2)
    codes = [(await port.ask(path, "POST", {})).status for _ in range(2)]
    assert 429 not in codes
    assert is_refused(await port.ask(path, "POST", {}))
    assert (await port.ask("/")).status == 200


async def test_hls(open_port: Open) -> None:
    """The stream has a limit of its own, which pages do not use up."""
    port = await open_port(limit_hls=2, limit_requests=2)
    for _ in range(2):
        assert (await port.ask("/")).status == 200
        assert (await port.ask("/hls/demo/stream.m3u8")).status == 404
    assert is_refused(await port.ask("/hls/demo/stream.m3u8"))


@pytest.mark.parametrize("key", ["limit_sockets", "limit_sockets_all"])
async def test_sockets(open_port: Open, http: aiohttp.ClientSession, key: str) -> None:
    """Who opens too many sockets is told when to come again, before the upgrade."""
    port = await open_port(**{key: 1})
    await port.new_room()
    url = f"{port.url}/ws?token={await port.join_token()}"
    async with http.ws_connect(url):
        pass
    assert is_refused(await port.ask("/ws"))


async def test_a_browser_is_told(open_port: Open, http: aiohttp.ClientSession) -> None:
    """A browser cannot read a refused upgrade: its socket is opened, and the close says when."""
    port = await open_port(limit_sockets=1)
    await port.new_room()
    url = f"{port.url}/ws?token={await port.join_token()}"
    async with http.ws_connect(url):
        pass
    async with http.ws_connect(url, origin=port.url) as socket:
        message = await socket.receive()
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1013)
    assert json.loads(str(message.extra))["retryAfterMs"] > 0


async def test_a_storm(open_port: Open) -> None:
    """A crowd that comes back at once is told times that are apart."""
    port = await open_port(limit_sockets_all=60)
    for _ in range(60):
        assert (await port.ask("/ws")).status == 401
    told = [(await port.ask("/ws")).json["retryAfterMs"] for _ in range(20)]
    assert max(told) > 15_000
    assert len(set(told)) == 20


async def call(socket: aiohttp.ClientWebSocketResponse, number: int) -> dict[str, Any]:
    await socket.send_json({"jsonrpc": "2.0", "id": number, "method": "nothing"})
    error: dict[str, Any] = (await socket.receive_json())["error"]
    return error


async def test_messages(open_port: Open, http: aiohttp.ClientSession) -> None:
    """Who signals too much is refused with the time to wait; a new socket does not help."""
    port = await open_port(limit_messages=5)
    await port.new_room()
    url = f"{port.url}/ws?token={await port.join_token()}"
    async with http.ws_connect(url) as socket:
        codes = [(await call(socket, number))["data"]["code"] for number in range(5)]
        assert codes == ["method_not_found"] * 5
        error = await call(socket, 6)
    assert (error["code"], error["data"]["code"]) == (-32600, "too_many_requests")
    assert error["data"]["retryable"]
    assert error["data"]["retryAfterMs"] > 0
    async with http.ws_connect(url) as socket:
        assert (await call(socket, 7))["data"]["code"] == "too_many_requests"
    other = f"{port.url}/ws?token={await port.join_token()}"
    async with http.ws_connect(other) as socket:
        assert (await call(socket, 8))["data"]["code"] == "method_not_found"


@pytest.mark.parametrize("text", ["no json", '{"jsonrpc":"2.0","method":"nothing"}', "[]"])
async def test_floods(
    open_port: Open,
    http: aiohttp.ClientSession,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Who sends twice the limit, be it nonsense or notifications, is cut off."""
    port = await open_port(limit_messages=5)
    await port.new_room()
    async with (
        asyncio.timeout(5),
        http.ws_connect(f"{port.url}/ws?token={await port.join_token()}") as socket,
    ):
        with contextlib.suppress(ConnectionError):
            for _ in range(11):
                await socket.send_str(text)
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert "floods" in capsys.readouterr().out
    assert await port.is_well()


async def test_wrong_pins(open_port: Open) -> None:
    """Wrong PINs lock an address out of that room, the right one too; it works from elsewhere."""
    port = await open_port(pin_tries=3, **PROXIED)
    room = await port.new_room(pin="a1b2c3")
    invite = room["links"]["join"].partition("=")[2]

    async def attempt(pin: str, address: str = "192.0.2.1", room: str = "demo") -> Answer:
        body = {"invite": invite, "pin": pin}
        path = f"/api/rooms/{room}/users"
        return await port.ask(path, "POST", body, X_Forwarded_For=address)

    for _ in range(3):
        assert (await attempt("000000")).json["code"] == "wrong_pin"
    locked = await attempt("a1b2c3")
    assert is_refused(locked, "pin_locked")
    assert 9_000 < locked.json["retryAfterMs"] <= 10_000
    assert (await attempt("a1b2c3", "192.0.2.2")).status == 200
    port.node.advance(10.0)
    assert (await attempt("000000")).json["code"] == "wrong_pin"
    assert 19_000 < (await attempt("a1b2c3")).json["retryAfterMs"] <= 20_000
    port.node.advance(20.0)
    assert (await attempt("a1b2c3")).status == 200


async def test_wrong_pins_of_every_kind(open_port: Open, http: aiohttp.ClientSession) -> None:
    """Tries for a listener's token, an anchor's and at `join` are counted together."""
    port = await open_port(pin_tries=3)
    room = await port.new_room(pin="a1b2c3")
    invite = room["links"]["join"].partition("=")[2]
    wrong = {"invite": invite, "pin": "000000"}
    assert (await port.ask("/api/rooms/demo/users", "POST", wrong)).status == 403
    assert (await port.ask("/api/token", "POST", wrong | {"roomId": "demo"})).status == 403
    token = await port.join_token()  # the admin's: its PIN is asked for at `join`
    params = {"clientId": "cccccccc-0000-4000-8000-000000000003", "pin": "000000"}
    request = {"jsonrpc": "2.0", "id": 1, "method": "join", "params": params}
    async with http.ws_connect(f"{port.url}/ws?token={token}") as socket:
        codes = []
        for _ in range(2):
            await socket.send_json(request)
            codes.append((await socket.receive_json())["error"]["data"]["code"])
    assert codes == ["wrong_pin", "pin_locked"]


async def test_no_pin_is_no_try(open_port: Open) -> None:
    """A page that first asks without a PIN locks nobody out."""
    port = await open_port(pin_tries=1)
    room = await port.new_room(pin="a1b2c3")
    body = {"invite": room["links"]["join"].partition("=")[2]}
    for _ in range(3):
        assert (await port.ask("/api/rooms/demo/users", "POST", body)).json["code"] == "wrong_pin"
    right = body | {"pin": "a1b2c3"}
    assert (await port.ask("/api/rooms/demo/users", "POST", right)).status == 200


async def test_two_hundred_at_once(open_port: Open) -> None:
    """Two hundred people behind one address who join at once meet no limit by default."""
    port = await open_port()
    room = await port.new_room()
    invite = room["links"]["join"].partition("=")[2]
    limits = port.node.services.context.limits
    assert (await port.ask("/api/rooms/demo/users", "POST", {"invite": invite})).status == 200
    for _ in range(200):
        for _ in range(30):
            limits.check(Limit.REQUESTS, "192.0.2.1")
        for _ in range(2):
            limits.check(Limit.JOINS, "192.0.2.1")
        limits.check(Limit.SOCKETS, "192.0.2.1")
    assert set(limits.refused.values()) == {0}


def test_tokens_are_not_kept() -> None:
    """What a token is counted under does not tell it, however odd it is."""
    assert "secret" not in token_key("secret")
    assert len(token_key("x" * 8000)) == len(token_key("\udcff")) == 24


def test_refusals_are_counted() -> None:
    """Every refusal is counted by its kind."""
    limits = Limits({Limit.HLS: 1}, lambda: 0.0, seed=1)
    limits.check(Limit.HLS, "a")
    with pytest.raises(Exception, match="Too often: try again in"):
        limits.check(Limit.HLS, "a")
    assert limits.refused[Limit.HLS] == 1


async def test_refusals_are_seen(open_port: Open) -> None:
    """Whoever watches the server sees how many were refused, by kind."""
    port = await open_port(limit_hls=1)
    for _ in range(3):
        await port.ask("/hls/demo/stream.m3u8")
    text = (await port.ask("/metrics")).body.decode()
    assert 'roomtone_refused_hls_total{process="control"} 2.0' in text
