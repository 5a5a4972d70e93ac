"""What a room is told of its people's connections."""

from mixer.types import PeerId, PeerState, PeerStatistics, RoomId, TransportStatistics
from server.services.quality import QualityWatch
from server.services.rooms import Wanted
from tests.server.services.people import ADA, BOB, enter, told
from tests.support.node import Node

DEMO = RoomId("demo")


async def test_watch(node: Node) -> None:
    """People are told at first and when something changes; strangers are not told of."""
    room = await node.rooms.create(Wanted(id=DEMO, pin=""))
    ada = enter(node, room, ADA)
    await node.settle()
    watch = QualityWatch(node.mixer, node.presence)
    fine = PeerStatistics(PeerId(ADA), PeerState.LIVE)
    node.mixer.described = (fine, PeerStatistics(PeerId("forwarder:x"), PeerState.LIVE))
    for _ in range(3):
        await watch.look()
    node.mixer.described = (
        PeerStatistics(PeerId(ADA), PeerState.LIVE, transport=TransportStatistics(loss_in=0.3)),
    )
    await watch.look()
    words = [
        {user: one["quality"] for user, one in said["people"].items()}
        for said in told(ada, "quality")
    ]
    assert words == [{ADA: "excellent"}, {ADA: "bad"}]


async def test_watch_of_a_mixer_that_is_away(node: Node) -> None:
    """While a mixer is away nothing is told, and a room that is empty is forgotten."""
    room = await node.rooms.create(Wanted(id=DEMO, pin=""))
    bob = enter(node, room, BOB)
    await node.settle()
    watch = QualityWatch(node.mixer, node.presence)
    node.mixer.described = (PeerStatistics(PeerId(BOB), PeerState.LIVE),)
    await watch.look()
    node.mixer.is_away = True
    await watch.look()
    node.mixer.is_away = False
    node.presence.leave(DEMO, BOB)
    await watch.look()
    assert watch._told == {}
    assert len(told(bob, "quality")) == 1
