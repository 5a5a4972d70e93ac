"""What is done again and again."""

import asyncio
from pathlib import Path

import pytest

from mixer.types import RoomId
from server.compose import housekeeping
from server.compose.housekeeping import Housekeeping
from server.errors import StoreLost
from server.services.rooms import Wanted
from server.supervise import Supervisor
from tests.support.node import open_node


async def test_a_room_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the end of a room takes its time, people are looked after as ever."""
    monkeypatch.setattr(housekeeping, "SWEEP_S", 0.001)
    ends, swept = asyncio.Event(), asyncio.Event()

    async def hang(_room: RoomId) -> None:
        ends.set()
        await asyncio.Event().wait()

    async with open_node(tmp_path) as node, Supervisor() as supervisor:
        await node.rooms.create(Wanted(expires_in_s=60))
        node.rooms.before_removal = hang
        node.advance(61)
        Housekeeping(node.services.context).keep(supervisor)
        async with asyncio.timeout(4):
            await ends.wait()
            monkeypatch.setattr(node.presence, "sweep", swept.set)
            await swept.wait()


async def test_what_fails_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store does not take keeps nothing else from being done."""
    done: list[str] = []

    async def fail() -> None:
        raise StoreLost("the disk is full")

    async def forget() -> None:
        done.append("kicks")

    async with open_node(tmp_path) as node:
        context = node.services.context
        monkeypatch.setattr(context.listening.sessions, "settle", fail)
        monkeypatch.setattr(context.keys, "store_uses", fail)
        monkeypatch.setattr(context.desk.kicks, "forget", forget)
        await Housekeeping(context).tidy()
    assert done == ["kicks"]
