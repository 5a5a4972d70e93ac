"""WHIP and WHEP over HTTP, with a fake mixer behind them."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixer.errors import ClientMistake, NoCapacity, PeerGone
from mixer.types import GoneReason, PeerChanged, PeerId, PeerState, RoomId
from server.domain.identity import UserId
from server.domain.people import Status
from server.edge import whip as whip_edge
from server.ports import PlaneLost
from server.services import lobby
from server.services.standing import SEEN_EVERY_S, Kind
from tests.server.edge.conftest import Edge, Serve
from tests.support.planes import ANSWER

DEMO = RoomId("demo")
SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
ICE = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
OFFER = f"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{ICE}a=mid:0\r\na=sendrecv\r\n"
OTHER_ICE = ICE.replace("abcd", "wxyz")
CANDIDATE = "candidate:1 1 udp 1 192.0.2.1 5000 typ host"


class Client:
    """A WHIP or WHEP client; `headers` and `body` are of its last answer."""

    def __init__(self, edge: Edge, kind: str, token: str) -> None:
        self.path = f"/{kind}/demo"
        self.location = ""
        self.tag = ""
        self.headers: Any = {}
        self.body = ""
        self._edge = edge
        self._token = token

    async def ask(self, method: str, path: str, body: str = "", **headers: str) -> int:
        """Return the status; a header whose value is empty is not sent."""
        told = {"Authorization": f"Bearer {self._token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        sent = {name: value for name, value in told.items() if value}
        async with self._edge.http.request(
            method, path, data=body.encode(), headers=sent, skip_auto_headers=["Content-Type"]
        ) as answer:
            self.headers, self.body = answer.headers, await answer.text()
            return answer.status

    async def post(self, offer: str = OFFER, **headers: str) -> int:
        status = await self.ask("POST", self.path, offer, **({"Content_Type": SDP} | headers))
        if status == 201:
            self.location = urlsplit(self.headers["Location"]).path
            self.tag = self.headers["ETag"]
        return status

    async def patch(self, body: str, if_match: str, **headers: str) -> int:
        told = {"Content_Type": FRAGMENT, "If_Match": if_match} | headers
        return await self.ask("PATCH", self.location, body, **told)

    async def delete(self) -> int:
        return await self.ask("DELETE", self.location)

    @property
    def code(self) -> str:
        """The code of the problem that was answered."""
        assert self.headers["Content-Type"].startswith("application/problem+json")
        problem = json.loads(self.body)
        assert problem["type"] == "about:blank"
        assert problem["title"]
        assert problem["detail"] == problem["error"]
        assert problem["success"] is False
        return str(problem["code"])


@pytest.fixture
async def whip(edge: Edge) -> Client:
    await edge.new_room()
    return Client(edge, "whip", await edge.join_token())


@pytest.fixture
async def whep(edge: Edge) -> Client:
    await edge.new_room()
    return Client(edge, "whep", await edge.listen_token())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def people(edge: Edge) -> list[dict[str, Any]]:
    return edge.node.presence.listing(DEMO)


# A publisher


async def test_a_publisher_enters_and_leaves(edge: Edge, whip: Client) -> None:
    """With an answer, an address and a tag; what it offered goes one way."""
    assert await whip.post() == 201
    assert whip.body == ANSWER
    assert whip.headers["Content-Type"] == SDP
    assert whip.headers["Accept-Patch"] == FRAGMENT
    assert whip.headers["Cache-Control"] == "no-store"
    assert "a=sendonly" in edge.node.mixer.offers[0][2]
    assert "a=sendrecv" not in edge.node.mixer.offers[0][2]
    assert [one["status"] for one in people(edge)] == ["idle"]
    assert edge.node.services.context.standings.count(Kind.WHIP) == 1
    edge.node.mixer.emit(PeerChanged(DEMO, edge.node.mixer.offers[0][1], PeerState.LIVE))
    await settle()
    assert [one["status"] for one in people(edge)] == [Status.ON_AIR.value]
    assert await whip.delete() == 200
    assert people(edge) == []
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
    assert people(edge) == []
    assert await whip.patch(ICE, "*") == 404


async def test_a_dead_mixer_takes_publishers_and_listeners(edge: Edge, whip: Client) -> None:
    """Of the rooms it had."""
    listener = Client(edge, "whep", await edge.listen_token())
    assert (await whip.post(), await listener.post()) == (201, 201)
    edge.node.mixer.emit(PlaneLost(frozenset({RoomId("another")})))
    await settle()
    assert len(people(edge)) == 1
    edge.node.mixer.emit(PlaneLost())
    await settle()
    assert people(edge) == []
    assert (await whip.delete(), await listener.delete()) == (404, 404)


async def test_the_same_token_takes_its_own_place(edge: Edge, whip: Client) -> None:
    """One person; the earlier address is gone, and the end of its connection ends nobody."""
    await whip.post()
    first, peer = whip.location, edge.node.mixer.offers[0][1]
    assert await whip.post() == 201
    edge.node.mixer.emit(PeerChanged(DEMO, peer, PeerState.GONE, GoneReason.REPLACED))
    await settle()
    assert len(people(edge)) == 1
    assert await whip.ask("DELETE", first) == 404
    assert await whip.delete() == 200


async def test_a_kicked_publisher_is_out(edge: Edge, whip: Client) -> None:
    """Their address is gone and their token refused; a removed room is no other."""
    await whip.post()
    user = people(edge)[0]["userId"]
    await edge.as_admin("DELETE", f"/api/rooms/demo/users/{user}")
    assert await whip.delete() == 404
    assert await whip.post() == 403
    assert whip.code == "forbidden"


async def test_a_removed_room_ends_all(edge: Edge, whip: Client) -> None:
    """Publishers and listeners."""
    listener = Client(edge, "whep", await edge.listen_token())
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
        assert len(people(edge)) == 1
    edge.node.advance(31)
    assert people(edge) == []


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
    assert people(edge) == []
    assert edge.node.services.context.standings.count(Kind.WHIP) == 0


async def test_seats_and_pins_hold_for_publishers(edge: Edge) -> None:
    """As for everybody who joins."""
    await edge.new_room(maxAnchors=1, pin="a1b2c3")
    tokens = [await edge.join_token() for _ in range(2)]
    assert await Client(edge, "whip", tokens[0]).post() == 403  # minted without the PIN
    _, made = await edge.as_admin("POST", "/api/rooms/demo/users", {"pin": "a1b2c3"})
    assert await Client(edge, "whip", made["token"]).post() == 201
    _, refused = await edge.as_admin("POST", "/api/rooms/demo/users", {"pin": "a1b2c3"})
    assert refused["code"] == "room_full"


# A publisher in a room with a lobby


@pytest.fixture
async def held(edge: Edge) -> Client:
    await edge.new_room(lobby=True)
    return Client(edge, "whip", await edge.join_token())


async def outside(edge: Edge) -> list[str]:
    """Return who waits to be let in."""
    _, told = await edge.as_admin("GET", "/api/rooms/demo/lobby")
    return [one["userId"] for one in told["waiting"]]


def mixed(edge: Edge) -> list[tuple[bool, bool]]:
    """Return of each connection that the mixer shall have if it is heard, and if it hears."""
    anchors = edge.node.mixer.specs[DEMO].anchors
    return [(bool(one.speaks) and not one.muted, bool(one.hears)) for one in anchors]


async def test_a_publisher_waits_connected(edge: Edge, held: Client) -> None:
    """They are answered and heard by nobody; once let in, the same connection is heard."""
    assert await held.post() == 201
    peer = edge.node.mixer.offers[0][1]
    assert (await outside(edge), people(edge), mixed(edge)) == ([peer], [], [(False, False)])
    edge.node.mixer.emit(PeerChanged(DEMO, peer, PeerState.LIVE))
    await settle()
    assert (await held.patch(ICE, "*"), await held.patch(OTHER_ICE, "*")) == (204, 200)
    assert (await edge.as_admin("POST", f"/api/rooms/demo/lobby/{peer}", {}))[0] == 200
    await edge.node.settle()
    assert (await outside(edge), mixed(edge)) == ([], [(True, True)])
    assert [one["status"] for one in people(edge)] == ["onair"]
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
        assert (await outside(edge), mixed(edge)) == ([], [])
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
    assert (await outside(edge), mixed(edge)) == ([], [])
    assert edge.node.services.context.standings.count(Kind.WHIP) == 0


async def test_a_waiting_publisher_comes_again(edge: Edge, held: Client) -> None:
    """The newer connection takes the place of the former, in the queue too."""
    assert await held.post() == 201
    first = held.location
    assert await held.post() == 201
    assert (len(await outside(edge)), len(mixed(edge))) == (1, 1)
    assert await held.ask("DELETE", first) == 404
    assert await held.delete() == 200


async def test_a_publisher_refused_by_the_mixer_does_not_wait(edge: Edge, held: Client) -> None:
    """What was wrong with the offer is told at once."""
    edge.node.mixer.refusal = ClientMistake("bad_sdp", "no")
    assert (await held.post(), held.code) == (400, "bad_sdp")
    await edge.node.settle()
    assert (await outside(edge), mixed(edge)) == ([], [])


async def test_so_many_publishers_wait(
    edge: Edge, held: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the mixer a connection; who has one already may replace it."""
    monkeypatch.setattr(lobby, "MAX_HELD", 1)
    assert await held.post() == 201
    other = Client(edge, "whip", await edge.join_token())
    assert (await other.post(), other.code) == (409, "too_many")
    assert await held.post() == 201


