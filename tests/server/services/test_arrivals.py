"""Recordings of arrivals on request: told to the mixer until their time is over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mixer.types import ArrivalsSpec, RoomId
from server.domain.grants import Role
from server.errors import AlreadyRecorded, NotFound, RoomNotFound
from server.services.arrivals import ArrivalsKeeper
from server.services.presence import Arrival
from server.services.rooms import Wanted
from tests.server.services.people import ADA
from tests.support.node import FakeClient, Node, open_node

DEMO = RoomId("demo")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with a room."""
    async with open_node(tmp_path) as made:
        await made.rooms.create(Wanted(DEMO, max_anchors=None))
        yield made


def keeper(node: Node) -> ArrivalsKeeper:
    return node.services.context.arrivals


async def wished(node: Node) -> ArrivalsSpec | None:
    await node.settle()
    return node.mixer.specs[DEMO].arrivals


async def test_a_recording_is_in_the_rooms_spec(node: Node) -> None:
    """With its limits; who comes meanwhile does not end it; and it is logged."""
    with capture_logs() as logs:
        wish = keeper(node).start(DEMO, 60, 1000)
    assert (wish.limit_bytes, wish.until_unix_s) == (1000, node.unix() + 60)
    node.presence.enter(node.rooms.get(DEMO), Arrival(ADA, Role.GUEST), FakeClient())
    assert await wished(node) == wish == keeper(node).current(DEMO)
    keeper(node).stop(DEMO)
    assert await wished(node) is None
    assert logs[0]["event"] == "recording_arrivals"


async def test_another_wish_is_another_recording(node: Node) -> None:
    """Also with the same limits."""
    assert keeper(node).start(DEMO, 60, 1000) != keeper(node).start(DEMO, 60, 1000)


async def test_what_is_over_cannot_be_stopped(node: Node) -> None:
    """Nor what never began, nor a room that is not there."""
    with pytest.raises(NotFound):
        keeper(node).stop(DEMO)
    keeper(node).start(DEMO, 60, 1000)
    node.advance(60)
    assert keeper(node).current(DEMO) is None
    with pytest.raises(NotFound):
        keeper(node).stop(DEMO)
    with pytest.raises(RoomNotFound):
        keeper(node).start(RoomId("nowhere"), 60, 1000)


async def test_a_removed_room_takes_its_wish_with_it(node: Node) -> None:
    """A new one of that name is not recorded."""
    keeper(node).start(DEMO, 60, 1000)
    await node.rooms.remove(DEMO)
    await node.rooms.create(Wanted(DEMO))
    assert keeper(node).current(DEMO) is None
    assert await wished(node) is None


async def test_where_every_room_is_recorded_nothing_is_to_ask(tmp_path: Path) -> None:
    """The answer names the setting."""
    async with open_node(tmp_path, record_arrivals=tmp_path / "all") as node:
        await node.rooms.create(Wanted(DEMO))
        with pytest.raises(AlreadyRecorded, match="record_arrivals"):
            keeper(node).start(DEMO, 60, 1000)
