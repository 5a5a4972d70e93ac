"""What is left of broadcasts that are over."""

import asyncio

import pytest

from hls.errors import EncoderLost
from mixer.types import RoomId
from server.compose import housekeeping
from server.compose.housekeeping import Housekeeping
from server.domain.room import RoomState
from server.services.endings import KEPT_S
from server.services.rooms import Wanted
from server.supervise import Supervisor
from tests.support.node import Node

DEMO = RoomId("demo")


async def on_air(node: Node) -> None:
    """Have a room whose broadcast can be heard."""
    node.broadcast.playlist_text = "#EXTM3U\nseg-1.m4s\n"
    node.broadcast.media = {"seg-1.m4s": b"media"}
    await node.rooms.create(Wanted(id=DEMO))
    await node.settle()


async def test_a_broadcast_that_does_not_end(node: Node) -> None:
    """A room whose broadcast fails at its end is removed all the same."""
    await on_air(node)
    node.broadcast.refusal = EncoderLost("gave up")
    await node.rooms.remove(DEMO)
    assert node.rooms.state(DEMO) is RoomState.GONE


async def test_nobody_asks(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left goes when its time is over, though nobody asks for it."""
    monkeypatch.setattr(housekeeping, "SWEEP_S", 0.001)
    await on_air(node)
    await node.rooms.remove(DEMO)
    endings = node.services.context.endings
    endings.sweep()
    assert endings.get(DEMO) is not None
    node.advance(KEPT_S)
    async with Supervisor() as supervisor, asyncio.timeout(4):
        Housekeeping(node.services.context).keep(supervisor)
        while endings._kept:  # noqa: ASYNC110 - nobody says
            await asyncio.sleep(0)
