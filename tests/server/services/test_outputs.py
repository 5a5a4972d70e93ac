"""RTMP outputs: their states, what ends them, and what is known of them after a restart."""

import asyncio
from collections.abc import AsyncIterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mixer.types import RoomId
from server.errors import BadInput, Forbidden, NotFound, OutputFailed, RoomNotFound, TooMany
from server.services.outputs import OutputChange, Outputs, OutputState
from server.services.rooms import Wanted
from server.supervise import Supervisor
from tests.support.node import Node, open_node

ROOM = RoomId("demo")
KEY = "secret-key"
URL = f"rtmp://live.example.org/app/{KEY}"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with a room on air; failures are tried again at once."""
    async with open_node(tmp_path) as made, Supervisor() as root:
        made.services.keep(root)
        await made.rooms.create(Wanted(id=ROOM))
        outputs_of(made).delays = lambda: repeat(0.0)
        async with asyncio.timeout(5):
            while made.broadcast.spec(ROOM) is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        yield made


def outputs_of(node: Node) -> Outputs:
    return node.services.context.outputs


async def until(node: Node, state: OutputState) -> None:
    """Let the time of the node pass until the first output is so."""
    async with asyncio.timeout(5):
        while outputs_of(node).all(ROOM)[0].state is not state:
            node.advance(0.1)
            await asyncio.sleep(0)


async def test_live(node: Node) -> None:
    """An output is live as soon as its process says that a part was sent."""
    standing = await outputs_of(node).add(ROOM, URL, "Ours")
    assert standing.state is OutputState.CONNECTING
    await until(node, OutputState.LIVE)
    (process,) = node.sound.started
    assert process.target is not None
    assert process.target.key == KEY
    assert process.fed


async def test_fails_and_comes_back(node: Node) -> None:
    """What its process says is shown, a new one is started, and the key is in no log."""
    with capture_logs() as logs:
        standing = await outputs_of(node).add(ROOM, URL)
        await until(node, OutputState.LIVE)
        outputs_of(node).delays = lambda: repeat(60.0)
        node.sound.started[0].die("The server hung up")
        await until(node, OutputState.FAILED)
        assert (standing.reason, standing.failures) == ("The server hung up", 1)
        assert standing.retry_at is not None
        assert node.sound.started[0].is_closed
    assert KEY not in str(logs)


async def test_again(node: Node) -> None:
    """Failures to start are tried again until it works."""
    node.sound.refusal = OutputFailed("Its name is not found")
    standing = await outputs_of(node).add(ROOM, URL)
    await until(node, OutputState.FAILED)
    node.sound.refusal = None
    await until(node, OutputState.LIVE)
    assert standing.failures >= 1
    assert standing.reason == ""


async def test_slow(node: Node) -> None:
    """What a process does not take is counted, and nobody waits for it."""
    await outputs_of(node).add(ROOM, URL)
    await until(node, OutputState.LIVE)
    node.sound.started[0].is_full = True
    async with asyncio.timeout(5):
        while not outputs_of(node).counters["outputs_parts_lost_total"]:
            node.advance(0.1)
            await asyncio.sleep(0)


async def test_off_the_air(node: Node) -> None:
    """While the room is not broadcast the output waits."""
    await outputs_of(node).add(ROOM, URL)
    await until(node, OutputState.LIVE)
    node.broadcast.specs.clear()
    await until(node, OutputState.WAITING)
    assert node.sound.started[0].is_closed


async def test_changes(node: Node) -> None:
    """A name changes nothing else; another address is another connection; off is off."""
    standing = await outputs_of(node).add(ROOM, URL)
    await until(node, OutputState.LIVE)
    output = standing.output.id
    renamed = await outputs_of(node).change(ROOM, output, OutputChange(name="New"))
    assert (renamed.state, renamed.output.name) == (OutputState.LIVE, "New")
    await outputs_of(node).change(ROOM, output, OutputChange(url=URL + "2"))
    await until(node, OutputState.LIVE)
    assert [one.target and one.target.key for one in node.sound.started] == [KEY, KEY + "2"]
    off = await outputs_of(node).change(ROOM, output, OutputChange(enabled=False))
    assert off.state is OutputState.OFF
    with pytest.raises(NotFound):
        await outputs_of(node).change(ROOM, "0" * 16, OutputChange())


@pytest.mark.parametrize("name", ["get", "commit"])
async def test_room_made_anew_meanwhile(
    node: Node, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """An output of a room does not become one of the room that has its id later."""
    outputs = outputs_of(node)
    call = getattr(outputs._store, name)
    standing = await outputs.add(ROOM, URL)

    async def renew(*args: Any, **what: Any) -> object:
        monkeypatch.undo()
        await node.rooms.remove(ROOM)
        await node.rooms.create(Wanted(id=ROOM))
        return await call(*args, **what)

    for work in (
        lambda: outputs.add(ROOM, URL),
        lambda: outputs.change(ROOM, standing.output.id, OutputChange(name="x")),
        lambda: outputs.remove(ROOM, standing.output.id),
    ):
        outputs._outputs[ROOM] = {standing.output.id: standing}
        monkeypatch.setattr(outputs._store, name, renew)
        with pytest.raises(RoomNotFound):
            await work()
        assert outputs.all(ROOM) == []
        assert await node.store.get("/rooms/demo/outputs") is None


async def test_removed(node: Node) -> None:
    """It ends when it is removed, and with its room."""
    for end in (outputs_of(node).remove(ROOM, await new(node)), node.rooms.remove(ROOM, "over")):
        if not outputs_of(node).all(ROOM):
            await new(node)
        await until(node, OutputState.LIVE)
        process = node.sound.started[-1]
        await end
        async with asyncio.timeout(5):
            while not process.is_closed:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
    with pytest.raises(RoomNotFound):
        outputs_of(node).all(ROOM)
    assert not outputs_of(node).states()


async def new(node: Node) -> str:
    return (await outputs_of(node).add(ROOM, URL)).output.id


async def test_restart(node: Node) -> None:
    """After a restart outputs are there, and one with an unreadable record ends nothing."""
    await outputs_of(node).add(ROOM, URL, "Ours")
    again = node.build()
    await again.load()
    (found,) = again.context.outputs.all(ROOM)
    assert (found.output.url, found.output.name) == (URL, "Ours")
    await node.store.commit(put={"/rooms/demo/outputs": b"?"})
    once_more = node.build()
    with capture_logs() as logs:
        await once_more.load()
    assert [one["event"] for one in logs if "outputs" in one["event"]] == ["outputs_unreadable"]
    assert once_more.context.outputs.all(ROOM) == []


async def test_refused(node: Node) -> None:
    """Wrong addresses, those that may not be reached, and more than eight are refused."""
    with pytest.raises(BadInput):
        await outputs_of(node).add(ROOM, "http://example.org/")
    node.sound.forbidden = Forbidden("not there")
    with pytest.raises(Forbidden):
        await outputs_of(node).add(ROOM, URL)
    node.sound.forbidden = None
    for _ in range(8):
        await new(node)
    with pytest.raises(TooMany):
        await new(node)
