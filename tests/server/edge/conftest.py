"""A server on a real socket, with fake planes behind it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from server.edge.app import create_app
from server.supervise import Supervisor
from tests.server.edge.whip_client import Client
from tests.support.contract import check_answer
from tests.support.node import Node, open_node

Http = TestClient[Any, Any]
Serve = Callable[..., Awaitable["Edge"]]


class Edge:
    """A node and a client of it."""

    def __init__(self, node: Node, http: Http) -> None:
        self.node = node
        self.http = http

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.node.keyring.admin_key}"}

    async def ask(
        self, method: str, path: str, body: object = None, **options: Any
    ) -> tuple[int, Any]:
        """Return status and JSON, which the contract must have; bytes are sent as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.request(method, path, data=data, **options) as answer:
            told = json.loads(await answer.read())
        check_answer(method, path, answer.status, told)
        return answer.status, told

    async def as_admin(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        return await self.ask(method, path, body, headers=self.admin)

    async def new_room(self, room_id: str = "demo", **body: object) -> dict[str, Any]:
        wanted = {"roomId": room_id, "pin": "", "maxAnchors": None, "expiresIn": None}
        status, answer = await self.as_admin("POST", "/api/rooms", wanted | body)
        assert status == 201, answer
        room: dict[str, Any] = answer["room"]
        return room

    async def join_token(self, room_id: str = "demo") -> str:
        _, answer = await self.as_admin("POST", f"/api/rooms/{room_id}/users", {})
        return str(answer["token"])

    async def listen_token(self, room_id: str = "demo") -> str:
        _, answer = await self.as_admin("POST", "/api/token", {"roomId": room_id})
        self.http.session.cookie_jar.clear()
        return str(answer["token"])


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Start a server with settings of one's own."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Edge:
            node = await stack.enter_async_context(open_node(tmp_path, **settings))
            supervisor = await stack.enter_async_context(Supervisor("test"))
            node.services.keep(supervisor)
            server = TestServer(create_app(node.services.context))
            client = TestClient(server, cookie_jar=aiohttp.CookieJar(unsafe=True))
            return Edge(node, await stack.enter_async_context(client))

        yield start


@pytest.fixture
async def edge(serve: Serve) -> Edge:
    """A server with the default settings."""
    return await serve()


@pytest.fixture
async def whip(edge: Edge) -> Client:
    """A publisher, and a room for them."""
    await edge.new_room()
    return Client(edge.http, "whip", await edge.join_token())


@pytest.fixture
async def whep(edge: Edge) -> Client:
    """A listener, and a room for them."""
    await edge.new_room()
    return Client(edge.http, "whep", await edge.listen_token())
