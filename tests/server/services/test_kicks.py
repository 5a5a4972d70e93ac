"""Kicks outlive the process: nobody kicked comes back by what they held until then."""

from dataclasses import replace

import pytest

from mixer.types import RoomId
from server.domain.identity import UserId
from server.domain.room import Room
from server.errors import RoomFull, RoomLocked, RoomNotFound, StoreLost
from server.services import kicks as module
from server.services.kicks import Kicks
from server.services.rooms import Wanted
from server.services.signalling import Joining
from server.services.tokens import Grant
from tests.server.services.people import ADA, BOB, enter
from tests.support.node import Node

DEMO = RoomId("demo")


@pytest.fixture
async def room(node: Node) -> Room:
    return await node.rooms.create(Wanted(id=DEMO, pin="", max_anchors=1))


def kicks(node: Node) -> Kicks:
    return node.services.context.desk.kicks


async def crash(node: Node) -> None:
    """Begin another life on the same store, as after `kill -9`."""
    node.services = node.build()
    await node.services.load()


async def join(node: Node, jtoken: str = "") -> str:
    """Join as Ada; return her next jtoken."""
    session, _ = node.session(Grant(DEMO, ADA))
    return (await session.join(Joining(jtoken=jtoken))).jtoken


async def kick(node: Node) -> None:
    await node.services.context.desk.kick(DEMO, ADA)


async def lock(node: Node) -> None:
    await node.rooms.change(DEMO, lambda before: replace(before, locked=True))


async def records(node: Node) -> list[str]:
    stored = (await node.store.scan("/rooms/demo/kicked/")).records
    return [record.key.rpartition("/")[2] for record in stored]


async def test_crash(node: Node, room: Room) -> None:
    """After a crash no jtoken from before the kick passes the lock, the last nor an older one."""
    older = await join(node)
    last = await join(node, older)
    await kick(node)
    await lock(node)
    for jtoken in (older, last):
        await crash(node)
        with pytest.raises(RoomLocked):
            await join(node, jtoken)


async def test_no_seat_is_owed(node: Node, room: Room) -> None:
    """Nor does it claim a seat that is another's now."""
    jtoken = await join(node)
    await kick(node)
    await crash(node)
    enter(node, room, BOB)
    with pytest.raises(RoomFull):
        await join(node, jtoken)


async def test_whoever_was_not_kicked(node: Node, room: Room) -> None:
    """Everybody else's jtoken is as good after a crash as it was."""
    jtoken = await join(node)
    await kicks(node).add(DEMO, BOB)
    await lock(node)
    await crash(node)
    assert await join(node, jtoken)


async def test_came_again(node: Node, room: Room) -> None:
    """Who was let in again since has a jtoken that is good after a crash; the old one is not."""
    before = await join(node)
    await kick(node)
    since = await join(node, before)
    await lock(node)
    await crash(node)
    with pytest.raises(RoomLocked):
        await join(node, before)
    assert await join(node, since)


async def test_twice(node: Node, room: Room) -> None:
    """A second kick makes worthless what came after the first."""
    await join(node)
    await kick(node)
    since = await join(node)
    await kick(node)
    await lock(node)
    await crash(node)
    with pytest.raises(RoomLocked):
        await join(node, since)


async def test_forgotten_with_the_tokens(node: Node, room: Room) -> None:
    """A kick is kept as long as a jtoken from before it can live, and no longer."""
    jtoken = await join(node)
    await kick(node)
    await lock(node)
    node.advance(node.settings.join_token_s)
    await kicks(node).forget()
    assert await records(node) == [ADA]
    node.advance(1)
    await kicks(node).forget()
    assert await records(node) == []
    with pytest.raises(RoomLocked):
        await join(node, jtoken)


async def test_bounded(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one room so many are kept, the newest, in memory as in the store."""
    monkeypatch.setattr(module, "MAX_KICKS", 2)
    users = [UserId(f"cccccccc-0000-4000-8000-{n:012}") for n in range(4)]
    for user in (*users, users[2]):
        await kicks(node).add(DEMO, user)
    assert await records(node) == users[2:]
    assert [bool(kicks(node).mark(DEMO, user)) for user in users] == [False, False, True, True]


async def test_room_gone(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kick does not outlive its room, not even if that goes while it is written down."""
    await join(node)
    write = kicks(node).add

    async def removed_meanwhile(there: RoomId, user: UserId) -> None:
        await node.rooms.remove(there)
        await write(there, user)

    monkeypatch.setattr(kicks(node), "add", removed_meanwhile)
    with pytest.raises(RoomNotFound):
        await kick(node)
    assert await records(node) == []
    assert kicks(node).mark(DEMO, ADA) == ""


async def test_store_lost(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kick that cannot be written down is none, and whoever asked is told."""
    await join(node)

    async def fail(*_: object, **__: object) -> None:
        raise StoreLost("the disk is full")

    monkeypatch.setattr(kicks(node)._store, "commit", fail)
    with pytest.raises(StoreLost):
        await kick(node)
    assert node.presence.person(DEMO, ADA) is not None


@pytest.mark.parametrize(
    "value", [b"", b"12", b"x 00000000", b"12 000", b"9" * 9000 + b" 00000000", b"\xff 00000000"]
)
async def test_damaged_record(node: Node, room: Room, value: bytes) -> None:
    """A record that cannot be read is left alone."""
    jtoken = await join(node)
    await node.store.commit(put={f"/rooms/demo/kicked/{ADA}": value, "/rooms/demo/kicked/x": b""})
    await crash(node)
    assert kicks(node).mark(DEMO, ADA) == ""
    assert await join(node, jtoken)
