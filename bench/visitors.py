"""Signalling clients without sound: what they say, and how long they wait for the answer."""

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from bench.errors import BenchMistake

PATIENCE_S = 20.0
OPENED_AT_ONCE = 50  # of those who stay: the listen queue has 128 places


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a way in: where their socket is opened, and what they say first and last."""

    url: str
    greeting: str
    goodbye: str = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "leave"})

    @classmethod
    def at(cls, url: str) -> "Visitor":
        """Return one who joins with a client id of their own."""
        params = {"clientId": str(uuid.uuid4())}
        call = {"jsonrpc": "2.0", "id": 1, "method": "join", "params": params}
        return cls(url, json.dumps(call))


@dataclass(frozen=True, slots=True)
class Waited:
    """What a visit took, in ms: from the first packet to an open socket, from `join` to its answer,
    and how much after its time it began, which is this process's fault."""  # noqa: D205, D209 - one sentence

    connect: float
    join: float
    late: float = 0.0


class Door(Protocol):
    """A server that visitors can be sent to."""

    name: str

    async def start(self) -> None:
        """Start it; it answers when this returns."""

    async def visitors(self, count: int, of_a_room: int) -> list[Visitor]:
        """Return so many people, some to each room."""

    def pids(self) -> list[int]:
        """Return its processes, the one with the sockets first."""

    async def stop(self) -> None:
        """End it, whatever state it is in."""


class Stayers:
    """People who have joined and say nothing more; they read what they are told."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, visitors: Sequence[Visitor]) -> None:
        """Let people in. Raises BenchMistake if somebody is refused."""
        for first in range(0, len(visitors), OPENED_AT_ONCE):
            group = visitors[first : first + OPENED_AT_ONCE]
            sockets = await asyncio.gather(*(self._enter(visitor) for visitor in group))
            self._tasks += [asyncio.create_task(_read(one), name="stayer") for one in sockets]

    def check(self) -> None:
        """Raise BenchMistake if somebody lost their socket."""
        lost = sum(task.done() for task in self._tasks)
        if lost:
            raise BenchMistake(f"{lost} of {len(self._tasks)} who should stay lost their socket.")

    async def go(self) -> None:
        """Cut everybody off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _enter(self, visitor: Visitor) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(PATIENCE_S):
            socket = await self._http.ws_connect(visitor.url)
            await socket.send_str(visitor.greeting)
            await answer_of(socket, 1)
        return socket


async def visit(http: aiohttp.ClientSession, visitor: Visitor, due_s: float) -> Waited:
    """Join and leave at once. Raises BenchMistake if that is refused."""
    async with asyncio.timeout(PATIENCE_S):
        began_s = time.monotonic()
        async with http.ws_connect(visitor.url) as socket:
            open_s = time.monotonic()
            await socket.send_str(visitor.greeting)
            await answer_of(socket, 1)
            joined_s = time.monotonic()
            await socket.send_str(visitor.goodbye)
            await answer_of(socket, 2)
    return Waited(1000 * (open_s - began_s), 1000 * (joined_s - open_s), 1000 * (began_s - due_s))


async def visits(
    http: aiohttp.ClientSession, visitors: Sequence[Visitor], rate: float, seconds: float
) -> list[Waited]:
    """Send `rate` visitors a second, whether those before were served or not."""
    start_s = time.monotonic() + 0.05
    tasks = []
    for number in range(round(rate * seconds)):
        due_s = start_s + number / rate
        await asyncio.sleep(due_s - time.monotonic())
        visitor = visitors[number % len(visitors)]
        tasks.append(asyncio.create_task(visit(http, visitor, due_s), name="visit"))
    try:
        return await asyncio.gather(*tasks)
    except (TimeoutError, aiohttp.ClientError) as error:
        raise BenchMistake(f"Not everybody was let in at {rate:g} a second: {error!r}.") from error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answer_of(socket: aiohttp.ClientWebSocketResponse, number: int) -> Any:
    """Return the result of a call, past notifications. Raises BenchMistake if it is refused.

    The echo of a call passes for its answer.
    """
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            break
        said = json.loads(message.data)
        if said.get("id") == number:
            if "error" in said:
                raise BenchMistake(f"A visitor was refused: {said['error']}.")
            return said.get("result")
    raise BenchMistake(f"A visitor's socket was closed ({socket.close_code}).")


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    try:
        async for _ in socket:
            pass
    finally:
        socket._response.close()  # no handshake: thousands of them would wait for each other
