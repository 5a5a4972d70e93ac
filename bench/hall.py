"""A room of the whole server in which people speak, joined as browsers do it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence

import aiohttp

from bench.crowd import Client, Crowd
from bench.plan import Part, Store, make_plan
from bench.run import Run
from bench.visitors import PATIENCE_S, Visitor, answer_of
from bench.whole_server import WholeServer

SPEAKING = 3
HOUR_TICKS = 3600 * 50


class Hall:
    """People who came in with sound; their sockets stay open until `close`."""

    def __init__(self, server: WholeServer, crowd: Crowd, http: aiohttp.ClientSession) -> None:
        self.server = server
        self._crowd = crowd
        self._http = http
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def enter(self, visitor: Visitor) -> tuple[Client, float]:
        """Join, offer and connect; return the client and how many ms that took."""
        began_s = time.monotonic()
        client = self._crowd.add()
        socket = await self._http.ws_connect(visitor.url)
        self._sockets.append(socket)
        async with asyncio.timeout(PATIENCE_S):
            await socket.send_str(visitor.greeting)
            await answer_of(socket, 1)
            offer = {"sdp": {"type": "offer", "sdp": client.offer()}}
            call = {"jsonrpc": "2.0", "id": 3, "method": "offer", "params": offer}
            await socket.send_str(json.dumps(call))
            answer = await answer_of(socket, 3)
        await client.connect(answer["sdp"]["sdp"])
        return client, 1000 * (time.monotonic() - began_s)

    @contextlib.asynccontextmanager
    async def talk(self, clients: Sequence[Client], run: Run) -> AsyncIterator[None]:
        """Let the first of them speak and the others send room noise meanwhile."""
        speech, noise = run.clip("speech"), run.clip("noise")
        parts = [
            Part(
                client.index, speech if number < SPEAKING else noise, HOUR_TICKS,
                run.phase_s(), at=17 * number,
            )
            for number, client in enumerate(clients)
        ]  # fmt: skip
        plan = make_plan(Store.of([speech, noise]), parts)
        talking = asyncio.create_task(self._crowd.play(plan), name="talk")
        try:
            yield
        finally:
            talking.cancel()  # it has an hour
            await asyncio.gather(talking, return_exceptions=True)

    async def close(self) -> None:
        """Cut everybody off."""
        for socket in self._sockets:
            socket._response.close()


@contextlib.asynccontextmanager
async def hall(server: WholeServer, capacity: int) -> AsyncIterator[Hall]:
    """A hall of the server, which runs; nobody is in it yet."""
    crowd = Crowd(capacity)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        made = Hall(server, crowd, http)
        try:
            yield made
        finally:
            await made.close()
            await crowd.close()
