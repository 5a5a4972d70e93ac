"""`/ws`: the contract's JSON-RPC over a real WebSocket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from mixer.errors import ClientMistake
from mixer.types import PeerId, Talking
from server.edge.socket import MAX_WAITING_TEXTS
from server.ports import PlaneLost
from tests.server.edge.conftest import Edge, Serve
from tests.support.node import SDP
from tests.support.planes import ANSWER

CLIENT = "cccccccc-0000-4000-8000-000000000003"
JOIN = {"clientId": CLIENT, "displayName": "Ada"}
OFFER = {"sdp": {"type": "offer", "sdp": SDP}}


class Talk:
    """One client's socket; notifications that come between are kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self._next_id = 0

    async def read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.receive_str())
        return message

    async def call(self, method: str, params: object = None) -> dict[str, Any]:
        self._next_id += 1
        request = {"jsonrpc": "2.0", "id": self._next_id, "method": method}
        await self.socket.send_json(request if params is None else {**request, "params": params})
        while (message := await self.read()).get("id") != self._next_id:
            self.heard.append(message)
        return message

    async def result(self, method: str, params: object = None) -> Any:
        answer = await self.call(method, params)
        assert "result" in answer, answer
        return answer["result"]

    async def refused(self, method: str, params: object = None) -> tuple[int, str]:
        error = (await self.call(method, params))["error"]
        assert set(error) == {"code", "message", "data"}
        assert {"code", "retryable", "retryAfterMs"} <= set(error["data"])
        return error["code"], error["data"]["code"]

    async def hear(self, method: str) -> Any:
        """Wait for a notification."""
        while True:
            message = self.heard.pop(0) if self.heard else await self.read()
            if message.get("method") == method:
                return message["params"]

    async def closed(self) -> int | None:
        """Wait for the end and return the close code."""
        while (await self.socket.receive()).type is WSMsgType.TEXT:
            pass
        return self.socket.close_code


@asynccontextmanager
async def talking(edge: Edge, token: str | None = None, **options: Any) -> AsyncIterator[Talk]:
    """Open a socket with a join token of the room `demo`."""
    token = token or await edge.join_token()
    async with edge.http.ws_connect(f"/ws?token={token}", **options) as socket:
        yield Talk(socket)


@pytest.fixture
async def demo(edge: Edge) -> dict[str, Any]:
    return await edge.new_room(name="Studio")


async def test_a_whole_call(edge: Edge, demo: dict[str, Any]) -> None:
    """Join, offer, trickle, mute, keep alive, leave: each has the contract's result."""
    async with talking(edge) as talk:
        joined = await talk.result("join", JOIN)
        room = edge.node.rooms.all()[0]
        assert (joined["room"]["name"], joined["room"]) == ("Studio", room.notice())
        assert joined["resume"] is False
        assert await talk.result("offer", OFFER) == {"sdp": {"type": "answer", "sdp": ANSWER}}
        assert await talk.result("icecandidate", {"candidate": {"completed": True}}) is None
        assert await talk.result("mute", {"muted": True}) is None
        assert await talk.result("keepalive", {"status": "onair"}) is None
        assert await talk.result("status") is None
        assert await talk.result("leave") is None
        assert await talk.closed() == 1000


async def test_room_status(edge: Edge, demo: dict[str, Any]) -> None:
    """Everybody in the room is told who is in it; who has not joined is told nothing."""
    async with talking(edge) as ada, talking(edge) as bob, talking(edge) as eve:
        user = (await ada.result("join", JOIN))["userId"]
        await bob.result("join", {"clientId": CLIENT, "displayName": "Bob"})
        people = await ada.hear("roomStatus")
        while len(people) < 2:
            people = await ada.hear("roomStatus")
        assert people[0] == {
            "userId": user,
            "role": "anchor",
            "status": "idle",
            "displayName": "Ada",
            "muted": False,
            "serverMuted": False,
            "canSpeak": True,
            "hand": None,
        }
        assert (await eve.refused("keepalive"))[1] == "not_joined"
        assert eve.heard == []


