"""Rooms of the configuration."""

from dataclasses import replace
from pathlib import Path

import pytest

from mixer.types import RoomId
from server.domain.configured_room import ConfiguredRoom
from server.errors import RoomPermanent, SetupMistake, SigningUnavailable, StoreLost
from server.ports import Snapshot
from server.services.rooms import Wanted
from server.services.signing_keys import LocalSigner
from server.sources import load
from tests.support.node import Node, open_node

LOBBY = RoomId("lobby")


async def restarted(node: Node, *rooms: ConfiguredRoom) -> Node:
    """Wire new services on the same ground, with another configuration."""
    node.settings = node.settings.model_copy(update={"rooms": rooms})
    node.services = node.build()
    await node.services.load()
    return node


async def test_there_from_the_start(tmp_path: Path) -> None:
    """A configured room is there, does not expire, and the API cannot end it."""
    async with open_node(tmp_path, rooms='{"id": "lobby", "pin": "a1b2c3"}') as node:
        room = node.rooms.get(LOBBY)
        assert (room.pin, room.max_anchors, room.expires_in_s) == ("a1b2c3", None, None)
        node.advance(1e9)
        await node.rooms.expire()
        with pytest.raises(RoomPermanent):
            await node.rooms.remove(LOBBY)
        assert node.rooms.get(LOBBY) == room


async def test_changed_when_the_configuration_is(node: Node) -> None:
    """What REST changed stays until the configuration says something else; the links always."""
    await restarted(node, ConfiguredRoom(id="lobby", name="One"))
    first = node.rooms.get(LOBBY)
    await node.rooms.change(LOBBY, lambda room: room.lasting(None, node.clock.now()))
    await node.rooms.change(LOBBY, lambda room: replace(room, name="By REST"))
    await restarted(node, ConfiguredRoom(id="lobby", name="One"))
    assert node.rooms.get(LOBBY).name == "By REST"
    await restarted(node, ConfiguredRoom(id="lobby", name="Two", loudest=3, upload=False))
    room = node.rooms.get(LOBBY)
    assert (room.name, room.loudest, room.invites) == ("Two", 3, first.invites)
    assert (first.upload, room.upload) == (True, False)


async def test_taken_out(node: Node) -> None:
    """A room that is configured no more is like any other."""
    await restarted(node, ConfiguredRoom(id="lobby"))
    await restarted(node)
    await node.rooms.remove(LOBBY)
    assert (await node.store.scan("/rooms/")).records == ()


async def test_taken_over(node: Node) -> None:
    """A room that was there already becomes what the configuration says."""
    await node.rooms.create(Wanted(id=LOBBY, expires_in_s=60, name="Mine"))
    await restarted(node, ConfiguredRoom(id="lobby", name="Ours"))
    room = node.rooms.get(LOBBY)
    assert (room.name, room.expires_in_s) == ("Ours", None)


async def test_unreadable(node: Node) -> None:
    """A room whose record cannot be read keeps neither the server nor the next room waiting."""
    rooms = ConfiguredRoom(id="lobby"), ConfiguredRoom(id="studio")
    await restarted(node, *rooms)
    await node.store.commit(
        put={"/rooms/lobby/meta": b"{"}, delete=["/rooms/studio/meta", "/rooms/studio/configured"]
    )
    await restarted(node, *rooms)
    assert [room.id for room in node.rooms.all()] == ["studio"]
    record = await node.store.get("/rooms/lobby/meta")
    assert record is not None
    assert record.value == b"{"


async def test_signing_server_away(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server starts without the keys of a configured room, which is there when they are."""

    async def away(_room: RoomId, _epoch: int, _salt: str) -> bytes:
        raise SigningUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(LocalSigner, "stream_key", staticmethod(away))
        await restarted(node, ConfiguredRoom(id="lobby"))
        assert node.rooms.all() == []
    node.rooms.make_key = LocalSigner(node.signing).stream_key
    await node.services.context.permanent.follow(node.settings.rooms)
    assert node.rooms.get(LOBBY).expires_in_s is None


async def test_configured_while_it_is_removed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room whose removal the store holds up is made once that is done."""
    await node.rooms.create(Wanted(id=LOBBY))

    async def fail(_prefix: str) -> Snapshot:
        raise StoreLost("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(node.store, "scan", fail)
        with pytest.raises(StoreLost):
            await node.rooms.remove(LOBBY)
    permanent, rooms = node.services.context.permanent, (ConfiguredRoom(id="lobby", name="Ours"),)
    await permanent.follow(rooms)
    await node.rooms.expire()
    assert node.rooms.all() == []
    await permanent.follow(rooms)
    assert node.rooms.get(LOBBY).name == "Ours"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{",
            "[1]",
            "{}",
            '{"id": "x"}',
            '{"id": "lobby", "colour": 1}',
            '{"id": "lobby", "pin": "1"}',
        ),
        '[{"id": "lobby"}, {"id": "lobby"}]',
        '{"id": "lobby", "buses": ["floor"]}',
    ],
)
def test_mistakes(text: str) -> None:
    """What is no room does not start."""
    with pytest.raises(SetupMistake, match="rooms"):
        load({"rooms": text}, {})


def test_forms() -> None:
    """One, a list, or several options."""
    one, two = '{"id": "one"}', '{"id": "two", "buses": ["green"]}'
    assert [room.id for room in load({"rooms": one}, {}).rooms] == ["one"]
    assert [room.id for room in load({"rooms": f"[{one},{two}]"}, {}).rooms] == ["one", "two"]
    assert [room.id for room in load({"rooms": (one, two)}, {}).rooms] == ["one", "two"]
