"""The desk: what is done to people, kept over restarts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mixer.types import FLOOR, RoomId
from server.domain.controls import PLAIN, Controls
from server.domain.people import Person, Status
from server.domain.room import Room
from server.errors import BadInput, NotFound, RoomLocked, RoomNotFound, StoreLost, TooMany
from server.services import desk as desk_module
from server.services.desk import Desk
from server.services.presence import Farewell
from server.services.rooms import Wanted
from server.services.tickets import MAX_TICKETS
from tests.server.services.people import ADA, BOB, enter, told
from tests.support.node import Node

DEMO = RoomId("demo")
CYD = type(ADA)("cccccccc-0000-4000-8000-000000000003")


@pytest.fixture
async def room(node: Node) -> Room:
    return await node.rooms.create(Wanted(id=DEMO, max_anchors=None, buses=("fr",)))


def desk(node: Node) -> Desk:
    return node.services.context.desk


def decide(**values: Any) -> Callable[[Controls], Controls]:
    return lambda before: replace(before, **values)


async def control(node: Node, user: str = ADA, **values: Any) -> Person:
    return await desk(node).control(DEMO, type(ADA)(user), decide(**values))


async def records(node: Node) -> list[str]:
    return [record.key for record in (await node.store.scan("/rooms/demo/people/")).records]


async def test_control(node: Node, room: Room) -> None:
    """What is decided is mixed so, and leaves the others as they are."""
    for user in (ADA, BOB):
        enter(node, room, user)
    await control(node, gain_db=-6.0, pan=0.5)
    person = await control(node, speaks=("fr",))
    await node.settle()
    ada, bob = node.mixer.specs[DEMO].anchors
    assert (ada.gain_db, ada.pan, ada.speaks) == (-6.0, 0.5, ("fr",))
    assert (bob.gain_db, bob.pan, bob.speaks) == (0.0, 0.0, (FLOOR,))
    assert person.controls == Controls(gain_db=-6.0, pan=0.5, speaks=("fr",))


async def test_server_mute(node: Node, room: Room) -> None:
    """Nobody can undo a mute of the room's for themselves, and all see whose it is."""
    enter(node, room, ADA)
    await control(node, muted=True)
    node.presence.mute(DEMO, ADA, muted=False)
    await node.settle()
    (entry,) = node.presence.listing(DEMO)
    assert node.mixer.specs[DEMO].anchors[0].muted
    assert (entry["muted"], entry["serverMuted"]) == (True, True)


async def test_own_mute_stays(node: Node, room: Room) -> None:
    """The end of the room's mute is not the end of one's own."""
    enter(node, room, ADA)
    node.presence.mute(DEMO, ADA, muted=True)
    for muted in (True, False):
        await control(node, muted=muted)
    (entry,) = node.presence.listing(DEMO)
    assert (entry["muted"], entry["serverMuted"]) == (True, False)


async def test_coming_back(node: Node, room: Room) -> None:
    """Who leaves and comes back is mixed as before."""
    enter(node, room, ADA)
    await control(node, muted=True)
    node.presence.leave(DEMO, ADA)
    enter(node, room, ADA)
    assert [one.controls.muted for one in desk(node).people(DEMO)] == [True]


async def test_restart(node: Node, room: Room) -> None:
    """After a restart of the server too."""
    enter(node, room, ADA)
    await control(node, gain_db=-6.0, hears={"fr": 0.0})
    node.services = node.build()
    await node.rooms.load()
    await desk(node).load()
    enter(node, node.rooms.get(DEMO), ADA)
    assert desk(node).people(DEMO)[0].controls == Controls(gain_db=-6.0, hears={"fr": 0.0})


async def test_damaged_records(node: Node, room: Room) -> None:
    """What cannot be read is left alone, and nobody else's is lost."""
    enter(node, room, ADA)
    await control(node, gain_db=-6.0)
    await node.store.commit(
        put={f"/rooms/demo/people/{BOB}": b"{", "/rooms/demo/people/somebody": b"{}"}
    )
    node.services = node.build()
    await node.rooms.load()
    await desk(node).load()
    assert dict(node.presence.controls(DEMO)) == {ADA: Controls(gain_db=-6.0)}
    assert len(await records(node)) == 3


async def test_nothing_decided_is_not_kept(node: Node, room: Room) -> None:
    """Who is as everybody is has no record."""
    enter(node, room, ADA)
    await control(node, gain_db=-6.0)
    await control(node, gain_db=0.0)
    assert await records(node) == []
    assert node.presence.controls(DEMO) == {}