async def test_talking(edge: Edge, demo: dict[str, Any]) -> None:
    """Who talks is told, in dBov."""
    async with talking(edge) as talk:
        user = (await talk.result("join", JOIN))["userId"]
        room = edge.node.rooms.all()[0].id
        edge.node.mixer.emit(Talking(room, {PeerId(user): -30}))
        assert await talk.hear("talking") == {"levels": {user: -30}}


async def test_mixer_lost(edge: Edge, demo: dict[str, Any]) -> None:
    """When the mixer is lost the person is told, and can offer again on the same socket."""
    async with talking(edge) as talk:
        await talk.result("join", JOIN)
        await talk.result("offer", OFFER)
        edge.node.mixer.emit(PlaneLost())
        assert (await talk.hear("reconnect"))["reason"] == "media_restarted"
        assert await talk.result("offer", OFFER)


async def test_resume(edge: Edge, demo: dict[str, Any]) -> None:
    """Who comes back on a new socket goes on as if nothing had happened."""
    token = await edge.join_token()
    async with talking(edge, token) as talk:
        jtoken = (await talk.result("join", JOIN))["jtoken"]
        await talk.result("offer", OFFER)
    async with talking(edge, token) as talk:
        assert (await talk.result("join", {**JOIN, "jtoken": jtoken}))["resume"] is True


async def test_newest_wins(edge: Edge, demo: dict[str, Any]) -> None:
    """The second socket of a person closes the first with 4001."""
    token = await edge.join_token()
    async with talking(edge, token) as old, talking(edge, token) as new:
        await old.result("join", JOIN)
        await new.result("join", JOIN)
        assert await old.closed() == 4001
        assert await new.result("keepalive") is None


async def test_removed(edge: Edge, demo: dict[str, Any]) -> None:
    """A removed person is closed with 4003 and does not get in again."""
    token = await edge.join_token()
    async with talking(edge, token) as talk:
        user = (await talk.result("join", JOIN))["userId"]
        await edge.as_admin("DELETE", f"/api/rooms/demo/users/{user}")
        assert await talk.closed() == 4003
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        async with talking(edge, token):
            pass


async def test_room_closed(edge: Edge, demo: dict[str, Any]) -> None:
    """When the room is deleted everybody is told and closed with 4004."""
    async with talking(edge) as talk:
        await talk.result("join", JOIN)
        await edge.as_admin("DELETE", "/api/rooms/demo")
        assert await talk.hear("roomClosed") == {"reason": "deleted"}
        assert await talk.closed() == 4004


async def test_server_stops(edge: Edge, demo: dict[str, Any]) -> None:
    """When the server stops, sockets are closed with 1001, joined or not."""
    async with talking(edge) as joined, talking(edge) as silent:
        await joined.result("join", JOIN)
        await edge.http.server.runner.shutdown()  # type: ignore[union-attr]
        assert await joined.closed() == 1001
        assert await silent.closed() == 1001


@pytest.mark.parametrize(
    ("method", "params", "code", "name"),
    [
        ("offer", OFFER, -32600, "not_joined"),
        ("mute", {"muted": True}, -32600, "not_joined"),
        ("leave", None, -32600, "not_joined"),
        ("join", {}, -32602, "bad_params"),
        ("join", {"clientId": CLIENT.upper()}, -32602, "bad_params"),
        ("join", [], -32602, "bad_params"),
        ("join", {**JOIN, "displayName": "x" * 81}, -32602, "bad_params"),
        ("join", {**JOIN, "pin": 123456}, -32602, "bad_params"),
        ("offer", {}, -32602, "bad_params"),
        ("offer", {"sdp": SDP}, -32602, "bad_params"),
        ("offer", {"sdp": {"type": "answer", "sdp": SDP}}, -32602, "bad_params"),
        ("mute", {"muted": "yes"}, -32602, "bad_params"),
        ("keepalive", {"status": "asleep"}, -32602, "bad_params"),
        ("icecandidate", {"candidate": "x"}, -32602, "bad_params"),
        ("rpc.on", "roomStatus", -32600, "invalid_request"),
        ("rpc.on", None, -32602, "bad_params"),
        ("rpc.on", ["x"] * 65, -32602, "bad_params"),
        ("rpc.login", {}, -32601, "method_not_found"),
    ],
)
async def test_refusals(  # noqa: PLR0917 - one table
    edge: Edge, demo: dict[str, Any], method: str, params: object, code: int, name: str
) -> None:
    """Each refusal has its code, and the socket goes on."""
    async with talking(edge) as talk:
        assert await talk.refused(method, params) == (code, name)
        await talk.result("join", JOIN)


