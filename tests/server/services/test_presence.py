"""Who is in a room, through losses, returns and restarts of the mixer."""

from dataclasses import replace

import pytest

from mixer.types import (
    GoneReason,
    Overloaded,
    OverloadLevel,
    PeerChanged,
    PeerId,
    PeerState,
    RoomId,
    RtpParticipantSpec,
    Talking,
)
from server.domain.identity import UserId
from server.domain.lines import Line, Lines
from server.domain.people import Status
from server.domain.room import Room
from server.errors import NotFound, RoomFull, RoomLocked, TooMany
from server.ports import PlaneLost
from server.services import presence as presence_module
from server.services.presence import Farewell
from server.services.rooms import Wanted
from tests.server.services.people import ADA, BOB, enter, told
from tests.support.node import FakeClient, Node

DEMO = RoomId("demo")


@pytest.fixture
async def room(node: Node) -> Room:
    return await node.rooms.create(Wanted(id=DEMO, max_anchors=2))


def status(node: Node) -> list[tuple[object, object]]:
    return [(entry["userId"], entry["status"]) for entry in node.presence.listing(DEMO)]


def gone(reason: GoneReason) -> PeerChanged:
    return PeerChanged(DEMO, PeerId(ADA), PeerState.GONE, reason)


async def on_air(node: Node, room: Room) -> FakeClient:
    """Let Ada in, with media."""
    client = enter(node, room, ADA)
    node.presence.media_answered(DEMO, ADA)
    node.hear(PeerChanged(DEMO, PeerId(ADA), PeerState.LIVE))
    return client


async def test_everybody_is_told(node: Node, room: Room) -> None:
    """Who comes is told to all, themselves included, and the mixer."""
    clients = [enter(node, room, user) for user in (ADA, BOB)]
    node.presence.announcements.flush(0)
    await node.settle()
    assert [len(told(client, "roomStatus")[-1]) for client in clients] == [2, 2]
    assert [anchor.peer for anchor in node.mixer.specs[DEMO].anchors] == [PeerId(ADA), PeerId(BOB)]


async def test_full(node: Node, room: Room) -> None:
    """A full room lets nobody in but those inside already, and no other room is touched."""
    for user in (ADA, BOB, ADA):
        enter(node, room, user)
    with pytest.raises(RoomFull, match="holds 2"):
        enter(node, room, type(ADA)("cccccccc-0000-4000-8000-000000000003"))
    assert node.presence.total == 2


async def test_locked(node: Node, room: Room) -> None:
    """A locked room lets nobody new in, but who is inside, and who comes back to it."""
    enter(node, room, ADA)
    locked = await node.rooms.change(DEMO, lambda before: replace(before, locked=True))
    with pytest.raises(RoomLocked, match="demo is locked"):
        enter(node, locked, BOB)
    enter(node, locked, ADA)
    enter(node, locked, BOB, resumes="a session from before a restart")
    assert node.presence.count(DEMO) == 2


async def test_own_hearing(node: Node, room: Room) -> None:
    """What Ada wants to hear of Bob is mixed for her alone, until he leaves."""
    for user in (ADA, BOB):
        enter(node, room, user)
    node.presence.hear(DEMO, ADA, BOB, -6.0)
    await node.settle()
    assert [one.for_me for one in node.mixer.specs[DEMO].anchors] == [{PeerId(BOB): -6.0}, {}]
    node.presence.leave(DEMO, BOB)
    enter(node, room, BOB)
    await node.settle()
    assert [one.for_me for one in node.mixer.specs[DEMO].anchors] == [{}, {}]


async def test_own_hearing_of_plain_rtp(node: Node, room: Room) -> None:
    """People on plain RTP can be heard so too, until they go."""
    enter(node, room, ADA)
    line = Line(RtpParticipantSpec(PeerId("line")))
    node.presence.set_lines(DEMO, Lines().with_person(line))
    node.presence.hear(DEMO, ADA, UserId("line"), None)
    await node.settle()
    assert node.mixer.specs[DEMO].anchors[0].for_me == {"line": None}
    node.presence.set_lines(DEMO, Lines())
    await node.settle()
    assert node.mixer.specs[DEMO].anchors[0].for_me == {}


