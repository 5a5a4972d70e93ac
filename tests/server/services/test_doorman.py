"""Lobby, hands, promotion and moves."""

from dataclasses import replace
from typing import Any

import pytest

from mixer.types import RoomId
from server.domain.controls import Controls
from server.domain.grants import Right, Role
from server.domain.identity import UserId
from server.domain.room import Room
from server.errors import (
    NotFound,
    NotGranted,
    NotJoined,
    RoomFull,
    RoomLocked,
    TooMany,
    Waiting,
)
from server.services import lobby as lobby_module
from server.services.doorman import Doorman
from server.services.farewell import Farewell
from server.services.joined import Joined
from server.services.rooms import Wanted
from server.services.signalling import Joining, Session
from server.services.tokens import Audience, Grant
from tests.server.services.people import ADA, BOB, enter, told
from tests.support.node import SDP, FakeClient, Node

DEMO, OTHER = RoomId("demo"), RoomId("other")
HOST = UserId("dddddddd-0000-4000-8000-000000000004")
CYD = UserId("cccccccc-0000-4000-8000-000000000003")


@pytest.fixture
async def room(node: Node) -> Room:
    return await node.rooms.create(Wanted(id=DEMO, pin="", lobby=True))


def doorman(node: Node) -> Doorman:
    return node.services.context.signalling.doorman


async def come(
    node: Node, user: UserId = ADA, role: Role = Role.ANCHOR, jtoken: str = "", **more: Any
) -> tuple[Session, FakeClient, Joined]:
    session, client = node.session(Grant(DEMO, user, role, display_name=user[:3], **more))
    joined = await session.join(Joining(jtoken=jtoken, deltas=True))
    return session, client, joined


def outside(node: Node) -> Any:
    return doorman(node).waiting(DEMO)["waiting"]


def flush(node: Node) -> None:
    node.presence.announcements.flush(node.monotonic())


async def test_waiting(node: Node, room: Room) -> None:
    """Who comes waits without a seat or media, and is told as if they had joined when let in."""
    session, client, joined = await come(node)
    assert (joined.place, joined.jtoken, node.presence.count(DEMO)) == ("lobby", "", 0)
    await session.keep_alive(None)
    with pytest.raises(Waiting):
        await session.offer(SDP)
    await doorman(node).admit(DEMO, ADA)
    (admitted,) = told(client, "admitted")
    assert (admitted["place"], admitted["role"], admitted["userId"]) == ("stage", "anchor", ADA)
    assert await session.offer(SDP)
    session.lost()
    _, _, again = await come(node, jtoken=admitted["jtoken"])
    assert again.resumed


async def test_who_need_not_wait(node: Node, room: Room) -> None:
    """Hosts and who is inside come in, kicked people wait again; without a lobby nobody does."""
    _, _, host = await come(node, HOST, Role.HOST)
    assert host.place == "stage"
    _, _, porter = await come(node, BOB, explicit=frozenset({Right.ADMIT}))
    assert porter.place == "stage"
    await come(node)
    await doorman(node).admit(DEMO, ADA)
    _, _, again = await come(node)
    assert again.place == "stage"
    await node.services.context.desk.kick(DEMO, ADA)
    _, client, kicked = await come(node, jtoken=again.jtoken)
    assert kicked.place == "lobby"
    await node.rooms.change(DEMO, lambda before: replace(before, lobby=False))
    assert len(told(client, "admitted")) == 1


async def test_host_sees_who_waits(node: Node, room: Room) -> None:
    """Who lets in is told who waits, at once and at every change; others are not."""
    await come(node)
    _, host, _ = await come(node, HOST, Role.HOST)
    flush(node)
    bob, bobs, _ = await come(node, BOB, Role.LISTENER)
    await bob.raise_hand(up=True)
    await bob.raise_hand(up=True)
    flush(node)
    first, second = told(host, "lobby")
    ada = {"userId": ADA, "role": "anchor", "displayName": "aaa", "hand": None}
    assert first == {"waiting": [ada], "hands": [], "listening": 0}
    assert [one["userId"] for one in second["hands"]] == [BOB]
    assert second["hands"][0]["hand"] > 0
    await bob.raise_hand(up=False)
    await bob.leave()
    flush(node)
    assert told(host, "lobby")[-1] == first
    assert (bobs.farewell, told(bobs, "lobby")) == (Farewell.LEFT, [])
    assert doorman(node).waiting(DEMO) == first


