"""One person's signalling socket that is always read: answers, close code, nothing waits."""

import asyncio
import collections
import itertools
import json
from typing import Any

import aiohttp


class Refused(Exception):  # noqa: N818 - what happened
    """The server answered with an error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Conversation:
    """A socket and its reader. `gone` has the close code once it is over.

    `told` counts the notifications by method.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.told: collections.Counter[str] = collections.Counter()
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read(), name="conversation")  # ends in `abort`
        self.gone: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def call(self, method: str, **params: Any) -> Any:
        """Return the result of a call. Raises Refused, ConnectionError."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await self._socket.send_json(request)
        if self.gone.done() and not answer.done():
            raise ConnectionError
        said = await answer
        if "error" in said:
            raise Refused(said["error"]["data"]["code"])
        return said["result"]

    async def abort(self) -> None:
        """Cut the connection: no close frame, no goodbye."""
        writer = self._socket._writer
        if writer.transport is not None:
            writer.transport.abort()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._socket._response.close()  # the pool's end of it

    async def close(self) -> None:
        """Say goodbye to the socket, not to the room."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                answer = json.loads(message.data)
                self.told[answer.get("method", "")] += 1
                waiting = self._waiting.pop(answer.get("id"), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("the socket is gone"))
                    waiting.exception()  # whoever asked has perhaps gone too
            self.gone.set_result(self._socket.close_code)


async def converse(http: aiohttp.ClientSession, url: str, token: str) -> Conversation:
    """Open a socket. Raises aiohttp.WSServerHandshakeError if the token is refused."""
    return Conversation(await http.ws_connect(f"{url}/ws?token={token}", max_msg_size=0))
