"""The contract of `MixingPlane`: in this process, in a worker process, in a fleet of them."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from mixer.errors import ClientMistake, PeerGone
from mixer.types import AnchorSpec, PeerId, PeerState, PlaneSettings, PlayerSpec, RoomId, RoomSpec
from server.errors import PlaneUnavailable
from server.media.fleet import Fleet
from server.media.local import LocalPlane
from server.media.mixer_plane import WorkerPlane
from server.ports import MixingPlane
from server.supervise import Supervisor

# One plane of each kind for the whole file; every test has a room of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = PlaneSettings(udp_host="127.0.0.1", udp_port=0)
OFFER = "\r\n".join(
    (
        *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"),
        *("m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0"),
        *("a=ice-ufrag:ufrag", f"a=ice-pwd:{'p' * 24}", f"a=fingerprint:sha-256 {'AB:' * 31}AB"),
        *("a=setup:actpass", "a=mid:0", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2"),
        "",
    )
)
ANN, BOB = PeerId("ann"), PeerId("bob")
_rooms = (RoomId(f"room-{number}") for number in itertools.count())


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "worker", "fleet"])
async def plane(request: pytest.FixtureRequest) -> AsyncIterator[MixingPlane]:
    """A plane that serves."""
    async with Supervisor() as supervisor:
        if request.param == "local":
            async with LocalPlane(SETTINGS, spawn=supervisor.spawn) as local:
                yield local
        elif request.param == "worker":
            worker = WorkerPlane(SETTINGS)
            await worker.start(supervisor)
            yield worker
            await worker.close()
        else:
            fleet = Fleet([WorkerPlane(SETTINGS, name=f"mixer-{n}") for n in range(2)], first=2)
            await fleet.start(supervisor)
            yield fleet
            await fleet.close()


@pytest.fixture
def room() -> RoomId:
    """A room nobody has used."""
    return next(_rooms)


def spec(room: RoomId, version: int, *peers: PeerId) -> RoomSpec:
    """A room with these people."""
    return RoomSpec(room, version, tuple(AnchorSpec(peer) for peer in peers))


async def count_rooms(plane: MixingPlane) -> float:
    """How many rooms all its processes have."""
    return sum(one.gauges["rooms"] for one in (await plane.statistics()).values())


async def is_listed(plane: MixingPlane, room: RoomId, peer: PeerId) -> bool:
    """Whether the plane would take an offer of this person, were it one."""
    try:
        await plane.accept_offer(room, peer, "v=0\r\n")
    except ClientMistake:
        return True
    except PeerGone:
        return False
    raise AssertionError("that was no offer")


async def test_it_says_what_it_can(plane: MixingPlane) -> None:
    """Capabilities are known once it serves."""
    assert "mix-minus" in plane.capabilities


async def test_only_listed_people_may_offer(plane: MixingPlane, room: RoomId) -> None:
    """An unknown room and an unknown person are PeerGone."""
    assert not await is_listed(plane, room, ANN)
    await plane.apply(spec(room, 1, ANN))
    assert await is_listed(plane, room, ANN)
    assert not await is_listed(plane, room, BOB)


async def test_the_newest_version_holds(plane: MixingPlane, room: RoomId) -> None:
    """A spec that is not above the applied one is ignored, whatever it says."""
    await plane.apply(spec(room, 5, ANN))
    await plane.apply(spec(room, 5, BOB))
    await plane.apply(spec(room, 4, BOB))
    assert await is_listed(plane, room, ANN)
    assert not await is_listed(plane, room, BOB)


async def test_a_spec_out_of_range_is_refused(plane: MixingPlane, room: RoomId) -> None:
    """The sentence names who and what, on whatever side of a border; the spec before holds."""
    await plane.apply(spec(room, 1, ANN))
    wrong = RoomSpec(room, 2, (AnchorSpec(ANN), AnchorSpec(BOB, gain_db=99.0)))
    with pytest.raises(ClientMistake, match="bob: gain_db is -60 to 20, not 99") as caught:
        await plane.apply(wrong)
    assert caught.value.code == "bad_spec"
    assert await is_listed(plane, room, ANN)
    assert not await is_listed(plane, room, BOB)
    await plane.apply(replace(wrong, anchors=(AnchorSpec(BOB, gain_db=-6.0),)))
    assert await is_listed(plane, room, BOB)


async def test_a_closed_room_is_gone(plane: MixingPlane, room: RoomId) -> None:
    """Nobody may offer any more; closing what was never there is no mistake."""
    await plane.apply(spec(room, 1, ANN))
    await plane.apply(RoomSpec(room, 2, closed=True))
    await plane.apply(RoomSpec(next(_rooms), 1, closed=True))
    assert not await is_listed(plane, room, ANN)


async def test_a_bad_offer_keeps_its_code(plane: MixingPlane, room: RoomId) -> None:
    """The code and the sentence are the mixer's, on whatever side of a border."""
    await plane.apply(spec(room, 1, ANN))
    with pytest.raises(ClientMistake) as caught:
        await plane.accept_offer(room, ANN, "v=0\r\n")
    assert caught.value.code == "no_audio"
    assert "audio" in str(caught.value)


@pytest.mark.parametrize("sdp", ["", "junk", "\x00", "é", "v=0\r\n" * 1000, "m=audio 9 x\r\n"])
async def test_any_text_is_no_offer(plane: MixingPlane, room: RoomId, sdp: str) -> None:
    """Whatever is no SDP is the client's mistake, and the plane lives on."""
    await plane.apply(spec(room, 1, ANN))
    with pytest.raises(ClientMistake):
        await plane.accept_offer(room, ANN, sdp)