async def test_deny(node: Node, room: Room) -> None:
    """Who is turned away is told so, and may ask again; who is not there cannot be."""
    _, client, _ = await come(node)
    doorman(node).deny(DEMO, ADA)
    assert client.farewell is Farewell.DENIED
    with pytest.raises(NotFound):
        await doorman(node).admit(DEMO, ADA)
    with pytest.raises(NotFound):
        doorman(node).deny(DEMO, ADA)
    _, _, again = await come(node)
    assert again.place == "lobby"


async def test_waiting_ends(node: Node, room: Room) -> None:
    """Who waits too long is sent away, who listens is not; a lost socket ends both."""
    _, waiting, _ = await come(node)
    listening, client, _ = await come(node, BOB, Role.LISTENER)
    node.advance(599)
    node.presence.sweep()
    assert not waiting.farewell
    node.advance(1)
    node.presence.sweep()
    assert [one.farewell for one in (waiting, client)] == [Farewell.WAITED, None]
    listening.lost()
    assert node.presence.lobby.people(DEMO) == {}


async def test_newest_waits(node: Node, room: Room) -> None:
    """A second socket of somebody who waits takes the place of the first, whose end is nothing."""
    first, old, _ = await come(node)
    _, new, _ = await come(node)
    first.lost()
    assert (old.farewell, new.farewell) == (Farewell.REPLACED, None)
    with pytest.raises(NotJoined):
        await first.keep_alive(None)
    assert len(node.presence.lobby.people(DEMO)) == 1


async def test_place_is_kept(node: Node, room: Room) -> None:
    """Who loses the socket has their place in the queue again, and their hand, if soon back."""
    ada, _, _ = await come(node)
    await come(node, BOB)
    cyd, _, _ = await come(node, CYD, Role.LISTENER)
    await cyd.raise_hand(up=True)
    before = doorman(node).waiting(DEMO)
    for lost in (ada, cyd):
        lost.lost()
    assert [one["userId"] for one in outside(node)] == [BOB]
    with pytest.raises(NotFound):
        await doorman(node).admit(DEMO, ADA)
    node.advance(node.presence.resume_s - 1)
    node.presence.sweep()
    enter(node, room, HOST)
    await node.rooms.change(DEMO, lambda one: replace(one, locked=True, max_anchors=1))
    ada, client, joined = await come(node)
    await come(node, CYD, Role.LISTENER)
    assert (joined.place, doorman(node).waiting(DEMO)) == ("lobby", before)
    node.advance(node.settings.lobby_s - node.presence.resume_s + 1)
    node.presence.sweep()
    assert client.farewell is Farewell.WAITED  # the time before counts


async def test_place_is_given_up(node: Node, room: Room) -> None:
    """Who stays away too long is as anybody new, and so is who left."""
    for leaves in (True, False):
        ada, client, _ = await come(node)
        await come(node, BOB)
        if leaves:
            await ada.leave()
        else:
            ada.lost()
            node.advance(node.presence.resume_s)
            node.presence.sweep()
        await come(node)
        assert [one["userId"] for one in outside(node)] == [BOB, ADA]
        assert client.farewell is (Farewell.LEFT if leaves else None)


