"""Who speaks, told to those who listen."""

from dataclasses import replace

from mixer.types import PeerId, RoomId, RtpParticipantSpec, Talking
from server.domain.air import Air, AirBus
from server.domain.controls import Controls
from server.domain.identity import UserId
from server.domain.lines import Line, Lines
from server.ports import PlaneLost
from server.services.credits import Credits
from server.services.rooms import Wanted
from tests.server.services.people import ADA, BOB, enter
from tests.support.node import Node

DEMO = RoomId("demo")


def talking(*people: str) -> Talking:
    """Return the mixer's word that these can be heard."""
    return Talking(DEMO, {PeerId(one): -30 for one in people})


async def speaking(node: Node, **air: object) -> Credits:
    """Return the credits of a room where Ada and Bob are."""
    wanted = Wanted(id=DEMO, pin="", buses=("fr",), air=Air(names=True, **air))  # type: ignore[arg-type]
    room = await node.rooms.create(wanted)
    for user in (ADA, BOB):
        enter(node, room, user)
    await node.settle()
    return Credits(node.broadcast, node.rooms, node.presence)


async def told(node: Node, credits_: Credits, *events: Talking | PlaneLost) -> list[list[str]]:
    """Return what listeners were told after these events."""
    node.broadcast.talking.clear()
    for event in events:
        credits_.handle(event)
    await credits_.work()
    return [names for _, names in node.broadcast.talking]


async def test_names(node: Node) -> None:
    """The set of speakers is told by name when it changes, and its last state only."""
    credits_ = await speaking(node)
    assert await told(node, credits_, talking(ADA)) == [["aaa"]]
    assert await told(node, credits_, talking(ADA)) == []
    assert await told(node, credits_, talking(BOB), talking(ADA, BOB)) == [["aaa", "bbb"]]
    assert await told(node, credits_, talking()) == [[]]


async def test_people_on_lines(node: Node) -> None:
    """They have names too; strangers have none."""
    credits_ = await speaking(node)
    spec = RtpParticipantSpec(PeerId("cyd"))
    node.presence.set_lines(DEMO, Lines(people={UserId("cyd"): Line(spec, "Cyd")}))
    assert await told(node, credits_, talking("cyd", "stranger")) == [["Cyd"]]


async def test_unless_the_room_wants_it(node: Node) -> None:
    """By default names stay in the room, and they do so while it is not on air."""
    credits_ = await speaking(node)
    await node.rooms.change(DEMO, lambda room: replace(room, air=Air()))
    assert await told(node, credits_, talking(ADA)) == []
    await node.rooms.change(DEMO, lambda room: replace(room, air=Air(names=True), broadcast=False))
    assert await told(node, credits_, talking(ADA)) == []


async def test_a_room_that_is_changed_meanwhile(node: Node) -> None:
    """Who speaks is taken back, or told, as soon as the room is changed so."""
    credits_ = await speaking(node)
    node.rooms.when_changed = credits_.look
    assert await told(node, credits_, talking(ADA)) == [["aaa"]]
    for names in ([], ["aaa"]):
        air = Air(names=bool(names))
        await node.rooms.change(DEMO, lambda room, air=air: replace(room, air=air))  # type: ignore[misc]
        assert credits_.of(DEMO) == names
        assert await told(node, credits_) == [names]


async def test_talkback(node: Node) -> None:
    """Who speaks to a bus that is not on air is not told of; on another day they may be."""
    credits_ = await speaking(node)
    node.presence.set_controls(DEMO, BOB, Controls(speaks=("fr",)))
    assert await told(node, credits_, talking(ADA, BOB)) == [["aaa"]]
    air = Air((AirBus("fr"),), names=True)
    await node.rooms.change(DEMO, lambda room: replace(room, air=air))
    assert await told(node, credits_, talking(ADA, BOB)) == [["bbb"]]


async def test_a_mixer_that_died(node: Node) -> None:
    """Nobody speaks there any more."""
    credits_ = await speaking(node)
    await told(node, credits_, talking(ADA))
    assert await told(node, credits_, PlaneLost(frozenset({DEMO}))) == [[]]
    await told(node, credits_, talking(ADA))
    assert await told(node, credits_, PlaneLost()) == [[]]


async def test_a_room_that_went(node: Node) -> None:
    """It is forgotten."""
    credits_ = await speaking(node)
    node.rooms.when_gone = credits_.forget_room
    await told(node, credits_, talking(ADA))
    await node.rooms.remove(DEMO)
    assert await told(node, credits_, talking(ADA)) == [[]]
    assert (credits_._told, credits_._heard) == ({}, {})