async def test_a_candidate_is_taken(plane: MixingPlane, room: RoomId) -> None:
    """An agent that needs none takes any, of anybody."""
    await plane.apply(spec(room, 1, ANN))
    await plane.add_candidate(room, ANN, "candidate:1 1 udp 1 192.0.2.1 9 typ host")
    await plane.add_candidate(room, BOB, "junk")


async def test_statistics_count_rooms(plane: MixingPlane, room: RoomId) -> None:
    """Gauges follow what is applied."""
    before = await count_rooms(plane)
    await plane.apply(spec(room, 1, ANN))
    assert await count_rooms(plane) == before + 1
    await plane.apply(RoomSpec(room, 2, closed=True))
    assert await count_rooms(plane) == before


async def test_peers_are_told_by_room(plane: MixingPlane, room: RoomId) -> None:
    """Who has a connection, and how it is; nobody where there is no room."""
    await plane.apply(spec(room, 1, ANN, BOB))
    assert await plane.peers(room) == await plane.peers(RoomId("nowhere")) == ()
    await plane.accept_offer(room, ANN, OFFER)
    (ann,) = await plane.peers(room)
    assert (ann.peer, ann.state) == (ANN, PeerState.CONNECTING)
    assert (ann.received, ann.transport.round_trip_s) == (0, None)
    assert ann.reception.late == 0
    await plane.apply(spec(room, 2, BOB))
    assert await plane.peers(room) == ()


async def test_a_room_comes_back_as_a_new_one(plane: MixingPlane, room: RoomId) -> None:
    """After it was closed any version is new, and emptied rooms take people again."""
    await plane.apply(spec(room, 7, ANN))
    await plane.apply(RoomSpec(room, 8, closed=True))
    await plane.apply(spec(room, 3))
    assert not await is_listed(plane, room, ANN)
    await plane.apply(spec(room, 4, ANN))
    assert await is_listed(plane, room, ANN)


async def count_players(plane: MixingPlane) -> float:
    """How much all its processes play."""
    return sum(one.gauges["players"] for one in (await plane.statistics()).values())


async def nothing_plays(plane: MixingPlane) -> None:
    """Wait until nothing is played any more."""
    while await count_players(plane):  # noqa: ASYNC110 - statistics tell who asks
        await asyncio.sleep(0.02)  # sleep: it plays in real time


async def test_a_room_plays_what_it_is_fed(plane: MixingPlane, room: RoomId) -> None:
    """To its end, with nobody in it; then it is over."""
    await plane.apply(spec(room, 1))
    await plane.play(room, PlayerSpec("gong", gain_db=-3.0))
    assert plane.feed(room, "gong", bytes(5 * 1920))
    await plane.set_volume(room, "gong", -6.0)
    assert await count_players(plane) == 1
    assert plane.feed(room, "gong", b"")
    await nothing_plays(plane)


async def test_a_player_is_stopped(plane: MixingPlane, room: RoomId) -> None:
    """Though it waits for more; stopping or turning what is not there is no mistake."""
    await plane.apply(spec(room, 1))
    await plane.play(room, PlayerSpec("gong"))
    await plane.stop(room, "bell")
    await plane.set_volume(room, "bell", 0.0)
    plane.feed(room, "bell", bytes(1920))
    await plane.stop(room, "gong")
    await nothing_plays(plane)


async def test_what_cannot_be_played(plane: MixingPlane, room: RoomId) -> None:
    """An unknown room is PeerGone; a bus that is not there and a gain out of range are mistakes."""
    with pytest.raises(PeerGone):
        await plane.play(room, PlayerSpec("gong"))
    await plane.apply(spec(room, 1))
    for wrong, code in (
        (PlayerSpec("gong", bus="fr"), "bad_bus"),
        (PlayerSpec("gong", gain_db=99), "bad_gain"),
    ):
        with pytest.raises(ClientMistake) as caught:
            await plane.play(room, wrong)
        assert caught.value.code == code
    await plane.play(room, PlayerSpec("gong"))
    await plane.apply(RoomSpec(room, 2, closed=True))
    assert await count_players(plane) == 0


async def test_a_closed_local_plane_is_unavailable() -> None:
    """After the end every call says so, and the events end."""
    async with Supervisor() as supervisor:
        async with LocalPlane(SETTINGS, spawn=supervisor.spawn) as plane:
            events = plane.events()
        with pytest.raises(PlaneUnavailable):
            await plane.statistics()
        assert [event async for event in events] == []


async def test_listeners_come_unlisted(plane: MixingPlane, room: RoomId) -> None:
    """Where the room lets them, counted and not described; dropped alone, and let in again."""
    await plane.apply(replace(spec(room, 1, ANN), listeners=True))
    answer = await plane.accept_offer(room, BOB, OFFER, listener=True)
    assert "a=sendonly" in answer
    assert await count_listeners(plane) == 1
    assert await plane.peers(room) == ()
    await plane.drop_peer(room, BOB)
    await plane.drop_peer(room, BOB)
    assert await count_listeners(plane) == 0
    _ = await plane.accept_offer(room, BOB, OFFER, listener=True)
    with pytest.raises(PeerGone):
        await plane.accept_offer(room, ANN, OFFER, listener=True)
    await plane.apply(spec(room, 2, ANN))
    assert await count_listeners(plane) == 0
    with pytest.raises(PeerGone):
        await plane.accept_offer(room, BOB, OFFER, listener=True)
    await plane.apply(replace(spec(room, 3), closed=True))


async def count_listeners(plane: MixingPlane) -> float:
    return sum(one.gauges["listeners"] for one in (await plane.statistics()).values())