async def test_a_publisher_steps_down_and_up(
    edge: Edge, whip: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off the stage their connection is held unheard; where there is no space for it, it ends."""
    assert await whip.post() == 201
    user = people(edge)[0]["userId"]
    edge.node.mixer.emit(PeerChanged(DEMO, PeerId(user), PeerState.LIVE))
    path = f"/api/rooms/demo/participants/{user}"
    assert (await edge.as_admin("PATCH", path, {"role": "listener"}))[0] == 200
    await edge.node.settle()
    assert (people(edge), mixed(edge)) == ([], [(False, False)])
    assert (await edge.as_admin("POST", f"/api/rooms/demo/lobby/{user}", {}))[0] == 200
    await edge.node.settle()
    assert ([one["status"] for one in people(edge)], mixed(edge)) == (["onair"], [(True, True)])
    monkeypatch.setattr(lobby, "MAX_OUTSIDE", 0)
    await edge.as_admin("PATCH", path, {"role": "listener"})
    await edge.node.settle()
    assert (mixed(edge), await whip.delete()) == ([], 404)


# A listener


async def test_a_listener_is_nobody(edge: Edge, whep: Client) -> None:
    """No person, no seat, no word in the room's spec; gone with DELETE."""
    versions = edge.node.mixer.specs
    assert await whep.post() == 201
    assert "a=recvonly" in edge.node.mixer.offers[0][2]
    ((_, peer),) = edge.node.mixer.listening
    assert people(edge) == []
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
    first, second = [Client(edge, "whep", await edge.listen_token()) for _ in range(2)]
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
    client = Client(edge, "whep", await edge.listen_token())
    assert (await client.post(), client.code) == (409, "not_enabled")
    assert "live_listeners" in client.body


async def test_a_room_has_a_limit_of_its_own(serve: Serve) -> None:
    """Nobody, or fewer than the operator lets; never more. A lower one puts nobody out."""
    edge = await serve(live_listeners=2)
    await edge.new_room(liveListeners=1)
    clients = [Client(edge, "whep", await edge.listen_token()) for _ in range(3)]
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
    assert await Client(edge, "whep", joining).post() == 201
    assert await Client(edge, "whip", listening).post() == 403


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


async def revoke(edge: Edge, token: str) -> None:
    """Let whoever has a listen token hear no more, as an operator does."""
    user = edge.node.access.listening(token).user
    assert (await edge.as_admin("DELETE", f"/api/rooms/demo/listeners/{user}"))[0] == 200


async def test_who_is_revoked_hears_no_more(edge: Edge) -> None:
    """Their connections end at once, all of them, and nobody else's; nothing of them is left."""
    await edge.new_room()
    tokens = [await edge.listen_token() for _ in range(2)]
    first, again, other = [Client(edge, "whep", tokens[number]) for number in (0, 0, 1)]
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
    clients = [Client(edge, "whep", token) for _ in range(3)]
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
    assert await Client(edge, "whep", token).post() == 201
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
    client = Client(edge, "whep", token)

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
    assert await Client(edge, "whep", token).post() == 201
    user = edge.node.access.joining(token).user
    assert (await edge.as_admin("DELETE", f"/api/rooms/demo/users/{user}"))[0] == 200
    assert edge.node.mixer.listening == set()


# Rights


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_rights(edge: Edge, kind: str) -> None:
    """Nothing shown is 401; a bad token, or one of another room, is 403."""
    await edge.new_room()
    await edge.new_room("other")
    nobody = Client(edge, kind, "")
    assert await nobody.ask("POST", nobody.path, OFFER, Authorization="", Content_Type=SDP) == 401
    assert nobody.headers["WWW-Authenticate"] == "Bearer"
    for token in ("junk", await edge.join_token("other"), await edge.listen_token("other")):
        client = Client(edge, kind, token)
        assert (await client.post(), client.code) == (403, "forbidden")
    assert edge.node.mixer.offers == []


async def test_grants(edge: Edge) -> None:
    """Who may not speak does not publish, and who may not listen does not listen."""
    await edge.new_room()
    for wanted, whip, whep in (
        ({"role": "listener"}, 403, 201),
        ({"grants": ["speak"]}, 201, 403),
        ({"role": "guest"}, 201, 201),
    ):
        _, made = await edge.as_admin("POST", "/api/rooms/demo/users", wanted)
        for kind, status in (("whip", whip), ("whep", whep)):
            client = Client(edge, kind, made["token"])
            assert await client.post() == status
            assert status == 201 or client.code == "not_granted"


async def test_a_connection_is_its_makers(edge: Edge, whip: Client) -> None:
    """Another's token opens neither PATCH nor DELETE, nor does another kind's or room's address."""
    await edge.new_room("other")
    await whip.post()
    thief = Client(edge, "whip", await edge.join_token())
    thief.location = whip.location
    assert (await thief.delete(), await thief.patch(ICE, "*")) == (403, 403)
    assert await whip.ask("DELETE", whip.location.replace("whip", "whep")) == 404
    assert await whip.ask("DELETE", whip.location.replace("demo", "other")) == 404
    assert await whip.delete() == 200


async def test_a_token_that_ran_out_ends_nothing(edge: Edge, whip: Client) -> None:
    """It let them in, and still shows that they are the same."""
    await whip.post()
    edge.node.unix.advance(10**7)
    assert await whip.patch(ICE, "*") == 204
    assert await whip.delete() == 200


# In between


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_candidates_and_restarts(edge: Edge, kind: str) -> None:
    """RFC 9725: If-Match names the ICE session; a restart is a new one, with an answer."""
    await edge.new_room()
    token = await (edge.join_token() if kind == "whip" else edge.listen_token())
    client = Client(edge, kind, token)
    await client.post()
    first = client.tag
    assert await client.patch(f"{ICE}a={CANDIDATE}\r\n", first) == 204
    assert edge.node.mixer.candidates == [CANDIDATE]
    assert (await client.patch(ICE, ""), client.code) == (428, "precondition_required")
    assert (await client.patch(ICE, '"other"'), client.code) == (412, "precondition_failed")
    assert await client.patch(ICE, f"W/{first}") == 412
    assert await client.patch(ICE, f'"other", {first}') == 204
    assert len(edge.node.mixer.offers) == 1
    assert await client.patch(OTHER_ICE, "*") == 200
    assert client.headers["Content-Type"] == FRAGMENT
    assert client.headers["ETag"] != first
    assert client.body.startswith("a=ice-ufrag:")
    (room, peer, _), (again, same, offer) = edge.node.mixer.offers
    assert (room, peer) == (again, same)
    assert OTHER_ICE in offer
    assert await client.patch(OTHER_ICE, first) == 412
    assert await client.patch(OTHER_ICE, "*") == 204


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_a_refused_restart_leaves_the_connection(edge: Edge, kind: str) -> None:
    """As it was, with its tag."""
    await edge.new_room()
    client = Client(edge, kind, await edge.join_token())
    await client.post()
    edge.node.mixer.refusal = ClientMistake("bad_sdp", "no")
    assert await client.patch(OTHER_ICE, "*") == 400
    edge.node.mixer.refusal = None
    edge.node.mixer.is_away = True
    assert await client.patch(OTHER_ICE, "*") == 503
    edge.node.mixer.is_away = False
    assert await client.patch(ICE, client.tag) == 204
    assert await client.delete() == 200


# Form


async def test_bodies_and_types(edge: Edge, whip: Client) -> None:
    """415, 406, 413, 400 and 422, each with its code, and nobody came in."""
    for headers, status, code in (
        ({"Content_Type": "application/json"}, 415, "unsupported_media"),
        ({"Content_Type": ""}, 415, "unsupported_media"),
        ({"Accept": "text/html"}, 406, "not_acceptable"),
        ({"Accept": "application/sdp;q=0, text/html"}, 406, "not_acceptable"),
    ):
        assert (await whip.post(**headers), whip.code) == (status, code)
    assert (await whip.post("x" * 40_000), whip.code) == (413, "too_large")
    assert (await whip.post(OFFER.replace("sendrecv", "recvonly")), whip.code) == (422, "no_audio")
    assert edge.node.mixer.offers == []
    for accept in ("*/*", "text/html, application/*;q=0.5", " "):
        assert await whip.post(Accept=accept) == 201
    for body, status in (("junk", 400), ("", 400), ("x" * 40_000, 413)):
        assert await whip.patch(body, "*") == status
    assert await whip.patch(ICE, "*", Content_Type=SDP) == 415
    for tags in ("junk", '"a', ",", ",".join(['"a"'] * 17)):
        assert await whip.patch(ICE, tags) == 400


async def test_bodies_that_are_no_text(edge: Edge, whep: Client) -> None:
    """Are bad parameters; a listener's offer must take audio."""
    headers = {"Authorization": f"Bearer {await edge.listen_token()}", "Content-Type": SDP}
    status, answer = await edge.ask("POST", "/whep/demo", b"\xff\xfe", headers=headers)
    assert (status, answer["code"], answer["details"]) == (400, "bad_params", None)
    assert await whep.post(OFFER.replace("sendrecv", "sendonly")) == 422


async def test_what_may_be_sent_where(whip: Client) -> None:
    """OPTIONS says so to everybody; GET is no method here."""
    await whip.post()
    assert await whip.ask("OPTIONS", whip.path, Authorization="") == 204
    assert whip.headers["Accept-Post"] == SDP
    assert await whip.ask("OPTIONS", whip.location, Authorization="") == 204
    assert whip.headers["Accept-Patch"] == FRAGMENT
    for method in ("GET", "PUT"):
        assert await whip.ask(method, whip.path) == 405
        assert await whip.ask(method, whip.location) == 405


async def test_ice_servers_are_linked(serve: Serve, tmp_path: Any) -> None:
    """One `Link` for each, with credentials of the client's own."""
    urls = "stun:s.example,turn:t.example"
    edge = await serve(ice_servers=urls, turn_secret_file=tmp_path / "secret")
    await edge.new_room()
    client = Client(edge, "whep", await edge.listen_token())
    await client.post()
    stun, turn = client.headers.getall("Link")
    assert stun == '<stun:s.example>; rel="ice-server"'
    ((_, peer),) = edge.node.mixer.listening
    assert f':{peer}"; credential="' in turn


async def test_errors_of_ours_stay_inside(edge: Edge, whip: Client) -> None:
    """A fault is the log's, and still an answer that a page may read."""
    edge.node.mixer.refusal = RuntimeError("secret")
    assert await whip.post() == 500
    assert "secret" not in whip.body
    assert people(edge) == []


# Fuzz

_LINES = st.sampled_from([*OFFER.split("\r\n"), *OTHER_ICE.split("\r\n"), f"a={CANDIDATE}", "a=x"])
_RIGHT = st.sampled_from([OFFER, ICE, OTHER_ICE])
_BODIES = _RIGHT | st.text(max_size=300) | st.lists(_LINES, max_size=12).map("\r\n".join)
_HEADERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(str.strip)


async def test_whatever_is_sent_is_answered(edge: Edge, whip: Client) -> None:
    """No 5xx, no listener or person left behind, and nobody else is disturbed."""
    await whip.post()
    fuzzer = Client(edge, "whep", await edge.listen_token())
    loop = asyncio.get_running_loop()
    statuses: set[int] = set()

    @settings(
        max_examples=120,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        body=_BODIES,
        content=st.just("") | _HEADERS,
        accept=st.just("") | _HEADERS,
        tags=st.just("*") | _HEADERS,
        method=st.sampled_from(["POST", "PATCH", "DELETE"]),
    )
    def attack(body: str, content: str, accept: str, tags: str, method: str) -> None:
        async def once() -> None:
            if not fuzzer.location:
                assert await fuzzer.post() == 201
            path = fuzzer.path if method == "POST" else fuzzer.location
            right = SDP if method == "POST" else FRAGMENT
            told = {"Content_Type": content or right, "Accept": accept, "If_Match": tags}
            text = body.encode(errors="replace").decode()
            status = await fuzzer.ask(method, path, text, **told)
            statuses.add(status)
            if method == "DELETE" and status == 200:
                fuzzer.location = ""
            assert status < 500, fuzzer.body

        asyncio.run_coroutine_threadsafe(once(), loop).result()

    await asyncio.to_thread(attack)
    assert {200, 201, 204, 400, 415} <= statuses
    assert len(people(edge)) == 1
    standings = edge.node.services.context.standings
    assert standings.count(Kind.WHEP) == len(edge.node.mixer.listening)
    assert await whip.delete() == 200
