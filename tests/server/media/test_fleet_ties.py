"""What ties a room to its mixer: plain RTP, what it plays, and who listens."""

import pytest

from mixer.errors import NoCapacity, PeerGone
from mixer.types import (
    ForwarderSpec,
    GoneReason,
    PeerChanged,
    PeerId,
    PeerState,
    Played,
    PlayerSpec,
    RoomId,
    RtpParticipantSpec,
)
from server.errors import PlaneUnavailable
from server.ports import PlaneLost
from tests.server.media.stage import ANN, BOB, Stage, settle, spec
from tests.support.node import SDP

LINE = (RtpParticipantSpec(PeerId("trunk")),)


async def test_plain_rtp_is_the_first_mixers(stage: Stage) -> None:
    """It has the port, however much it has to do; forwarders may be anywhere."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("a", 1, rtp=LINE))
    await stage.fleet.apply(
        spec("b", 1, "bob", forwarders=(ForwarderSpec("f", "192.0.2.1", 5004, 7),))
    )
    assert stage.rooms() == [{"a"}, {"b"}]


async def test_a_room_moves_to_the_port_and_its_people_are_told(stage: Stage) -> None:
    """When its first participant is expected, not with the next one."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("a", 1, "ann"))
    events = stage.fleet.events()
    await stage.fleet.apply(spec("a", 2, "ann", rtp=LINE))
    assert stage.rooms() == [{"a"}, set()]
    assert await anext(events) == PlaneLost(frozenset({RoomId("a")}))
    await stage.fleet.apply(spec("a", 3, "ann", "bob", rtp=LINE))
    await stage.fleet.close()
    assert [event async for event in events] == []


async def test_a_room_with_plain_rtp_waits_for_its_mixer(stage: Stage) -> None:
    """It is carried to no other: the port is not there."""
    await stage.fleet.apply(spec("a", 1, "ann", rtp=LINE))
    stage.mixers[0].die()
    await settle()
    assert stage.fleet.home(RoomId("a")) == "mixer-0"


async def test_a_room_that_plays_stays_where_it_is(stage: Stage) -> None:
    """As if somebody were in it, until that is over; what is fed goes there."""
    await stage.fleet.apply(spec("quiet", 1))
    await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    home = int(str(stage.fleet.home(RoomId("quiet")))[-1])
    mixer, other = stage.mixers[home], stage.mixers[1 - home]
    assert stage.fleet.feed(RoomId("quiet"), "gong", b"pcm")
    await stage.fleet.set_volume(RoomId("quiet"), "gong", -3.0)
    await stage.fleet.stop(RoomId("quiet"), "gong")
    assert (mixer.fed, mixer.gains, mixer.stopped) == ({"gong": [b"pcm"]}, {"gong": -3}, ["gong"])
    mixer.busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("quiet", 2, "ann"))
    await stage.fleet.apply(spec("quiet", 3))
    assert stage.fleet.home(RoomId("quiet")) == mixer.name
    mixer.emit(Played(RoomId("quiet"), "gong", 3, is_over=False))
    mixer.emit(Played(RoomId("quiet"), "bell", 3, is_over=True))
    await settle()
    await stage.fleet.apply(spec("quiet", 4, "ann"))
    await stage.fleet.apply(spec("quiet", 5))
    assert stage.fleet.home(RoomId("quiet")) == mixer.name
    mixer.emit(Played(RoomId("quiet"), "gong", 9, is_over=True))
    await settle()
    await stage.fleet.apply(spec("quiet", 6, "ann"))
    assert stage.fleet.home(RoomId("quiet")) == other.name


async def test_an_unknown_room_plays_nothing(stage: Stage) -> None:
    """It cannot be played in, nor be fed; stopping what is not there is no mistake."""
    nowhere = RoomId("nowhere")
    with pytest.raises(PeerGone):
        await stage.fleet.play(nowhere, PlayerSpec("gong"))
    assert not stage.fleet.feed(nowhere, "gong", b"")
    await stage.fleet.stop(nowhere, "gong")
    await stage.fleet.set_volume(nowhere, "gong", 0.0)


