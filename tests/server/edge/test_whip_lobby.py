"""Publishers by WHIP who wait in the lobby, or step down from the stage."""

import pytest

from mixer.errors import ClientMistake
from mixer.types import GoneReason, PeerChanged, PeerId, PeerState
from server.services import lobby
from server.services.standing import Kind
from tests.server.edge.conftest import Edge
from tests.server.edge.whip_client import DEMO, ICE, OTHER_ICE, Client, mixed, people, settle


@pytest.fixture
async def held(edge: Edge) -> Client:
    await edge.new_room(lobby=True)
    return Client(edge.http, "whip", await edge.join_token())


async def outside(edge: Edge) -> list[str]:
    """Return who waits to be let in."""
    _, told = await edge.as_admin("GET", "/api/rooms/demo/lobby")
    return [one["userId"] for one in told["waiting"]]


async def test_a_publisher_waits_connected(edge: Edge, held: Client) -> None:
    """They are answered and heard by nobody; once let in, the same connection is heard."""
    assert await held.post() == 201
    peer = edge.node.mixer.offers[0][1]
    assert (await outside(edge), people(edge.node), mixed(edge.node)) == (
        [peer],
        [],
        [(False, False)],
    )
    edge.node.mixer.emit(PeerChanged(DEMO, peer, PeerState.LIVE))
    await settle()
    assert (await held.patch(ICE, "*"), await held.patch(OTHER_ICE, "*")) == (204, 200)
    assert (await edge.as_admin("POST", f"/api/rooms/demo/lobby/{peer}", {}))[0] == 200
    await edge.node.settle()
    assert (await outside(edge), mixed(edge.node)) == ([], [(True, True)])
    assert [one["status"] for one in people(edge.node)] == ["onair"]
    assert len(edge.node.mixer.offers) == 2  # the second was the restart's


async def test_a_publisher_is_turned_away(edge: Edge, held: Client) -> None:
    """Or waits too long: the mixer lets go of them, their address is gone; they may ask again."""
    for way in ("deny", "wait"):
        assert await held.post() == 201
        if way == "deny":
            await edge.as_admin("DELETE", f"/api/rooms/demo/lobby/{edge.node.mixer.offers[0][1]}")
        else:
            edge.node.advance(edge.node.settings.lobby_s)
            edge.node.presence.sweep()
        await edge.node.settle()
        assert (await outside(edge), mixed(edge.node)) == ([], [])
        assert await held.delete() == 404


@pytest.mark.parametrize("reason", [GoneReason.LEFT, GoneReason.TIMEOUT, None])
async def test_a_waiting_publisher_goes(
    edge: Edge, held: Client, reason: GoneReason | None
) -> None:
    """With DELETE, or with their connection."""
    assert await held.post() == 201
    if reason is None:
        assert await held.delete() == 200
    else:
        peer = edge.node.mixer.offers[0][1]
        edge.node.mixer.emit(PeerChanged(DEMO, peer, PeerState.GONE, reason))
        await settle()
    await edge.node.settle()
    assert (await outside(edge), mixed(edge.node)) == ([], [])
    assert edge.node.services.context.standings.count(Kind.WHIP) == 0


async def test_a_waiting_publisher_comes_again(edge: Edge, held: Client) -> None:
    """The newer connection takes the place of the former, in the queue too."""
    assert await held.post() == 201
    first = held.location
    assert await held.post() == 201
    assert (len(await outside(edge)), len(mixed(edge.node))) == (1, 1)
    assert await held.ask("DELETE", first) == 404
    assert await held.delete() == 200


async def test_a_publisher_refused_by_the_mixer_does_not_wait(edge: Edge, held: Client) -> None:
    """What was wrong with the offer is told at once."""
    edge.node.mixer.refusal = ClientMistake("bad_sdp", "no")
    assert (await held.post(), held.code) == (400, "bad_sdp")
    await edge.node.settle()
    assert (await outside(edge), mixed(edge.node)) == ([], [])


async def test_so_many_publishers_wait(
    edge: Edge, held: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the mixer a connection; who has one already may replace it."""
    monkeypatch.setattr(lobby, "MAX_HELD", 1)
    assert await held.post() == 201
    other = Client(edge.http, "whip", await edge.join_token())
    assert (await other.post(), other.code) == (409, "too_many")
    assert await held.post() == 201


async def test_a_publisher_steps_down_and_up(
    edge: Edge, whip: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off the stage their connection is held unheard; where there is no space for it, it ends."""
    assert await whip.post() == 201
    user = people(edge.node)[0]["userId"]
    edge.node.mixer.emit(PeerChanged(DEMO, PeerId(user), PeerState.LIVE))
    path = f"/api/rooms/demo/participants/{user}"
    assert (await edge.as_admin("PATCH", path, {"role": "listener"}))[0] == 200
    await edge.node.settle()
    assert (people(edge.node), mixed(edge.node)) == ([], [(False, False)])
    assert (await edge.as_admin("POST", f"/api/rooms/demo/lobby/{user}", {}))[0] == 200
    await edge.node.settle()
    assert ([one["status"] for one in people(edge.node)], mixed(edge.node)) == (
        ["onair"],
        [(True, True)],
    )
    monkeypatch.setattr(lobby, "MAX_OUTSIDE", 0)
    await edge.as_admin("PATCH", path, {"role": "listener"})
    await edge.node.settle()
    assert (mixed(edge.node), await whip.delete()) == ([], 404)
