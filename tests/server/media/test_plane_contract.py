"""The contract of `MediaPlane`, the same in this process and in a worker process."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from mixer.errors import ClientMistake, PeerGone
from mixer.types import AnchorSpec, PeerId, PlaneSettings, RoomId, RoomSpec
from server.errors import PlaneUnavailable
from server.media.local import LocalPlane
from server.media.mixer_plane import WorkerPlane
from server.ports import MediaPlane
from server.supervise import Supervisor

# One plane of each kind for the whole file; every test has a room of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = PlaneSettings(udp_host="127.0.0.1", udp_port=0)
ANN, BOB = PeerId("ann"), PeerId("bob")
_rooms = (RoomId(f"room-{number}") for number in itertools.count())


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "worker"])
async def plane(request: pytest.FixtureRequest) -> AsyncIterator[MediaPlane]:
    """A plane that serves."""
    async with Supervisor() as supervisor:
        if request.param == "local":
            async with LocalPlane(SETTINGS, spawn=supervisor.spawn) as local:
                yield local
        else:
            worker = WorkerPlane(SETTINGS)
            await worker.start(supervisor)
            yield worker
            await worker.close()


@pytest.fixture
def room() -> RoomId:
    """A room nobody has used."""
    return next(_rooms)


def spec(room: RoomId, version: int, *peers: PeerId) -> RoomSpec:
    """A room with these people."""
    return RoomSpec(room, version, tuple(AnchorSpec(peer) for peer in peers))


async def is_listed(plane: MediaPlane, room: RoomId, peer: PeerId) -> bool:
    """Whether the plane would take an offer of this person, were it one."""
    try:
        await plane.accept_offer(room, peer, "v=0\r\n")
    except ClientMistake:
        return True
    except PeerGone:
        return False
    raise AssertionError("that was no offer")


async def test_it_says_what_it_can(plane: MediaPlane) -> None:
    """Capabilities are known once it serves."""
    assert "mix-minus" in plane.capabilities


async def test_only_listed_people_may_offer(plane: MediaPlane, room: RoomId) -> None:
    """An unknown room and an unknown person are PeerGone."""
    assert not await is_listed(plane, room, ANN)
    await plane.apply(spec(room, 1, ANN))
    assert await is_listed(plane, room, ANN)
    assert not await is_listed(plane, room, BOB)


async def test_the_newest_version_holds(plane: MediaPlane, room: RoomId) -> None:
    """A spec that is not above the applied one is ignored, whatever it says."""
    await plane.apply(spec(room, 5, ANN))
    await plane.apply(spec(room, 5, BOB))
    await plane.apply(spec(room, 4, BOB))
    assert await is_listed(plane, room, ANN)
    assert not await is_listed(plane, room, BOB)


async def test_a_spec_out_of_range_is_refused(plane: MediaPlane, room: RoomId) -> None:
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


async def test_a_closed_room_is_gone(plane: MediaPlane, room: RoomId) -> None:
    """Nobody may offer any more; closing what was never there is no mistake."""
    await plane.apply(spec(room, 1, ANN))
    await plane.apply(RoomSpec(room, 2, closed=True))
    await plane.apply(RoomSpec(next(_rooms), 1, closed=True))
    assert not await is_listed(plane, room, ANN)


async def test_a_bad_offer_keeps_its_code(plane: MediaPlane, room: RoomId) -> None:
    """The code and the sentence are the mixer's, on whatever side of a border."""
    await plane.apply(spec(room, 1, ANN))
    with pytest.raises(ClientMistake) as caught:
        await plane.accept_offer(room, ANN, "v=0\r\n")
    assert caught.value.code == "no_audio"
    assert "audio" in str(caught.value)


@pytest.mark.parametrize("sdp", ["", "junk", "\x00", "é", "v=0\r\n" * 1000, "m=audio 9 x\r\n"])
async def test_any_text_is_no_offer(plane: MediaPlane, room: RoomId, sdp: str) -> None:
    """Whatever is no SDP is the client's mistake, and the plane lives on."""
    await plane.apply(spec(room, 1, ANN))
    with pytest.raises(ClientMistake):
        await plane.accept_offer(room, ANN, sdp)


async def test_a_candidate_is_taken(plane: MediaPlane, room: RoomId) -> None:
    """An agent that needs none takes any, of anybody."""
    await plane.apply(spec(room, 1, ANN))
    await plane.add_candidate(room, ANN, "candidate:1 1 udp 1 192.0.2.1 9 typ host")
    await plane.add_candidate(room, BOB, "junk")


async def test_statistics_count_rooms(plane: MediaPlane, room: RoomId) -> None:
    """Gauges follow what is applied."""
    before = (await plane.statistics()).gauges["rooms"]
    await plane.apply(spec(room, 1, ANN))
    assert (await plane.statistics()).gauges["rooms"] == before + 1
    await plane.apply(RoomSpec(room, 2, closed=True))
    assert (await plane.statistics()).gauges["rooms"] == before


async def test_a_closed_local_plane_is_unavailable() -> None:
    """After the end every call says so, and the events end."""
    async with Supervisor() as supervisor:
        async with LocalPlane(SETTINGS, spawn=supervisor.spawn) as plane:
            events = plane.events()
        with pytest.raises(PlaneUnavailable):
            await plane.statistics()
        assert [event async for event in events] == []
