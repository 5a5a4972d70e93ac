"""Webhooks against a real receiver: one that takes, fails, hangs, and is away for a while."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mixer.types import RoomId
from server.domain.grants import Role
from server.domain.identity import UserId
from server.domain.webhook import Kind, signature
from server.edge.hook_sender import HookReach, HttpHookSender
from server.errors import HookFailed, StoreLost
from server.services.presence import Arrival
from server.services.webhooks import Webhooks
from server.supervise import Supervisor
from tests.server.edge.conftest import Edge, Serve
from tests.support.node import FakeClient, Node

ADA = UserId("6f1f0c3e-1d52-4c6e-9a3b-0a4f5e6d7c8b")


class Receiver:
    """A program that is told things. `statuses` are its next answers, then it takes everything."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.hangs = 0
        self.came = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append((dict(request.headers), await request.read()))
        self.came.set()
        if self.hangs:
            self.hangs -= 1
            await asyncio.Event().wait()
        status = self.statuses.pop(0) if self.statuses else 204
        headers = {"Location": "/elsewhere"} if status // 100 == 3 else {}
        return web.Response(status=status, headers=headers)

    async def wait_for(self, count: int) -> list[tuple[str, str]]:
        """Return type and room of the calls, once there are so many."""
        async with asyncio.timeout(10):
            while len(self.calls) < count:
                self.came.clear()
                await self.came.wait()
        bodies = [json.loads(body) for _, body in self.calls]
        return [(one["type"], one["data"].get("roomId", "")) for one in bodies]


@asynccontextmanager
async def listening(receiver: Receiver, port: int | None = None) -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    server = TestServer(app, port=port)
    await server.start_server(shutdown_timeout=0)
    try:
        yield server
    finally:
        await server.close()


def fast(edge_or_node: Node) -> None:
    """Try again after a hundredth of a second."""
    edge_or_node.services.context.webhooks._delays = lambda: itertools.repeat(0.01)


async def hooked(serve: Serve, url: object, **body: object) -> tuple[Edge, dict[str, Any]]:
    edge = await serve(webhook_networks="127.0.0.0/8")
    fast(edge.node)
    _, answer = await edge.as_admin("POST", "/api/webhooks", {"url": str(url), **body})
    made: dict[str, Any] = answer["webhook"]
    return edge, made


async def standing(edge: Edge, path: str, is_so: Callable[[dict[str, Any]], object]) -> None:
    """Ask until it is so."""
    for _ in range(1000):
        if is_so((await edge.as_admin("GET", path))[1]["webhook"]):
            return
    raise AssertionError("it never was")


async def test_told_and_signed(serve: Serve) -> None:
    """A room's life is told in order, each call signed, with an id of its own."""
    receiver = Receiver()
    async with listening(receiver) as server:
        edge, hook = await hooked(serve, server.make_url("/hook"))
        await edge.new_room("demo")
        await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": False, "name": "New"})
        edge.node.presence.enter(
            edge.node.rooms.get(RoomId("demo")), Arrival(ADA, Role.ANCHOR, "Ada"), FakeClient()
        )
        edge.node.presence.mute(RoomId("demo"), ADA, muted=True)
        await edge.as_admin("DELETE", "/api/rooms/demo")
        told = await receiver.wait_for(8)
    assert [kind for kind, _ in told] == [
        *("room.created", "broadcast.started", "room.changed", "broadcast.ended"),
        *("participant.joined", "participant.muted", "participant.left", "room.removed"),
    ]
    assert {room for _, room in told} == {"demo"}
    ids = set()
    for headers, body in receiver.calls:
        name, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        ids.add(name)
        assert headers["webhook-signature"] == signature(hook["secret"], name, timestamp, body)
        assert headers["Content-Type"] == "application/json"
    assert len(ids) == 8


async def test_only_what_was_asked_for(serve: Serve) -> None:
    """A webhook is told of the events it names."""
    receiver = Receiver()
    async with listening(receiver) as server:
        edge, _ = await hooked(serve, server.make_url("/"), events=["room.removed"])
        await edge.new_room("demo")
        await edge.as_admin("DELETE", "/api/rooms/demo")
        assert await receiver.wait_for(1) == [("room.removed", "demo")]


