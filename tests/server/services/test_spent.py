"""One-shot tokens."""

import asyncio

import pytest

from mixer.types import RoomId
from server.domain.room import Room
from server.errors import BadToken, RoomFull, TooMany, WrongPin
from server.services import spent as module
from server.services.rooms import Wanted
from server.services.signalling import Joining
from server.services.tokens import Grant
from tests.server.services.people import ADA, BOB, enter
from tests.support.node import Node

DEMO = RoomId("demo")


@pytest.fixture
async def room(node: Node) -> Room:
    return await node.rooms.create(Wanted(id=DEMO, pin="a1b2c3", max_anchors=1))


def once(node: Node) -> Grant:
    return node.access.joining(node.join_token(Grant(DEMO, ADA, once=True)))


async def test_replay(node: Node, room: Room) -> None:
    """A one-shot token opens one conversation, and no second one; others open any number."""
    grant = once(node)
    for attempt in (grant, Grant(DEMO, ADA)):
        session, _ = node.session(attempt)
        await session.join(Joining(pin="a1b2c3"))
    session, _ = node.session(grant)
    with pytest.raises(BadToken, match="one time"):
        await session.join(Joining(pin="a1b2c3"))


async def test_two_at_once(node: Node, room: Room) -> None:
    """Of two who show the same token at the same moment one gets in."""
    grant = once(node)
    joins = [node.session(grant)[0].join(Joining(pin="a1b2c3")) for _ in range(5)]
    results = await asyncio.gather(*joins, return_exceptions=True)
    assert sum(isinstance(one, BadToken) for one in results) == 4


async def test_replay_after_a_restart(node: Node, room: Room) -> None:
    """A restart does not make a used token good again."""
    grant = once(node)
    await node.session(grant)[0].join(Joining(pin="a1b2c3"))
    node.services = node.build()
    await node.services.load()
    with pytest.raises(BadToken, match="one time"):
        await node.session(grant)[0].join(Joining(pin="a1b2c3"))


async def test_resume(node: Node, room: Room) -> None:
    """Who lost their socket comes back with the same token and their jtoken."""
    grant = once(node)
    joined = await node.session(grant)[0].join(Joining(pin="a1b2c3"))
    again = await node.session(grant)[0].join(Joining(pin="a1b2c3", jtoken=joined.jtoken))
    assert again.user == ADA


async def test_a_mistake_costs_nothing(node: Node, room: Room) -> None:
    """A wrong PIN or a full room does not use the token up."""
    grant = once(node)
    with pytest.raises(WrongPin):
        await node.session(grant)[0].join(Joining(pin="wrong1"))
    bob = enter(node, room, BOB)
    with pytest.raises(RoomFull):
        await node.session(grant)[0].join(Joining(pin="a1b2c3"))
    node.presence.leave(DEMO, BOB)
    assert bob.farewell is not None
    await node.session(grant)[0].join(Joining(pin="a1b2c3"))


async def test_forgotten(node: Node, room: Room) -> None:
    """What ran out is forgotten, in memory and in the store; it is refused for its age."""
    spent = node.services.context.signalling.spent
    await spent.spend("early", int(node.unix()) + 10)
    await spent.spend("late", int(node.unix()) + 100)
    node.advance(10)
    await spent.forget()
    await spent.forget()
    assert (spent.is_spent("early"), spent.is_spent("late")) == (False, True)
    assert len((await node.store.scan(module.PREFIX)).records) == len(spent) == 1


async def test_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are too many, nobody gets in by a token whose use could not be remembered."""
    monkeypatch.setattr(module, "MOST_SPENT", 1)
    spent = node.services.context.signalling.spent
    await spent.spend("one", 2**40)
    with pytest.raises(TooMany):
        await spent.spend("two", 2**40)


async def test_spent_by_another_process(node: Node) -> None:
    """A token that another process took is refused, though this one never saw it."""
    await node.store.commit(put={module.PREFIX + "x": b"1"})
    with pytest.raises(BadToken):
        await node.services.context.signalling.spent.spend("x", 2**40)
