"""A person without a browser: signalling over the WebSocket, media by aiortc."""

import asyncio
import contextlib
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.support.program import Program
from tests.support.webrtc_client import Pcm, WebRtcClient, client


class BusyError(Exception):
    """The server has no capacity now, and says when to come back."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"come back in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Signalling:
    """One WebSocket of a person; `notifications` keeps what came unasked."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.notifications: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method; return its result. Raises BusyError."""
        number = next(self._numbers)
        await self._socket.send_json(
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        )
        async for message in self._socket:
            assert message.type is WSMsgType.TEXT, message
            answer = json.loads(message.data)
            if answer.get("id") == number:
                refusal = answer.get("error", {}).get("data", {})
                if refusal.get("code") == "no_capacity":
                    raise BusyError(refusal["retryAfterMs"] / 1000)
                assert "result" in answer, answer
                return answer["result"]
            self.notifications.append(answer)
        raise AssertionError("the server closed the socket")


@contextlib.asynccontextmanager
async def open_signalling(
    program: Program, room: str, name: str, role: str = "anchor"
) -> AsyncIterator[Signalling]:
    """Join a room as the holder of a fresh token."""
    status, user = await program.call(
        "POST", f"/api/rooms/{room}/users", {"role": role, "displayName": name}
    )
    assert status == 200, user
    async with program.http.ws_connect(f"{program.url}/ws?token={user['token']}") as socket:
        signalling = Signalling(socket)
        await signalling.call("join", clientId=str(uuid.uuid4()), displayName=name)
        yield signalling


async def connect(signalling: Signalling, made: WebRtcClient, offer: str) -> None:
    """Send the client's offer and wait until it is connected; come back if it is told to."""
    try:
        result = await signalling.call("offer", sdp={"type": "offer", "sdp": offer})
    except BusyError as busy:
        await asyncio.sleep(busy.retry_after_s)  # sleep: what the server asks for
        await connect(signalling, made, offer)
        return
    await made.accept(result["sdp"]["sdp"])
    while made.connection.connectionState != "connected":  # noqa: ASYNC110 - aiortc is not ours
        await asyncio.sleep(0.01)  # sleep: aiortc tells nobody


@contextlib.asynccontextmanager
async def person(
    program: Program, room: str, name: str, source: Callable[[int], Pcm], role: str = "anchor"
) -> AsyncIterator[tuple[Signalling, WebRtcClient]]:
    """A person who has joined and is not yet connected: see `connect`."""
    async with open_signalling(program, room, name, role) as signalling, client(source) as made:
        yield signalling, made
