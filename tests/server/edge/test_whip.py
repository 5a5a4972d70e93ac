"""Publishers by WHIP over HTTP, with a fake mixer behind them."""

import pytest

from mixer.errors import ClientMistake, NoCapacity
from mixer.types import GoneReason, PeerChanged, PeerId, PeerState, RoomId
from server.domain.identity import UserId
from server.domain.people import Status
from server.ports import PlaneLost
from server.services.standing import SEEN_EVERY_S, Kind
from tests.server.edge.conftest import Edge
from tests.server.edge.whip_client import DEMO, FRAGMENT, ICE, SDP, Client, people, settle
from tests.support.planes import ANSWER


async def test_a_publisher_enters_and_leaves(edge: Edge, whip: Client) -> None:
    """With an answer, an address and a tag; what it offered goes one way."""
    assert await whip.post() == 201
    assert whip.body == ANSWER
    assert whip.headers["Content-Type"] == SDP
    assert whip.headers["Accept-Patch"] == FRAGMENT
    assert whip.headers["Cache-Control"] == "no-store"
    assert "a=sendonly" in edge.node.mixer.offers[0][2]
    assert "a=sendrecv" not in edge.node.mixer.offers[0][2]
    assert [one["status"] for one in people(edge.node)] == ["idle"]
    assert edge.node.services.context.standings.count(Kind.WHIP) == 1
    edge.node.mixer.emit(PeerChanged(DEMO, edge.node.mixer.offers[0][1], PeerState.LIVE))
    await settle()
    assert [one["status"] for one in people(edge.node)] == [Status.ON_AIR.value]
    assert await whip.delete() == 200
    assert people(edge.node) == []
    assert await whip.delete() == 404
    assert whip.code == "not_found"


@pytest.mark.parametrize("reason", [GoneReason.LEFT, GoneReason.TIMEOUT, GoneReason.FAILED])
async def test_a_publisher_goes_with_their_connection(
    edge: Edge, whip: Client, reason: GoneReason
) -> None:
    """However it ended."""
    await whip.post()
    edge.node.mixer.emit(PeerChanged(DEMO, edge.node.mixer.offers[0][1], PeerState.GONE, reason))
    await settle()
    assert people(edge.node) == []
    assert await whip.patch(ICE, "*") == 404


async def test_a_dead_mixer_takes_publishers_and_listeners(edge: Edge, whip: Client) -> None:
    """Of the rooms it had."""
    listener = Client(edge.http, "whep", await edge.listen_token())
    assert (await whip.post(), await listener.post()) == (201, 201)
    edge.node.mixer.emit(PlaneLost(frozenset({RoomId("another")})))
    await settle()
    assert len(people(edge.node)) == 1
    edge.node.mixer.emit(PlaneLost())
    await settle()
    assert people(edge.node) == []
    assert (await whip.delete(), await listener.delete()) == (404, 404)


async def test_the_same_token_takes_its_own_place(edge: Edge, whip: Client) -> None:
    """One person; the earlier address is gone, and the end of its connection ends nobody."""
    await whip.post()
    first, peer = whip.location, edge.node.mixer.offers[0][1]
    assert await whip.post() == 201
    edge.node.mixer.emit(PeerChanged(DEMO, peer, PeerState.GONE, GoneReason.REPLACED))
    await settle()
    assert len(people(edge.node)) == 1
    assert await whip.ask("DELETE", first) == 404
    assert await whip.delete() == 200


async def test_a_kicked_publisher_is_out(edge: Edge, whip: Client) -> None:
    """Their address is gone and their token refused; a removed room is no other."""
    await whip.post()
    user = people(edge.node)[0]["userId"]
    await edge.as_admin("DELETE", f"/api/rooms/demo/users/{user}")
    assert await whip.delete() == 404
    assert await whip.post() == 403
    assert whip.code == "forbidden"


async def test_a_removed_room_ends_all(edge: Edge, whip: Client) -> None:
    """Publishers and listeners."""
    listener = Client(edge.http, "whep", await edge.listen_token())
    assert (await whip.post(), await listener.post()) == (201, 201)
    await edge.as_admin("DELETE", "/api/rooms/demo")
    assert (await whip.delete(), await listener.delete()) == (404, 404)
    assert (await whip.post(), await listener.post()) == (404, 404)
    assert whip.code == "room_not_found"


async def test_a_publisher_stays_listed(edge: Edge, whip: Client) -> None:
    """Though it sends no keepalives."""
    await whip.post()
    standings = edge.node.services.context.standings
    for _ in range(5):
        edge.node.advance(SEEN_EVERY_S)
        standings.sweep()
        standings.sweep()
        assert len(people(edge.node)) == 1
    edge.node.advance(31)
    assert people(edge.node) == []


async def test_a_refused_publisher_takes_no_seat(edge: Edge, whip: Client) -> None:
    """Whether the offer was at fault, the mixer is full, or away."""
    edge.node.mixer.refusal = NoCapacity("full")
    assert await whip.post() == 503
    assert whip.code == "no_capacity"
    assert whip.headers["Retry-After"] == "5"
    for code, status in (("bad_sdp", 400), ("no_audio", 422), ("bad_fingerprint", 422)):
        edge.node.mixer.refusal = ClientMistake(code, "no")
        assert (await whip.post(), whip.code) == (status, code)
    edge.node.mixer.is_away = True
    assert await whip.post() == 503
    assert whip.code == "media_unavailable"
    assert people(edge.node) == []
    assert edge.node.services.context.standings.count(Kind.WHIP) == 0


async def test_seats_and_pins_hold_for_publishers(edge: Edge) -> None:
    """As for everybody who joins."""
    await edge.new_room(maxAnchors=1, pin="a1b2c3")
    tokens = [await edge.join_token() for _ in range(2)]
    assert await Client(edge.http, "whip", tokens[0]).post() == 403  # minted without the PIN
    _, made = await edge.as_admin("POST", "/api/rooms/demo/users", {"pin": "a1b2c3"})
    assert await Client(edge.http, "whip", made["token"]).post() == 201
    _, refused = await edge.as_admin("POST", "/api/rooms/demo/users", {"pin": "a1b2c3"})
    assert refused["code"] == "room_full"


async def test_a_publisher_who_is_kicked_while_the_mixer_answers(
    edge: Edge, whip: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Has no connection."""
    accept = edge.node.mixer.accept_offer

    async def slow(room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False) -> str:
        answer = await accept(room, peer, sdp, listener=listener)
        await edge.node.rooms.revoke(room, UserId(peer), 60)
        return answer

    monkeypatch.setattr(edge.node.mixer, "accept_offer", slow)
    assert (await whip.post(), whip.code) == (404, "not_found")
    assert edge.node.services.context.standings.count(Kind.WHIP) == 0
