"""A WebSocket as the transport of one person's conversation."""

import asyncio
from typing import Final

import structlog
from aiohttp import WSMsgType, web

from server.domain.bucket import Buckets
from server.rpc.errors import TransportClosed
from server.services.presence import Farewell

log = structlog.get_logger(__name__)

MAX_WAITING_TEXTS: Final = 64  # ten seconds of everything we ever say to one person
SEND_DEADLINE_S: Final = 5.0  # a socket that takes nothing for so long is dropped

TRY_LATER: Final = 1013  # IANA, WebSocket Close Code Number Registry
CLOSE_S: Final = 1.0  # how long a client may take to agree to a close

CLOSE_CODES: Final = {
    Farewell.LEFT: 1000,
    Farewell.STOPPING: 1001,
    Farewell.REPLACED: 4001,
    Farewell.MOVED: 4002,
    Farewell.REVOKED: 4003,
    Farewell.ROOM_GONE: 4004,
    Farewell.KICKED: 4005,
    Farewell.DENIED: 4006,
    Farewell.WAITED: 4007,
}


async def turn_away(request: web.Request, retry_after_ms: int) -> web.StreamResponse:
    """Open a browser's socket and say with its close when to come again.

    Browsers keep the answer to a refused upgrade to themselves.
    """
    socket = web.WebSocketResponse(compress=False, timeout=CLOSE_S)
    await socket.prepare(request)
    await socket.close(code=TRY_LATER, message=b'{"retryAfterMs":%d}' % retry_after_ms)
    return socket


class SocketTransport:
    """Transport for a Peer, and Client for the rooms: nothing that sends ever waits.

    Texts go into a ring of MAX_WAITING_TEXTS; a client that lets it overflow is dropped, for
    with one of the texts missing nothing after it could be relied on. So is one that sends more
    than `per_minute` texts (0: any number), for even to refuse them takes time.
    """

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, per_minute: int = 0
    ) -> None:
        self._texts = Buckets(per_minute, 1)
        self._socket = socket
        self._request = request
        self._waiting: asyncio.Queue[str | Farewell] = asyncio.Queue(MAX_WAITING_TEXTS)
        self._is_over = False
        self._farewell: Farewell | None = None

    async def send(self, text: str) -> None:
        """Send a text some time soon. Raises TransportClosed."""
        if self._is_over:
            raise TransportClosed
        self._put(text)

    async def receive(self) -> str:
        """Return the next text. Raises TransportClosed once no more will come."""
        message = await self._socket.receive()
        if self._texts.take("", asyncio.get_running_loop().time()):
            self._drop("floods")
            raise TransportClosed
        if message.type is WSMsgType.TEXT:
            text: str = message.data
            return text
        if message.type is WSMsgType.BINARY:
            return ""  # which the codec refuses as no JSON
        raise TransportClosed

    def push(self, text: str) -> None:
        """Send a text some time soon, if the socket is still there."""
        if not self._is_over:
            self._put(text)

    def end(self, why: Farewell) -> None:
        """Close the socket after what is waiting, and after the answer that is being made."""
        asyncio.get_running_loop().call_soon(self._end, why)

    async def write(self) -> None:
        """Send what is waiting until the socket shall be closed, or cannot be written to."""
        try:
            while not isinstance(item := await self._waiting.get(), Farewell):
                async with asyncio.timeout(SEND_DEADLINE_S):
                    await self._socket.send_str(item)
        except TimeoutError:
            self._drop("takes nothing")
        except (ConnectionError, RuntimeError):  # the latter: closed between two sends
            self._is_over = True

    async def close(self) -> None:
        """Say farewell if there is one, and wait until the client has agreed.

        Nobody may be in `receive`: aiohttp would then cut the connection without waiting, and a
        client that was just writing would lose the close code to the reset.
        """
        self._is_over = True
        if self._farewell is not None:
            code, why = CLOSE_CODES[self._farewell], self._farewell.value
            await self._socket.close(code=code, message=why.encode())

    def _end(self, why: Farewell) -> None:
        if self._is_over:
            return
        self._put(why)
        if not self._is_over:  # there was space for it
            self._is_over = True
            self._farewell = why

    def _put(self, item: str | Farewell) -> None:
        try:
            self._waiting.put_nowait(item)
        except asyncio.QueueFull:
            self._drop("reads too slowly")

    def _drop(self, reason: str) -> None:
        """Cut the connection without waiting for the other side's consent."""
        self._is_over = True
        log.info("socket_dropped", reason=reason)
        if self._request.transport is not None:
            self._request.transport.abort()
