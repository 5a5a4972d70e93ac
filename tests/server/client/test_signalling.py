"""A person's signalling against a server that answers as a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.client import signalling as module
from server.client.api import Api, Target
from server.client.errors import ClientError, Exit
from server.client.signalling import MAX_TOLD, Signalling

Script = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def talking(script: Script) -> AsyncIterator[tuple[Signalling, "asyncio.Task[None]"]]:
    """A conversation with a server that does what `script` says, then closes."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        assert request.query["token"] == "a b+c"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await script(socket)
        return socket

    app = web.Application()
    app.router.add_get("/ws", serve)
    async with (
        TestServer(app) as server,
        Api(Target(str(server.make_url("/")))) as api,
        Signalling(api, "a b+c") as made,
    ):
        running = asyncio.create_task(made.run())
        try:
            yield made, running
        finally:
            running.cancel()
            with suppress(ClientError, asyncio.CancelledError):
                await running


async def test_answers_in_any_order() -> None:
    """Each call gets its own answer, whichever comes first."""

    async def script(socket: web.WebSocketResponse) -> None:
        asked = [await socket.receive_json() for _ in range(2)]
        for one in reversed(asked):
            await socket.send_json({"jsonrpc": "2.0", "id": one["id"], "result": one["method"]})
        await socket.receive()

    async with talking(script) as (signalling, _):
        answers = await asyncio.gather(signalling.call("join", pin="1"), signalling.call("mute"))
    assert list(answers) == ["join", "mute"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "Full", "data": {"code": "room_full"}}, Exit.NOT_NOW),
        ({"message": "Odd", "data": None}, Exit.FAILED),
    ],
)
async def test_refused(error: Any, status: Exit) -> None:
    """A refusal ends the command by its code; one without a code is a failure."""

    async def script(socket: web.WebSocketResponse) -> None:
        asked = await socket.receive_json()
        await socket.send_json({"jsonrpc": "2.0", "id": asked["id"], "error": error})
        await socket.receive()

    async with talking(script) as (signalling, _):
        with pytest.raises(ClientError, match=error["message"]) as caught:
            await signalling.call("join")
    assert caught.value.exit_status is status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (1001, Exit.NOT_NOW),
        (4001, Exit.NOT_NOW),
        (4003, Exit.NOT_ALLOWED),
        (4004, Exit.NOT_FOUND),
        (4999, Exit.UNREACHABLE),
    ],
)
async def test_closed(code: int, status: Exit) -> None:
    """Why the server ended it is what whoever waits is told, and how the command ends."""

    async def script(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.close(code=code)

    async with talking(script) as (signalling, running):
        with pytest.raises(ClientError) as waited:
            await signalling.call("join")
        with pytest.raises(ClientError) as ended:
            await running
    assert waited.value.exit_status is ended.value.exit_status is status


async def test_left() -> None:
    """A close after `leave` is no error."""

    async def script(socket: web.WebSocketResponse) -> None:
        await socket.close(code=1000)

    async with talking(script) as (_, running):
        await running


async def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that is not answered is named, and nothing of it is kept."""
    monkeypatch.setattr(module, "ANSWER_S", 0.01)

    async def script(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.receive()

    async with talking(script) as (signalling, _):
        with pytest.raises(ClientError, match="does not answer join"):
            await signalling.call("join")
        assert signalling._waiting == {}


async def test_told() -> None:
    """What comes unasked waits for a reader; of too much the oldest is dropped."""

    async def script(socket: web.WebSocketResponse) -> None:
        for number in range(MAX_TOLD + 5):
            await socket.send_json({"jsonrpc": "2.0", "method": "chat", "params": number})
        await socket.close(code=1000)

    async with talking(script) as (signalling, running):
        await running
        assert signalling.told.qsize() == MAX_TOLD
        assert (await signalling.told.get())["params"] == 5


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "refuses this token"), (503, "takes nobody now")]
)
async def test_not_let_in(status: int, sentence: str) -> None:
    """A refusal before the upgrade says what the status means."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/ws", refuse)
    async with TestServer(app) as server, Api(Target(str(server.make_url("/")))) as api:
        with pytest.raises(ClientError, match=sentence):
            await Signalling(api, "x").__aenter__()


async def test_nobody_there() -> None:
    """Nor is there anybody to refuse."""
    async with Api(Target("http://127.0.0.1:1")) as api:
        with pytest.raises(ClientError, match="cannot be reached"):
            await Signalling(api, "x").__aenter__()
