"""Listeners by WHEP over HTTP, with a fake mixer behind them."""

from typing import Any

import pytest

from mixer.errors import NoCapacity, PeerGone
from mixer.types import GoneReason, PeerChanged, PeerId, PeerState, RoomId
from server.edge import whip as whip_edge
from server.services.standing import Kind
from tests.server.edge.conftest import Edge, Serve
from tests.server.edge.whip_client import DEMO, ICE, OFFER, Client, people, settle


async def test_a_listener_is_nobody(edge: Edge, whep: Client) -> None:
    """No person, no seat, no word in the room's spec; gone with DELETE."""
    versions = edge.node.mixer.specs
    assert await whep.post() == 201
    assert "a=recvonly" in edge.node.mixer.offers[0][2]
    ((_, peer),) = edge.node.mixer.listening
    assert people(edge.node) == []
    assert versions[DEMO].anchors == ()
    standings = edge.node.services.context.standings
    assert (standings.count(Kind.WHEP), standings.listeners(DEMO)) == (1, 1)
    assert await whep.delete() == 200
    assert edge.node.mixer.dropped == [peer]
    assert (standings.count(Kind.WHEP), standings.listeners(DEMO)) == (0, 0)


async def test_a_listener_goes_with_their_connection(edge: Edge, whep: Client) -> None:
    """Another's end is not theirs; while the mixer is away it may be deleted all the same."""
    assert await whep.post() == 201
    ((_, peer),) = edge.node.mixer.listening
    edge.node.mixer.emit(PeerChanged(DEMO, PeerId("another"), PeerState.GONE, GoneReason.LEFT))
    edge.node.mixer.emit(PeerChanged(DEMO, peer, PeerState.LIVE))
    await settle()
    assert await whep.patch(ICE, "*") == 204
    edge.node.mixer.emit(PeerChanged(DEMO, peer, PeerState.GONE, GoneReason.TIMEOUT))
    await settle()
    assert await whep.delete() == 404
    assert await whep.post() == 201
    edge.node.mixer.is_away = True
    assert await whep.delete() == 200


async def test_as_many_listeners_as_the_operator_lets(serve: Serve) -> None:
    """A refused offer takes nobody's place."""
    edge = await serve(live_listeners=1)
    await edge.new_room()
    first, second = [Client(edge.http, "whep", await edge.listen_token()) for _ in range(2)]
    edge.node.mixer.refusal = NoCapacity("full")
    assert await first.post() == 503
    edge.node.mixer.refusal = None
    assert await first.post() == 201
    assert (await second.post(), second.code) == (409, "too_many")
    assert await first.delete() == 200
    assert await second.post() == 201


async def test_an_operator_may_let_nobody_listen(serve: Serve) -> None:
    """The sentence names the setting."""
    edge = await serve(live_listeners=0)
    room = await edge.new_room()
    assert (room["liveListeners"], room["liveListenersMost"]) == (None, 0)
    client = Client(edge.http, "whep", await edge.listen_token())
    assert (await client.post(), client.code) == (409, "not_enabled")
    assert "live_listeners" in client.body


async def test_a_room_has_a_limit_of_its_own(serve: Serve) -> None:
    """Nobody, or fewer than the operator lets; never more. A lower one puts nobody out."""
    edge = await serve(live_listeners=2)
    await edge.new_room(liveListeners=1)
    clients = [Client(edge.http, "whep", await edge.listen_token()) for _ in range(3)]
    assert [await one.post() for one in clients] == [201, 409, 409]
    _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"liveListeners": 9})
    assert answer["room"]["liveListenersMost"] == 2
    assert [await one.post() for one in clients[1:]] == [201, 409]
    _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"liveListeners": 0})
    assert answer["room"]["liveListeners"] == answer["room"]["liveListenersMost"] == 0
    assert (await clients[2].post(), clients[2].code) == (409, "not_enabled")
    assert await clients[0].delete() == 200
    await edge.as_admin("PATCH", "/api/rooms/demo", {"liveListeners": None})
    assert await clients[2].post() == 201


async def test_who_may_join_may_listen(edge: Edge) -> None:
    """But a listen token does not publish."""
    await edge.new_room()
    joining, listening = await edge.join_token(), await edge.listen_token()
    assert await Client(edge.http, "whep", joining).post() == 201
    assert await Client(edge.http, "whip", listening).post() == 403


async def test_a_room_that_goes_while_the_mixer_answers(edge: Edge, whep: Client) -> None:
    """Leaves no listener behind."""
    accept = edge.node.mixer.accept_offer

    async def slow(*args: Any, **options: Any) -> str:
        await edge.node.rooms.remove(DEMO)
        return await accept(*args, **options)

    edge.node.mixer.accept_offer = slow  # type: ignore[method-assign]
    assert await whep.post() in {404, 503}
    assert edge.node.services.context.standings.count(Kind.WHEP) == 0