async def test_subscriptions(edge: Edge, demo: dict[str, Any]) -> None:
    """Clients that subscribe before they join are told which notifications there are."""
    async with talking(edge) as talk:
        assert await talk.result("rpc.on", ["roomStatus", "weather"]) == {
            "roomStatus": "ok",
            "weather": "provided event invalid",
        }
        assert await talk.result("rpc.off", ["roomStatus"]) == {"roomStatus": "always sent"}


async def test_batch(edge: Edge, demo: dict[str, Any]) -> None:
    """A batch is done in order, and answered as one; what is no message in it stands there."""
    async with talking(edge) as talk:
        calls: list[object] = [
            {"jsonrpc": "2.0", "id": 1, "method": "join", "params": JOIN},
            {"jsonrpc": "2.0", "method": "mute", "params": {"muted": True}},
            {"jsonrpc": "2.0", "id": 2, "method": "offer", "params": OFFER},
            {"jsonrpc": "2.0", "id": 3, "method": "nonsense"},
            7,
        ]
        await talk.socket.send_json(calls)
        while isinstance(answers := json.loads(await talk.socket.receive_str()), dict):
            assert "method" in answers
        assert [(one["id"], one.get("error", {}).get("code")) for one in answers] == [
            (1, None),
            (2, None),
            (3, -32601),
            (None, -32600),
        ]
        people = await talk.hear("roomStatus")
        assert people[0]["muted"] is True


async def test_second_join(edge: Edge, demo: dict[str, Any]) -> None:
    """A second join on one socket is refused, and the first holds."""
    async with talking(edge) as talk:
        await talk.result("join", JOIN)
        assert await talk.refused("join", JOIN) == (-32600, "already_joined")
        await talk.result("offer", OFFER)


async def test_wrong_pin(edge: Edge) -> None:
    """A wrong PIN is refused, the right one then taken."""
    await edge.new_room(pin="a1b2c3")
    async with talking(edge) as talk:
        assert await talk.refused("join", {**JOIN, "pin": "000000"}) == (-32600, "wrong_pin")
        await talk.result("join", {**JOIN, "pin": "a1b2c3"})


async def test_full(edge: Edge) -> None:
    """A full room refuses the next."""
    await edge.new_room(maxAnchors=1)
    async with talking(edge) as ada, talking(edge) as bob:
        await ada.result("join", JOIN)
        assert await bob.refused("join", JOIN) == (-32600, "room_full")


@pytest.mark.parametrize("code", ["bad_sdp", "no_audio", "bad_fingerprint"])
async def test_refused_offers(edge: Edge, demo: dict[str, Any], code: str) -> None:
    """What the mixer finds wrong with an offer reaches the person."""
    async with talking(edge) as talk:
        await talk.result("join", JOIN)
        edge.node.mixer.refusal = ClientMistake(code, "the sentence")
        assert await talk.refused("offer", OFFER) == (-32600, code)


