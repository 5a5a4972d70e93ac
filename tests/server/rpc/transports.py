"""Pairs of connected transports, one way of connecting each."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestServer

from server.edge.socket import SocketTransport
from server.rpc.errors import TransportClosed
from server.rpc.unix import UnixTransport, adopt
from server.services.presence import Farewell


class ClosableTransport(Protocol):
    """What the contract tests need of either end."""

    async def send(self, text: str) -> None: ...

    async def receive(self) -> str: ...

    async def close(self) -> None: ...


class MemoryEnd:
    """One end of a pair in this process."""

    def __init__(
        self, incoming: asyncio.Queue[str | None], outgoing: asyncio.Queue[str | None]
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False

    async def send(self, text: str) -> None:
        if self._closed:
            raise TransportClosed
        await self._outgoing.put(text)

    async def receive(self) -> str:
        text = None if self._closed else await self._incoming.get()
        if text is None:
            self._closed = True
            raise TransportClosed
        return text

    async def close(self) -> None:
        self._closed = True
        await self._incoming.put(None)
        await self._outgoing.put(None)


class UnixEnd:
    """A Unix transport whose `close` can be awaited."""

    def __init__(self, inner: UnixTransport) -> None:
        self._inner = inner

    async def send(self, text: str) -> None:
        await self._inner.send(text)

    async def receive(self) -> str:
        return await self._inner.receive()

    async def close(self) -> None:
        self._inner.close()
        await self._inner.wait_closed()


class EdgeEnd:
    """The server's end of a WebSocket, as the edge has it."""

    def __init__(self, inner: SocketTransport) -> None:
        self._inner = inner

    async def send(self, text: str) -> None:
        await self._inner.send(text)

    async def receive(self) -> str:
        return await self._inner.receive()

    async def close(self) -> None:
        self._inner.end(Farewell.LEFT)


class ClientEnd:
    """The client's end of a WebSocket."""

    def __init__(self, inner: ClientWebSocketResponse) -> None:
        self._inner = inner

    async def send(self, text: str) -> None:
        try:
            await self._inner.send_str(text)
        except ConnectionError:
            raise TransportClosed from None

    async def receive(self) -> str:
        message = await self._inner.receive()
        if message.type is not WSMsgType.TEXT:
            raise TransportClosed
        return str(message.data)

    async def close(self) -> None:
        await self._inner.close()


Pair = tuple[ClosableTransport, ClosableTransport]


@asynccontextmanager
async def memory_pair() -> AsyncIterator[Pair]:
    """Two queues."""
    one, other = asyncio.Queue[str | None](), asyncio.Queue[str | None]()
    yield MemoryEnd(one, other), MemoryEnd(other, one)


@asynccontextmanager
async def unix_pair() -> AsyncIterator[Pair]:
    """A socket pair."""
    left, right = [await adopt(end) for end in socket.socketpair()]
    try:
        yield UnixEnd(left), UnixEnd(right)
    finally:
        for end in (left, right):
            end.abort()
            await end.wait_closed()


@asynccontextmanager
async def websocket_pair() -> AsyncIterator[Pair]:
    """A real WebSocket over loopback."""
    accepted: asyncio.Future[SocketTransport] = asyncio.get_running_loop().create_future()

    async def accept(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        transport = SocketTransport(response, request)
        accepted.set_result(transport)
        await transport.write()
        return response

    app = web.Application()
    app.router.add_get("/", accept)
    async with (
        TestServer(app) as server,
        ClientSession() as session,
        session.ws_connect(server.make_url("/")) as client,
    ):
        far = EdgeEnd(await accepted)
        yield ClientEnd(client), far
        await far.close()


PAIRS = {"memory": memory_pair, "unix": unix_pair, "websocket": websocket_pair}