async def test_a_room_that_is_not_broadcast_has_no_listeners(edge: Edge, whep: Client) -> None:
    """Turning it off ends those there are; until it is on again, nobody is let in."""
    assert await whep.post() == 201
    await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": False})
    await edge.node.settle()
    assert edge.node.mixer.specs[DEMO].listeners is False
    assert (await whep.post(), whep.code) == (503, "not_ready")
    await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": True})
    assert await whep.post() == 201


async def test_a_mixer_that_forgot_the_room_meanwhile(
    edge: Edge, whep: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was restarted between two calls: the same request will work in a moment."""

    async def gone(*_: object, **__: object) -> str:
        raise PeerGone("there is no such room")

    monkeypatch.setattr(edge.node.mixer, "accept_offer", gone)
    assert (await whep.post(), whep.code) == (503, "media_unavailable")


async def revoke(edge: Edge, token: str) -> None:
    """Let whoever has a listen token hear no more, as an operator does."""
    user = edge.node.access.listening(token).user
    assert (await edge.as_admin("DELETE", f"/api/rooms/demo/listeners/{user}"))[0] == 200


async def test_who_is_revoked_hears_no_more(edge: Edge) -> None:
    """Their connections end at once, all of them, and nobody else's; nothing of them is left."""
    await edge.new_room()
    tokens = [await edge.listen_token() for _ in range(2)]
    first, again, other = [Client(edge.http, "whep", tokens[number]) for number in (0, 0, 1)]
    assert [await one.post() for one in (first, again, other)] == [201, 201, 201]
    peers = [peer for _, peer, _ in edge.node.mixer.offers]
    await revoke(edge, tokens[0])
    assert edge.node.mixer.dropped == peers[:2]
    assert edge.node.mixer.listening == {(DEMO, peers[2])}
    assert edge.node.services.context.standings.count(Kind.WHEP) == 1
    assert [await one.patch(ICE, "*") for one in (first, again, other)] == [404, 404, 204]
    assert (await first.post(), first.code) == (403, "forbidden")


async def test_a_connection_that_cannot_be_ended(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the mixer says of one of theirs keeps no other of theirs from being ended."""
    await edge.new_room()
    token = await edge.listen_token()
    clients = [Client(edge.http, "whep", token) for _ in range(3)]
    assert [await one.post() for one in clients] == [201] * 3
    drop, asked = edge.node.mixer.drop_peer, list[PeerId]()

    async def refuse_once(room: RoomId, peer: PeerId) -> None:
        asked.append(peer)
        if len(asked) == 1:
            raise PeerGone("it went by itself")
        await drop(room, peer)

    monkeypatch.setattr(edge.node.mixer, "drop_peer", refuse_once)
    await revoke(edge, token)
    assert len(asked) == 3
    assert edge.node.services.context.standings.listeners(DEMO) == 0


async def test_revoking_while_the_mixer_is_away(edge: Edge, whep: Client) -> None:
    """Works as ever: the connection is gone with the mixer."""
    token = await edge.listen_token()
    assert await Client(edge.http, "whep", token).post() == 201
    edge.node.mixer.is_away = True
    await revoke(edge, token)
    assert edge.node.services.context.standings.count(Kind.WHEP) == 0


@pytest.mark.parametrize("before", [True, False])
async def test_who_is_revoked_while_the_mixer_answers(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    """Has no connection, whether the mixer had made it by then or not."""
    await edge.new_room()
    token, accept = await edge.listen_token(), edge.node.mixer.accept_offer
    client = Client(edge.http, "whep", token)

    async def slow(room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False) -> str:
        if before:
            await revoke(edge, token)
        answer = await accept(room, peer, sdp, listener=listener)
        if not before:
            await revoke(edge, token)
        return answer

    monkeypatch.setattr(edge.node.mixer, "accept_offer", slow)
    assert (await client.post(), client.code) == (403, "forbidden")
    assert edge.node.mixer.listening == set()
    assert edge.node.services.context.standings.count(Kind.WHEP) == 0


async def test_who_is_revoked_while_their_offer_comes(
    edge: Edge, whep: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is refused: what they showed before the body came is looked at again."""
    user = edge.node.access.listening(whep._token).user

    async def slow(*_: object) -> str:
        await edge.node.rooms.revoke(DEMO, user, 60)
        return OFFER

    monkeypatch.setattr(whip_edge, "_read", slow)
    assert (await whep.post(), whep.code) == (403, "forbidden")
    assert edge.node.mixer.offers == []


async def test_a_ban_ends_what_an_anchor_hears(edge: Edge) -> None:
    """Who was let in by a join token hears by WHEP no longer than they may join."""
    await edge.new_room()
    token = await edge.join_token()
    assert await Client(edge.http, "whep", token).post() == 201
    user = edge.node.access.joining(token).user
    assert (await edge.as_admin("DELETE", f"/api/rooms/demo/users/{user}"))[0] == 200
    assert edge.node.mixer.listening == set()