async def test_mixer_away(edge: Edge, demo: dict[str, Any]) -> None:
    """While the mixer is away offers are to be repeated."""
    async with talking(edge) as talk:
        await talk.result("join", JOIN)
        edge.node.mixer.is_away = True
        error = (await talk.call("offer", OFFER))["error"]
        assert (error["code"], error["data"]["code"]) == (-32603, "media_unavailable")
        assert error["data"]["retryable"] is True


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" + "{}," * 32 + "{}]", "\ud83d", "[" * 30_000, '{"id":[]}', "{}"]
)
async def test_malformed(edge: Edge, demo: dict[str, Any], text: str) -> None:
    """What is no message is answered with an error, and the socket goes on."""
    async with talking(edge) as talk:
        await talk.socket.send_str(text.encode("utf-8", "replace").decode())
        assert (await talk.read())["error"]["code"] in (-32700, -32600)
        await talk.result("join", JOIN)


async def test_binary(edge: Edge, demo: dict[str, Any]) -> None:
    """A binary message is no message."""
    async with talking(edge) as talk:
        await talk.socket.send_bytes(b'{"id":1,"method":"join"}')
        assert (await talk.read())["error"]["code"] == -32700


async def test_too_big(edge: Edge, demo: dict[str, Any]) -> None:
    """A message of more than 32 KiB ends its socket with 1009, and no other."""
    async with talking(edge) as big, talking(edge) as other:
        await other.result("join", JOIN)
        await big.socket.send_str(" " * 33_000)
        assert await big.closed() == 1009
        assert await other.result("keepalive") is None


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("?token=x", {}, 401),
        ("?token={listen}", {}, 401),
        ("?token={expired}", {}, 401),
        ("?token={good}", {"Origin": "https://evil.example"}, 403),
        ("", {"Authorization": "Bearer {good}"}, 101),
        ("", {"Authorization": "{good}"}, 101),
        ("?token={good}", {}, 101),
    ],
)
async def test_who_may_connect(
    edge: Edge, demo: dict[str, Any], query: str, headers: dict[str, str], status: int
) -> None:
    """A socket needs a good join token, and no page of another site."""
    grant = edge.node.access.joining(await edge.join_token())
    tokens = {
        "good": edge.node.join_token(grant),
        "expired": edge.node.join_token(grant, ttl_s=-1),
        "listen": await edge.listen_token(),
    }
    headers = {name: value.format(**tokens) for name, value in headers.items()}
    try:
        async with edge.http.ws_connect(f"/ws{query.format(**tokens)}", headers=headers):
            got = 101
    except aiohttp.WSServerHandshakeError as error:
        got = error.status
    assert got == status


async def test_lost_socket(edge: Edge, demo: dict[str, Any]) -> None:
    """Who loses the socket before there is media is gone from the list."""
    async with talking(edge) as ada, talking(edge) as bob:
        await bob.result("join", JOIN)
        await ada.result("join", JOIN)
        while len(await bob.hear("roomStatus")) != 2:
            pass
        await ada.socket.close()
        while len(await bob.hear("roomStatus")) != 1:
            pass
        assert edge.node.presence.total == 1


async def test_slow_client(edge: Edge, demo: dict[str, Any]) -> None:
    """A client that does not keep up is dropped, and the others hear on."""
    async with talking(edge) as slow, talking(edge) as other:
        await slow.result("join", JOIN)
        await other.result("join", JOIN)
        transport = next(iter(edge.node.presence._clients.values()))
        for _ in range(MAX_WAITING_TEXTS + 1):
            transport.push("{}")
        assert await slow.closed() == 1006
        assert await other.result("keepalive") is None


async def test_ice_servers_are_told(serve: Serve, tmp_path: Path) -> None:
    """With `join`: credentials are the person's own; none without servers."""
    edge = await serve(ice_servers="turn:t.example", turn_secret_file=tmp_path / "secret")
    await edge.new_room()
    async with talking(edge, await edge.join_token()) as talk:
        joined = await talk.result("join", JOIN)
    (server,) = joined["iceServers"]
    assert server["urls"] == ["turn:t.example"]
    assert server["username"].endswith(f":{joined['userId']}")
    assert server["credential"]