async def test_own_hearing_of_nobody(node: Node, room: Room) -> None:
    """Nobody can be turned down who is not there, nor oneself; who is gone says nothing."""
    enter(node, room, ADA)
    for other in (BOB, ADA):
        with pytest.raises(NotFound, match="no such other person"):
            node.presence.hear(DEMO, ADA, other, None)
    node.presence.hear(DEMO, BOB, ADA, None)


async def test_own_hearing_is_bounded(
    node: Node, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one person can ask for has an end."""
    monkeypatch.setattr(presence_module, "MAX_FOR_ME", 1)
    people = {UserId(name): Line(RtpParticipantSpec(PeerId(name))) for name in ("one", "two")}
    node.presence.set_lines(DEMO, Lines(people=people))
    enter(node, room, ADA)
    node.presence.hear(DEMO, ADA, UserId("one"), None)
    with pytest.raises(TooMany, match="At most 1"):
        node.presence.hear(DEMO, ADA, UserId("two"), None)
    node.presence.hear(DEMO, ADA, UserId("one"), -6.0)


async def test_newest_wins(node: Node, room: Room) -> None:
    """The newest socket of a person wins; the old one is told, and its end changes nothing."""
    old, new = enter(node, room, ADA), enter(node, room, ADA)
    node.presence.lose(DEMO, ADA, old)
    assert (old.farewell, new.farewell) == (Farewell.REPLACED, None)
    assert node.presence.is_current(DEMO, ADA, new)
    assert node.presence.count(DEMO) == 1


async def test_leave(node: Node, room: Room) -> None:
    """Who leaves is gone at once, from the mixer too."""
    client = await on_air(node, room)
    node.presence.leave(DEMO, ADA)
    await node.settle()
    assert client.farewell is Farewell.LEFT
    assert (node.presence.count(DEMO), node.mixer.specs[DEMO].anchors) == (0, ())


async def test_lost_socket_keeps_media(node: Node, room: Room) -> None:
    """A lost socket takes nobody off the mixer until a resume would be too late."""
    client = await on_air(node, room)
    node.presence.lose(DEMO, ADA, client)
    node.advance(59)
    node.presence.sweep()
    assert node.presence.count(DEMO) == 1
    node.advance(1)
    node.presence.sweep()
    assert node.presence.count(DEMO) == 0


async def test_lost_without_media(node: Node, room: Room) -> None:
    """Who loses the socket before there was media is gone at once."""
    client = enter(node, room, ADA)
    node.presence.lose(DEMO, ADA, client)
    assert node.presence.count(DEMO) == 0


async def test_lost_both(node: Node, room: Room) -> None:
    """Who has lost the socket and then the media is gone at once."""
    client = await on_air(node, room)
    node.presence.lose(DEMO, ADA, client)
    node.hear(gone(GoneReason.TIMEOUT))
    assert node.presence.count(DEMO) == 0


async def test_status_follows_media(node: Node, room: Room) -> None:
    """A person is on air while their connection lives."""
    enter(node, room, ADA)
    seen = [status(node)[0][1]]
    for event in (PeerChanged(DEMO, PeerId(ADA), PeerState.LIVE), gone(GoneReason.LEFT)):
        node.hear(event)
        seen.append(status(node)[0][1])
    assert seen == ["idle", "onair", "idle"]


@pytest.mark.parametrize(
    ("reason", "told_reason"),
    [
        (GoneReason.TIMEOUT, "media_lost"),
        (GoneReason.FAILED, "media_failed"),
        (GoneReason.LEFT, None),
        (GoneReason.REPLACED, None),
        (GoneReason.REMOVED, None),
    ],
)
async def test_told_to_reconnect(
    node: Node, room: Room, reason: GoneReason, told_reason: str | None
) -> None:
    """A person whose media is lost without anybody's will is told to offer again."""
    client = await on_air(node, room)
    node.hear(gone(reason))
    reasons = [params["reason"] for params in told(client, "reconnect")]
    assert reasons == ([told_reason] if told_reason else [])


async def test_replaced_media_lives(node: Node, room: Room) -> None:
    """The end of a connection that another one replaced does not take its owner off the air."""
    await on_air(node, room)
    node.hear(gone(GoneReason.REPLACED))
    assert status(node) == [(ADA, "onair")]


async def test_mixer_lost(node: Node, room: Room) -> None:
    """When the mixer is lost everybody is told to come back, one after the other."""
    clients = [await on_air(node, room), enter(node, room, BOB)]
    node.hear(PlaneLost())
    (first,), (second,) = (told(client, "reconnect") for client in clients)
    assert first["reason"] == second["reason"] == "media_restarted"
    assert 0 < first["retryAfterMs"] < second["retryAfterMs"]
    assert status(node) == [(ADA, "idle"), (BOB, "idle")]


async def test_some_rooms_lost(node: Node, room: Room) -> None:
    """When one of several mixers is lost, only its rooms' people are told to come back."""
    client = await on_air(node, room)
    node.hear(PlaneLost(frozenset({RoomId("other")})))
    node.hear(Overloaded(OverloadLevel.FEW))
    assert told(client, "reconnect") == []
    assert status(node) == [(ADA, "onair")]
    node.hear(PlaneLost(frozenset({DEMO})))
    assert [params["reason"] for params in told(client, "reconnect")] == ["media_restarted"]
    assert status(node) == [(ADA, "idle")]


async def test_events_of_strangers(node: Node, room: Room) -> None:
    """What the mixer says of rooms and people who are not here is nothing."""
    node.hear(PeerChanged(RoomId("other"), PeerId(ADA), PeerState.LIVE))
    node.hear(PeerChanged(DEMO, PeerId(BOB), PeerState.LIVE))
    node.hear(Talking(RoomId("other"), {PeerId(ADA): -30}))
    assert node.presence.total == 0


async def test_talking(node: Node, room: Room) -> None:
    """Who talks is told to the room."""
    client = enter(node, room, ADA)
    node.hear(Talking(DEMO, {PeerId(ADA): -30}))
    node.presence.announcements.flush(0)
    assert told(client, "talking") == [{"levels": {ADA: -30}}]


async def test_mute(node: Node, room: Room) -> None:
    """A mute reaches the mixer and the list; a second one is nothing new."""
    enter(node, room, ADA)
    await node.settle()
    for _ in range(2):
        node.presence.mute(DEMO, ADA, muted=True)
    await node.settle()
    assert node.mixer.specs[DEMO].anchors[0].muted
    assert node.presence.listing(DEMO)[0]["muted"] is True


async def test_quiet(node: Node, room: Room) -> None:
    """Who gives no sign of life for 30 s is unlisted, the others are told, and a sign undoes it."""
    enter(node, room, ADA)
    client = enter(node, room, BOB)
    node.presence.announcements.flush(0)
    node.advance(29)
    node.presence.see(DEMO, BOB, None)
    node.advance(2)
    node.presence.sweep()
    node.presence.announcements.flush(1)
    node.presence.see(DEMO, ADA, None)
    node.presence.announcements.flush(2)
    assert [len(people) for people in told(client, "roomStatus")] == [2, 1, 2]


async def test_said_status(node: Node, room: Room) -> None:
    """A person may say what they do."""
    enter(node, room, ADA)
    node.presence.see(DEMO, ADA, Status.LEFT)
    assert status(node) == [(ADA, "left")]


async def test_strangers(node: Node) -> None:
    """What is said of somebody who is not here is nothing."""
    node.presence.see(DEMO, ADA, None)
    node.presence.mute(DEMO, ADA, muted=True)
    node.presence.media_answered(DEMO, ADA)
    node.presence.leave(DEMO, ADA)
    assert node.presence.total == 0