async def test_store_first(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store did not take changes nothing."""
    enter(node, room, ADA)

    async def fail(**_changes: object) -> None:
        raise StoreLost("the disk is full")

    monkeypatch.setattr(node.store, "commit", fail)
    with pytest.raises(StoreLost):
        await control(node, muted=True)
    assert [one.controls for one in desk(node).people(DEMO)] == [PLAIN]


async def test_removed_meanwhile(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that is removed while we write leaves no record of its people."""
    enter(node, room, ADA)
    commit = node.store.commit

    async def slow(**changes: Any) -> object:
        monkeypatch.setattr(node.store, "commit", commit)
        await node.rooms.remove(DEMO)
        return await commit(**changes)

    monkeypatch.setattr(node.store, "commit", slow)
    with pytest.raises(RoomNotFound):
        await control(node, muted=True)
    assert (await records(node), node.presence.controls(DEMO)) == ([], {})


async def test_nobody(node: Node, room: Room) -> None:
    """Nothing can be done to who is not there, nor in a room that is not."""
    with pytest.raises(NotFound, match="no such person"):
        await control(node, muted=True)
    with pytest.raises(NotFound):
        await desk(node).kick(DEMO, ADA)
    with pytest.raises(NotFound):
        desk(node).ask_to_unmute(DEMO, ADA)
    with pytest.raises(RoomNotFound):
        desk(node).people(RoomId("other"))


@pytest.mark.parametrize(("field", "value"), [("speaks", ("de",)), ("hears", {"de": 0.0})])
async def test_no_such_bus(node: Node, room: Room, field: str, value: Any) -> None:
    """Nobody can be sent to a bus the room has not."""
    enter(node, room, ADA)
    with pytest.raises(BadInput, match="no such bus") as refused:
        await control(node, **{field: value})
    assert [one.field for one in refused.value.fields or ()] == [field.capitalize()]


async def test_bus_that_went(node: Node, room: Room) -> None:
    """Who spoke to a bus that is gone is heard by nobody there, and can be changed otherwise."""
    enter(node, room, ADA)
    await control(node, speaks=("fr",))
    await node.rooms.change(DEMO, lambda before: replace(before, buses=()))
    await control(node, gain_db=-6.0)
    await node.settle()
    (ada,) = node.mixer.specs[DEMO].anchors
    assert (ada.speaks, ada.gain_db) == ((), -6.0)


async def test_bounded(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as many people as are kept, who went is forgotten for who is there, the oldest first."""
    monkeypatch.setattr(desk_module, "MAX_DECIDED", 2)
    for user in (ADA, BOB, CYD):
        enter(node, room, user)
    for user in (ADA, BOB):
        await control(node, user, muted=True)
    with pytest.raises(TooMany, match="At most 2"):
        await control(node, CYD, muted=True)
    await control(node, BOB, gain_db=-6.0)
    node.presence.leave(DEMO, ADA)
    await control(node, CYD, muted=True)
    assert list(node.presence.controls(DEMO)) == [BOB, CYD]
    assert await records(node) == [f"/rooms/demo/people/{user}" for user in (BOB, CYD)]


async def test_unmute_request(node: Node, room: Room) -> None:
    """The person's page is asked, and nothing else happens; who has no socket now is not."""
    clients = [enter(node, room, user) for user in (ADA, BOB)]
    node.presence.mute(DEMO, ADA, muted=True)
    desk(node).ask_to_unmute(DEMO, ADA)
    assert [told(client, "unmuteRequest") for client in clients] == [[{}], []]
    assert [one.muted for one in desk(node).people(DEMO)] == [True, False]
    node.presence.media_answered(DEMO, ADA)
    node.presence.lose(DEMO, ADA, clients[0])
    desk(node).ask_to_unmute(DEMO, ADA)


async def test_kick(node: Node, room: Room) -> None:
    """Who is kicked is out at once, from the mixer too, and may come again."""
    client = enter(node, room, ADA)
    await desk(node).kick(DEMO, ADA)
    await node.settle()
    assert client.farewell is Farewell.KICKED
    assert node.mixer.specs[DEMO].anchors == ()
    enter(node, room, ADA)
    assert [one.status for one in desk(node).people(DEMO)] == [Status.IDLE]


async def test_kicked_from_a_locked_room(node: Node, room: Room) -> None:
    """Unless the room is locked: then not even with what lets others come back."""
    enter(node, room, ADA)
    locked = await node.rooms.change(DEMO, lambda before: replace(before, locked=True))
    await desk(node).kick(DEMO, ADA)
    with pytest.raises(RoomLocked):
        enter(node, locked, ADA, resumes="a session")
    enter(node, room, ADA)
    person = node.presence.person(DEMO, ADA)
    assert person is not None
    node.presence.leave(DEMO, ADA)
    enter(node, locked, ADA, resumes=person.ticket)


async def test_kicked_are_bounded(node: Node, room: Room) -> None:
    """Only so many kicks of a room are remembered."""
    users = [type(ADA)(f"cccccccc-0000-4000-8000-{n:012}") for n in range(MAX_TICKETS + 1)]
    for user in users:
        enter(node, room, user)
        await desk(node).kick(DEMO, user)
    tickets = node.presence.tickets
    assert tickets.last(DEMO, users[0]) is None
    assert all(tickets.last(DEMO, user) == "" for user in users[1:])


async def test_ban(node: Node, room: Room) -> None:
    """Who is banned is out, and none of their tokens is good any more."""
    client = enter(node, room, ADA)
    await desk(node).ban(DEMO, ADA)
    assert client.farewell is Farewell.REVOKED
    node.advance(node.settings.join_token_s - 1)
    assert node.rooms.is_revoked(DEMO, ADA)