async def test_kept_places_yield(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is away keeps nobody out; when the room goes, nobody is left of them."""
    monkeypatch.setattr(lobby_module, "MAX_OUTSIDE", 1)
    ada, client, _ = await come(node)
    ada.lost()
    bob, _, _ = await come(node, BOB)
    with pytest.raises(TooMany):
        await come(node)
    bob.lost()
    await node.rooms.remove(DEMO)
    assert not node.presence.lobby.keeps_place(DEMO, BOB)
    assert client.farewell is None


async def test_outside_has_bounds(node: Node, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many can be outside; a full or locked room lets nobody wait."""
    monkeypatch.setattr(lobby_module, "MAX_OUTSIDE", 1)
    await come(node)
    await come(node)
    with pytest.raises(TooMany):
        await come(node, BOB)
    await node.rooms.change(DEMO, lambda before: replace(before, locked=True))
    with pytest.raises(RoomLocked):
        await come(node, BOB)


async def test_full(node: Node, room: Room) -> None:
    """A seat is taken by coming in: into a full room nobody can be let."""
    await node.rooms.change(DEMO, lambda before: replace(before, max_anchors=1))
    await come(node)
    await come(node, HOST, Role.HOST)
    with pytest.raises(RoomFull):
        await doorman(node).admit(DEMO, ADA)
    await node.rooms.change(DEMO, lambda before: replace(before, lobby=False))
    assert list(node.presence.lobby.people(DEMO)) == [ADA]


async def test_listener_on_the_stage_and_back(node: Node, room: Room) -> None:
    """A listener raises a hand, is let up with the same socket, speaks, and goes down again."""
    session, client, joined = await come(node, ADA, Role.LISTENER)
    assert (joined.place, joined.rights) == ("audience", frozenset({Right.LISTEN, Right.CHAT}))
    await session.raise_hand(up=True)
    with pytest.raises(Waiting):
        await session.offer(SDP)
    await doorman(node).admit(DEMO, ADA)
    assert told(client, "admitted")[0]["role"] == "guest"
    await session.offer(SDP)
    await node.settle()
    assert not node.mixer.specs[DEMO].anchors[0].muted
    await node.services.context.desk.control(
        DEMO, ADA, lambda before: replace(before, role=Role.LISTENER)
    )
    assert told(client, "offStage") == [{}]
    await node.settle()
    assert node.mixer.specs[DEMO].anchors == ()
    with pytest.raises(Waiting):
        await session.offer(SDP)
    assert client.farewell is None
    await doorman(node).admit(DEMO, ADA, Role.ANCHOR)
    assert told(client, "admitted")[1]["role"] == "anchor"


async def test_promotion_is_kept(node: Node, room: Room) -> None:
    """What somebody was made they are when they come back, with the token they have."""
    session, _, _ = await come(node, ADA, Role.LISTENER)
    await doorman(node).admit(DEMO, ADA)
    await session.leave()
    _, _, again = await come(node, ADA, Role.LISTENER)
    assert (again.place, again.role) == ("lobby", Role.GUEST)


async def test_speechless_guest(node: Node, room: Room) -> None:
    """A guest without the grant hears only, until somebody makes them more."""
    mute = frozenset({Right.LISTEN, Right.ADMIT})
    session, _, _ = await come(node, ADA, Role.GUEST, explicit=mute)
    await session.raise_hand(up=True)
    flush(node)
    assert node.presence.listing(DEMO)[0].items() >= {"canSpeak": False, "hand": 1}.items()
    await node.settle()
    assert node.mixer.specs[DEMO].anchors[0].muted
    await node.services.context.desk.control(DEMO, ADA, lambda _: Controls(role=Role.ANCHOR))
    await node.settle()
    assert not node.mixer.specs[DEMO].anchors[0].muted
    assert node.presence.listing(DEMO)[0].items() >= {"canSpeak": True, "hand": None}.items()


async def test_closed(node: Node, room: Room) -> None:
    """When the room goes, those outside are told as those inside are; a ban reaches them too."""
    _, ada, _ = await come(node)
    _, bob, _ = await come(node, BOB)
    await node.services.context.desk.ban(DEMO, BOB)
    await node.rooms.remove(DEMO)
    assert (ada.farewell, bob.farewell) == (Farewell.ROOM_GONE, Farewell.REVOKED)
    assert told(ada, "roomClosed") == [{"reason": "deleted"}]


async def test_room_changes_are_told_outside(node: Node, room: Room) -> None:
    """Who waits knows what the room is called."""
    _, ada, _ = await come(node)
    await node.rooms.change(DEMO, lambda before: replace(before, name="Choir"))
    assert told(ada, "roomChanged")[0]["name"] == "Choir"


async def test_deltas(node: Node, room: Room) -> None:
    """Who asked for changes gets no whole lists; resync gives the list and its version."""
    host, hosts, joined = await come(node, HOST, Role.HOST)
    assert joined.people == {"version": 0, "snapshot": []}
    flush(node)
    old, client = node.session(Grant(DEMO, BOB, Role.HOST))
    await old.join(Joining())
    flush(node)
    first, second = told(hosts, "participants")
    assert (first["version"], second["version"]) == (1, 2)
    assert [one["userId"] for one in second["changes"]] == [BOB]
    assert told(hosts, "roomStatus") == []
    assert [len(people) for people in told(client, "roomStatus")] == [2]
    assert told(client, "participants") == []
    synced = await host.resync()
    assert (synced["version"], len(node.presence.listing(DEMO))) == (2, 2)
    assert synced["snapshot"] == node.presence.listing(DEMO)


async def test_move(node: Node, room: Room) -> None:
    """Who is moved gets what opens the other room, past its lock and lobby, and goes in a while."""
    await node.rooms.create(Wanted(id=OTHER, pin="123456", lobby=True, locked=True, name="Other"))
    _, client, _ = await come(node, HOST, Role.HOST)
    await doorman(node).move(DEMO, HOST, OTHER)
    (moved,) = told(client, "moved")
    grant = node.services.context.signalling.tokens.verify(moved["token"], Audience.JOIN)
    assert (grant.room, grant.user, grant.role) == (OTHER, HOST, Role.ANCHOR)
    session, _ = node.session(grant)
    joined = await session.join(Joining(jtoken=moved["jtoken"]))
    assert (joined.place, joined.resumed, moved["name"]) == ("stage", False, "Other")
    await session.leave()
    node.advance(15)
    node.presence.sweep()
    assert client.farewell is Farewell.MOVED
    again, _ = node.session(grant)
    with pytest.raises(RoomLocked):
        await again.join(Joining(jtoken=moved["jtoken"]))


async def test_move_of_a_listener(node: Node, room: Room) -> None:
    """Who goes off the stage while they are moved goes all the same, once; who is back stays."""
    await node.rooms.create(Wanted(id=OTHER, pin=""))
    _, client, _ = await come(node, HOST, Role.HOST)
    await doorman(node).move(DEMO, HOST, OTHER)
    node.presence.step_down(DEMO, HOST)
    _, again, _ = await come(node, BOB, Role.HOST)
    await doorman(node).move(DEMO, BOB, OTHER)
    await come(node, BOB, Role.HOST)
    node.advance(15)
    node.presence.sweep()
    assert [one.farewell for one in (client, again)] == [Farewell.MOVED, Farewell.REPLACED]
    assert node.presence.count(DEMO) == 1
    assert node.presence._leaving == {}


async def test_move_nowhere(node: Node, room: Room) -> None:
    """Nobody is moved who is not there, to where they are, or where there is no seat."""
    await node.rooms.create(Wanted(id=OTHER, pin="", max_anchors=1))
    await come(node, HOST, Role.HOST)
    for user, target in ((ADA, OTHER), (HOST, DEMO)):
        with pytest.raises(NotFound):
            await doorman(node).move(DEMO, user, target)
    other, _ = node.session(Grant(OTHER, BOB))
    await other.join(Joining())
    with pytest.raises(RoomFull):
        await doorman(node).move(DEMO, HOST, OTHER)


async def test_act(node: Node, room: Room) -> None:
    """Rights are those of now: who was made less may not do what they could."""
    session, _, _ = await come(node, HOST, Role.HOST)
    assert session.act({Right.MANAGE}) == DEMO
    await node.services.context.desk.control(DEMO, HOST, lambda _: Controls(role=Role.GUEST))
    with pytest.raises(NotGranted):
        session.act({Right.MANAGE})