async def test_retried_in_order(serve: Serve) -> None:
    """What is not taken is told again under the same id, and nothing of its room before it."""
    receiver = Receiver()
    receiver.statuses = [500, 302, 429]
    receiver.hangs = 1
    async with listening(receiver) as server:
        edge, hook = await hooked(
            serve, server.make_url("/"), events=["room.created", "room.removed"]
        )
        await edge.new_room("demo")
        await edge.as_admin("DELETE", "/api/rooms/demo")
        told = await receiver.wait_for(6)
        path = f"/api/webhooks/{hook['webhookId']}"
        await standing(edge, path, lambda one: not one["waiting"])
        _, answer = await edge.as_admin("GET", path)
    assert told == [("room.created", "demo")] * 5 + [("room.removed", "demo")]
    ids = [headers["webhook-id"] for headers, _ in receiver.calls]
    assert len(set(ids[:5])) == 1
    made = answer["webhook"]
    assert (made["delivered"], made["failed"], made["dead"]) == (2, 4, 0)
    reasons = [one["reason"] for one in made["failures"]]
    assert reasons[0] == "It did not answer within 0.5 s"
    assert reasons[1:] == ["It answered 500", "It answered 302", "It answered 429"]


async def test_rooms_do_not_wait_for_each_other(serve: Serve) -> None:
    """A call that hangs holds up its own room only."""
    receiver = Receiver()
    receiver.hangs = 1
    async with listening(receiver) as server:
        edge, _ = await hooked(serve, server.make_url("/"), events=["room.created"])
        for room in ("one", "two", "three"):
            await edge.new_room(room)
        told = await receiver.wait_for(3)
    assert [room for _, room in told] == ["one", "two", "three"]


async def test_survives_restarts(serve: Serve, unused_tcp_port: int) -> None:
    """Whatever was answered is told, though both sides are away in between."""
    edge, _ = await hooked(serve, f"http://127.0.0.1:{unused_tcp_port}/", events=["room.created"])
    for room in ("one", "two"):
        await edge.new_room(room)
    again = Webhooks(
        edge.node.store,
        edge.node.hook_sender,
        edge.node.clock,
        lambda: itertools.repeat(0.01),
    )
    await again.load()
    assert [one.waiting for one in again.all()] == [2]
    receiver = Receiver()
    async with Supervisor("again") as supervisor, listening(receiver, unused_tcp_port):
        again.serve(supervisor)
        told = await receiver.wait_for(2)
        assert {("room.created", "one"), ("room.created", "two")} <= set(told)
        for _ in range(10_000):
            if not again.all()[0].waiting:
                break
            await asyncio.sleep(0)
    assert not [
        one for one in (await edge.node.store.scan("/webhooks/")).records if "waiting" in one.key
    ]


async def test_given_up_after_a_day(serve: Serve, unused_tcp_port: int) -> None:
    """What nobody takes for a day is given up, and counted."""
    edge, hook = await hooked(
        serve, f"http://127.0.0.1:{unused_tcp_port}/", events=["room.created"]
    )
    await edge.new_room("demo")
    edge.node.advance(86_401)
    path = f"/api/webhooks/{hook['webhookId']}"
    await standing(edge, path, lambda one: one["dead"])
    assert (await edge.as_admin("GET", path))[1]["webhook"]["waiting"] == 0
    async with edge.http.get("/metrics") as answer:
        assert 'roomtone_webhooks_total{outcome="dead"} 1.0' in await answer.text()