async def test_a_room_that_plays_and_must_move_is_lost(stage: Stage) -> None:
    """Plain RTP wants it elsewhere: whoever feeds it is told, though nobody was in it."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("quiet", 1, "ann"))
    await stage.fleet.apply(spec("quiet", 2))
    await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    trunk = RtpParticipantSpec(PeerId("trunk"))
    await stage.fleet.apply(spec("quiet", 3, rtp=(trunk,)))
    assert stage.fleet.home(RoomId("quiet")) == "mixer-0"
    events = stage.fleet.events()
    assert await anext(events) == PlaneLost(frozenset({RoomId("quiet")}))


async def test_a_room_that_moves_while_it_begins_to_play(stage: Stage) -> None:
    """What its old mixer plays is gone with the room: begin again."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("quiet", 1, "ann"))
    old = stage.mixers[1]
    play = old.play

    async def play_slowly(room: RoomId, spec_: PlayerSpec) -> None:
        await play(room, spec_)
        trunk = RtpParticipantSpec(PeerId("trunk"))
        await stage.fleet.apply(spec("quiet", 2, rtp=(trunk,)))

    old.play = play_slowly  # type: ignore[method-assign, assignment]
    with pytest.raises(PlaneUnavailable):
        await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    assert (RoomId("quiet"), "gong") in stage.mixers[0].played


async def test_a_room_stays_while_somebody_listens(stage: Stage) -> None:
    """As if somebody were in it; when the last has gone it may move."""
    await stage.fleet.apply(spec("a", 1, listeners=True))
    _ = await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    stage.mixers[0].busy_share = 0.9
    await stage.look()
    await stage.fleet.apply(spec("a", 2, "ann", listeners=True))
    assert stage.rooms() == [{"a"}, set()]
    await stage.fleet.apply(spec("a", 3, listeners=True))
    for peer, state, reason in (
        (ANN, PeerState.GONE, GoneReason.LEFT),
        (BOB, PeerState.LIVE, None),
        (BOB, PeerState.GONE, GoneReason.REPLACED),
    ):
        stage.mixers[0].emit(PeerChanged(RoomId("a"), peer, state, reason))
    await settle()
    await stage.fleet.apply(spec("a", 4, "ann", listeners=True))
    assert stage.rooms() == [{"a"}, set()]
    await stage.fleet.apply(spec("a", 5, listeners=True))
    stage.mixers[0].emit(PeerChanged(RoomId("a"), BOB, PeerState.GONE, GoneReason.TIMEOUT))
    await settle()
    await stage.fleet.apply(spec("a", 6, "ann", listeners=True))
    assert stage.rooms() == [set(), {"a"}]


async def test_a_refused_listener_holds_no_room(stage: Stage) -> None:
    """Nor does one whose mixer died with them; who is dropped is dropped where the room is."""
    await stage.fleet.apply(spec("a", 1, listeners=True))
    stage.mixers[0].refusal = NoCapacity("full")
    for room in ("a", "nowhere"):
        with pytest.raises((NoCapacity, PeerGone)):
            await stage.fleet.accept_offer(RoomId(room), BOB, SDP, listener=True)
        await stage.fleet.drop_peer(RoomId(room), BOB)
    assert stage.mixers[0].dropped == [BOB]
    stage.mixers[0].refusal = None
    assert stage.fleet._listening == {}
    _ = await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    stage.mixers[0].refusal = NoCapacity("full")
    with pytest.raises(NoCapacity):  # a further offer: the connection goes on
        await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    assert stage.fleet._listening == {RoomId("a"): {BOB}}
    stage.mixers[0].die()
    await settle()
    assert stage.fleet._listening == {}


async def test_listeners_of_a_room_that_must_move_are_told(stage: Stage) -> None:
    """Plain RTP takes it to the first mixer: their connections are gone."""
    stage.mixers[0].busy_share = 0.9
    await stage.look()
    await stage.fleet.apply(spec("a", 1, "ann", listeners=True))
    await stage.fleet.apply(spec("a", 2, listeners=True))
    assert stage.fleet.home(RoomId("a")) == "mixer-1"
    _ = await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    lines = (RtpParticipantSpec(PeerId("cyd")),)
    await stage.fleet.apply(spec("a", 3, listeners=True, rtp=lines))
    assert stage.fleet.home(RoomId("a")) == "mixer-0"
    assert await anext(stage.fleet.events()) == PlaneLost(frozenset({RoomId("a")}))
    assert stage.fleet._listening == {}
