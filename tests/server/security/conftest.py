"""A server on a real port, with fake planes behind it, and sockets that are not polite."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, create_server
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server.edge.app import create_app
from server.edge.connections import Connections, listen
from server.supervise import Supervisor
from tests.support.node import Node, open_node

ANSWER_S = 20.0  # generous: nothing here waits for it to pass


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Port:
    """A node, its connections, and what one can throw at its port."""

    def __init__(self, node: Node, connections: Connections, number: int) -> None:
        self.node = node
        self.connections = connections
        self.number = number

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}"

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.node.keyring.admin_key}"}

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def throw(self, sent: bytes) -> list[Answer]:
        """Send bytes and return every answer until the server closes the connection."""
        async with self.connect() as (reader, writer), asyncio.timeout(ANSWER_S):
            try:
                writer.write(sent)
                await writer.drain()
                return answers(await reader.read())
            except ConnectionError:  # it had heard enough
                return []

    async def ask(
        self, path: str, method: str = "GET", body: object = None, **headers: str
    ) -> Answer:
        """Send one request with these headers (`_` stands for `-`) and Host, and nothing else."""
        data = b"" if body is None else json.dumps(body).encode()
        given = {"Host": f"127.0.0.1:{self.number}", "Connection": "close"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given["Content-Length"] = str(len(data))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        request = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data
        async with self.connect() as (reader, writer), asyncio.timeout(ANSWER_S):
            writer.write(request)
            (answer,) = answers(await reader.read())
            return answer

    async def is_well(self) -> bool:
        """Whether the server goes on and no connection is left."""
        return (await self.ask("/health")).status == 200

    async def new_room(self, **body: object) -> dict[str, Any]:
        wanted = {"roomId": "demo", "pin": "", "maxAnchors": None, "expiresIn": None} | body
        answer = await self.ask("/api/rooms", "POST", wanted, **self.admin)
        assert answer.status == 201, answer
        room: dict[str, Any] = answer.json["room"]
        return room

    async def join_token(self) -> str:
        answer = await self.ask("/api/rooms/demo/users", "POST", {}, **self.admin)
        return str(answer.json["token"])


def answers(raw: bytes) -> list[Answer]:
    """Take apart what came back; bodies have a Content-Length or end with the connection."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/"), first
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip(): value.strip() for name, _, value in pairs}
        length = int(headers.get("Content-Length", 0))
        found.append(Answer(int(first.split()[1]), headers, raw[:length]))
        raw = raw[length:]
    return found


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop run until something has come about."""
    async with asyncio.timeout(ANSWER_S):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def is_cut(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a word."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await reader.read() == b""
    except ConnectionError:
        return True


Open = Callable[..., Awaitable[Port]]


@pytest.fixture
async def open_port(tmp_path: Path) -> AsyncIterator[Open]:
    """Start a server with settings of one's own."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Port:
            node = await stack.enter_async_context(open_node(tmp_path, **settings))
            supervisor = await stack.enter_async_context(Supervisor("test"))
            node.services.keep(supervisor)
            runner = web.AppRunner(
                create_app(node.services.context), access_log=None, shutdown_timeout=0.1
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            socket = create_server(("127.0.0.1", 0), family=AF_INET)
            listening = await listen(runner, socket, None)
            stack.callback(listening.close)
            return Port(node, listening.connections, socket.getsockname()[1])

        yield start


@pytest.fixture
async def port(open_port: Open) -> Port:
    """A server with the default settings."""
    return await open_port()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