async def test_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the oldest are given up, in the store as well."""
    monkeypatch.setattr("server.services.webhooks.MAX_WAITING", 3)
    monkeypatch.setattr("server.services.webhooks.MAX_UNWRITTEN", 5)
    hooks = node.services.context.webhooks
    await hooks.add("https://example.org/", frozenset())
    for number in range(5):
        hooks.happened(Kind.ROOM_CREATED, f"room{number}", {})
        await hooks.written()
    assert (hooks.all()[0].waiting, hooks.all()[0].dead) == (3, 2)
    stored = [
        one.key for one in (await node.store.scan("/webhooks/")).records if "waiting" in one.key
    ]
    assert len(stored) == 3
    for number in range(7):
        hooks.happened(Kind.ROOM_CREATED, f"room{number}", {})
    assert hooks.all()[0].dead == 4


async def test_stored_before_the_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose event cannot be stored is not answered as if it could."""
    edge, _ = await hooked(serve, "https://example.org/")
    commit = edge.node.store.commit

    async def fail(**what: Any) -> object:
        if any("/waiting/" in key for key in what.get("put") or {}):
            raise StoreLost("The disk is full")
        return await commit(**what)

    monkeypatch.setattr(edge.node.store, "commit", fail)
    status, answer = await edge.as_admin("POST", "/api/rooms", {"roomId": "demo"})
    assert (status, answer["code"]) == (503, "store_unavailable")


async def test_ping_and_rotate(serve: Serve) -> None:
    """A ping is one call, now; a new secret signs beside the old one."""
    receiver = Receiver()
    receiver.statuses = [204, 500]
    async with listening(receiver) as server:
        edge, hook = await hooked(serve, server.make_url("/"))
        path = f"/api/webhooks/{hook['webhookId']}"
        _, answer = await edge.as_admin("POST", f"{path}/ping")
        assert answer["ping"] == {"delivered": True, "status": 204, "reason": ""}
        _, rotated = await edge.as_admin("POST", f"{path}/secret")
        assert rotated["webhook"]["secret"] != hook["secret"]
        _, answer = await edge.as_admin("POST", f"{path}/ping")
        assert answer["ping"] == {"delivered": False, "status": 500, "reason": "It answered 500"}
    headers, body = receiver.calls[1]
    name, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
    expected = [
        signature(secret, name, timestamp, body)
        for secret in (rotated["webhook"]["secret"], hook["secret"])
    ]
    assert headers["webhook-signature"].split(" ") == expected


async def test_rest(serve: Serve) -> None:
    """Made, listed without their secrets, removed, bounded."""
    edge, hook = await hooked(serve, "https://example.org/x", events=["room.created"])
    _, answer = await edge.as_admin("GET", "/api/webhooks")
    assert answer["webhooks"] == [{key: hook[key] for key in hook if key != "secret"}]
    path = f"/api/webhooks/{hook['webhookId']}"
    assert (await edge.as_admin("DELETE", path))[0] == 200
    for method, suffix in (("DELETE", ""), ("GET", ""), ("POST", "/ping"), ("POST", "/secret")):
        assert (await edge.as_admin(method, path + suffix))[0] == 404
    assert (await edge.node.store.scan("/webhooks/")).records == ()
    for _ in range(16):
        await edge.as_admin("POST", "/api/webhooks", {"url": "https://example.org/"})
    status, answer = await edge.as_admin("POST", "/api/webhooks", {"url": "https://example.org/"})
    assert (status, answer["code"]) == (409, "too_many")
    assert (await edge.ask("GET", "/api/webhooks"))[0] == 401


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "https://127.0.0.1/", "https://[::1]/", "http://192.0.2.1/"),
        *("https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::ffff:127.0.0.1]/"),
        *("https://[64:ff9b::7f00:1]/", "https://[fe80::1]/", "https://0.0.0.0/"),
    ],
)
async def test_private_addresses(edge: Edge, url: str) -> None:
    """Nothing private is called unless the operator names its network, nor anything in clear."""
    status, answer = await edge.as_admin("POST", "/api/webhooks", {"url": url})
    assert (status, answer["code"]) == (403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001", "2130706433"])
async def test_names_of_private_addresses(host: str) -> None:
    """A name is judged by the addresses it has when it is called."""
    sender = HttpHookSender()
    with pytest.raises(HookFailed):
        await sender.post(f"https://{host}/", {}, b"")
    await sender.close()


def test_reach() -> None:
    """HTTPS to public addresses; anything to the networks that are named."""
    reach = HookReach(("10.0.0.0/8",))
    assert reach.allows("https", "9.9.9.9")
    assert not reach.allows("http", "9.9.9.9")
    assert reach.allows("http", "10.1.2.3")
    assert reach.allows("https", "::ffff:10.1.2.3")
    assert not reach.allows("https", "224.0.0.1")
    assert not reach.allows("https", "fe80::1%eth0")
