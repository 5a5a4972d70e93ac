"""A person's signalling: JSON-RPC over the WebSocket of a server."""

import asyncio
import itertools
import json
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from aiohttp import WSMsgType

from server.client.api import Api, unreachable
from server.client.errors import ClientError, Exit, refused

ANSWER_S: Final = 15.0
LEFT: Final = 1000
MAX_TOLD: Final = 100  # notifications that wait for a reader; older ones are dropped
_CLOSED: Final = {
    1001: ("The server stops: try again in a moment", Exit.NOT_NOW),
    4001: ("The same person joined from elsewhere", Exit.NOT_NOW),
    4003: ("Removed from the room", Exit.NOT_ALLOWED),
    4004: ("The room is gone", Exit.NOT_FOUND),
}


class Signalling:
    """Calls methods and keeps what comes unasked; use as an async context manager."""

    def __init__(self, api: Api, token: str) -> None:
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_TOLD)
        self._api = api
        self._token = token
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        base = self._api.target.url.rstrip("/")
        url = f"{base}/ws?token={quote(self._token, safe='')}"
        try:
            self._socket = await self._api.session.ws_connect(url, heartbeat=20.0)
        except aiohttp.WSServerHandshakeError as error:
            # It has no body: what the status means is all there is to say.
            sentence = "The server refuses this token: it is expired, revoked or of another kind"
            if error.status == 503:
                sentence = "The server takes nobody now: try again in a moment"
            raise refused(error.status, "forbidden", sentence) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(base, error) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def run(self) -> None:
        """Read until the server ends it. Raises ClientError with its reason unless we left."""
        assert self._socket is not None, "use it as a context manager"
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(_ended(self._socket.close_code))
        if self._socket.close_code != LEFT:
            raise _ended(self._socket.close_code)

    async def call(self, method: str, **params: Any) -> Any:
        """Return a method's result, while `run` runs. Raises ClientError."""
        assert self._socket is not None, "use it as a context manager"
        number = next(self._numbers)
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            await self._socket.send_json(request)
            async with asyncio.timeout(ANSWER_S):
                answer = await waiting
        except TimeoutError:
            raise ClientError(f"The server does not answer {method}") from None
        except ConnectionError:
            raise _ended(self._socket.close_code) from None
        finally:
            del self._waiting[number]
        if "error" in answer:
            error = answer["error"]
            raise refused(0, str((error.get("data") or {}).get("code", "")), str(error["message"]))
        return answer.get("result")

    def _take(self, text: str) -> None:
        message = json.loads(text)
        waiting = self._waiting.get(message.get("id"))
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        elif "method" in message:
            if self.told.full():
                self.told.get_nowait()
            self.told.put_nowait(message)


def _ended(close_code: int | None) -> ClientError:
    sentence, exit_status = _CLOSED.get(
        close_code or 0, ("The connection to the server was lost", Exit.UNREACHABLE)
    )
    return ClientError(sentence, exit_status)
