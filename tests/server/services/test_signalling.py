"""One person's conversation."""

import asyncio
from contextlib import nullcontext
from dataclasses import replace

import pytest

from mixer.errors import ClientMistake, NoCapacity, PeerGone
from mixer.types import GoneReason, PeerChanged, PeerId, PeerState, RoomId
from server.domain.grants import Role
from server.domain.people import Status
from server.domain.room import Room
from server.errors import (
    AlreadyJoined,
    BadToken,
    NotJoined,
    PlaneUnavailable,
    RoomFull,
    RoomLocked,
    RoomNotFound,
    ServerError,
    WrongPin,
)
from server.services.access import Newcomer, Showing
from server.services.presence import Farewell
from server.services.rooms import Wanted
from server.services.signalling import Joining, Session
from server.services.tokens import Grant
from tests.server.services.people import ADA, BOB
from tests.support.node import SDP, FakeClient, Node
from tests.support.planes import ANSWER

DEMO = RoomId("demo")
GRANT = Grant(DEMO, ADA)


@pytest.fixture
async def room(node: Node) -> Room:
    return await node.rooms.create(Wanted(id=DEMO, pin="a1b2c3"))


async def joined(
    node: Node, jtoken: str = "", grant: Grant = GRANT
) -> tuple[Session, FakeClient, str]:
    session, client = node.session(grant)
    answer = await session.join(Joining("a1b2c3", jtoken))
    return session, client, answer.jtoken


async def test_join(node: Node, room: Room) -> None:
    """A join names the room and the person, and gives a token to come back with."""
    session, _ = node.session(replace(GRANT, display_name="Ada"))
    answer = await session.join(Joining("a1b2c3"))
    assert (answer.room, answer.user, answer.resumed) == (room, ADA, False)
    assert node.presence.listing(DEMO)[0]["displayName"] == "Ada"


@pytest.mark.parametrize("pin", ["", "A1B2C3", "a1b2c", "\ud800"])
async def test_wrong_pin(node: Node, room: Room, pin: str) -> None:
    """A wrong PIN is refused, nobody enters, and the same socket may try again."""
    session, _ = node.session(GRANT)
    with pytest.raises(WrongPin):
        await session.join(Joining(pin))
    assert node.presence.total == 0
    await session.join(Joining("a1b2c3"))


async def test_pin_shown_before(node: Node, room: Room) -> None:
    """Who showed the PIN for the token need not show it again."""
    session, _ = node.session(replace(GRANT, pin=True))
    await session.join(Joining())


async def test_second_join(node: Node, room: Room) -> None:
    """A second join on one socket is refused and changes nothing."""
    session, client, _ = await joined(node)
    with pytest.raises(AlreadyJoined):
        await session.join(Joining("a1b2c3"))
    assert client.farewell is None
    assert node.presence.count(DEMO) == 1


async def test_no_room(node: Node) -> None:
    """A room that was never there, or is gone, cannot be joined."""
    session, _ = node.session(GRANT)
    with pytest.raises(RoomNotFound):
        await session.join(Joining())


async def test_revoked(node: Node, room: Room) -> None:
    """Who was removed cannot join with a socket that was open before."""
    session, _ = node.session(GRANT)
    await node.rooms.revoke(DEMO, ADA, 60)
    with pytest.raises(BadToken):
        await session.join(Joining("a1b2c3"))


async def test_offer(node: Node, room: Room) -> None:
    """An offer reaches the mixer, which has the person by then, and its answer comes back."""
    session, _, _ = await joined(node)
    assert await session.offer(SDP) == ANSWER
    assert node.mixer.offers == [(DEMO, PeerId(ADA), SDP)]


async def test_offer_again(node: Node, room: Room) -> None:
    """A further offer is taken: it replaces the connection."""
    session, _, _ = await joined(node)
    await session.offer(SDP)
    assert await session.offer(SDP) == ANSWER


async def test_pipelined(node: Node, room: Room) -> None:
    """Calls that come all at once are answered in their order."""
    session, _ = node.session(GRANT)
    results = await asyncio.gather(
        session.join(Joining("a1b2c3")),
        session.offer(SDP),
        session.candidate("candidate:1"),
        session.mute(muted=True),
        session.leave(),
    )
    assert results[1] == ANSWER
    assert node.mixer.candidates == ["candidate:1"]


@pytest.mark.parametrize(
    ("refusal", "raised"),
    [
        (ClientMistake("no_audio", "no audio"), ClientMistake),
        (NoCapacity(), NoCapacity),
        (PeerGone(), PlaneUnavailable),
    ],
)
async def test_refused_offer(
    node: Node, room: Room, refusal: Exception, raised: type[Exception]
) -> None:
    """A refused offer says why, and the person stays in the room."""
    session, _, _ = await joined(node)
    node.mixer.refusal = refusal
    with pytest.raises(raised):
        await session.offer(SDP)
    assert node.presence.count(DEMO) == 1


async def test_mixer_away(node: Node, room: Room) -> None:
    """While the mixer is away people can join; offers are to be repeated, then work."""
    node.mixer.is_away = True
    session, _, _ = await joined(node)
    with pytest.raises(PlaneUnavailable):
        await session.offer(SDP)
    node.mixer.is_away = False
    assert await session.offer(SDP) == ANSWER


@pytest.mark.parametrize("candidate", [None, "", "candidate:1 1 udp 1 192.0.2.1 9 typ host"])
async def test_candidate(node: Node, room: Room, candidate: str | None) -> None:
    """A candidate reaches the mixer; the end of candidates does not."""
    session, _, _ = await joined(node)
    await session.offer(SDP)
    await session.candidate(candidate)
    assert node.mixer.candidates == ([candidate] if candidate else [])


async def test_keep_alive(node: Node, room: Room) -> None:
    """A keepalive may say what the person does."""
    session, _, _ = await joined(node)
    await session.keep_alive(Status.ON_AIR)
    await session.keep_alive(None)
    assert node.presence.listing(DEMO)[0]["status"] == "onair"


async def test_leave(node: Node, room: Room) -> None:
    """Who leaves is gone; the socket's end then means nothing."""
    session, client, _ = await joined(node)
    await session.leave()
    session.lost()
    assert (client.farewell, node.presence.count(DEMO)) == (Farewell.LEFT, 0)


@pytest.mark.parametrize("how", ["never", "left", "lost", "replaced", "removed", "room gone"])
async def test_not_joined(node: Node, room: Room, how: str) -> None:
    """Nothing but join works for who is not in the room by this very socket."""
    session, _ = node.session(GRANT)
    if how != "never":
        await session.join(Joining("a1b2c3"))
    match how:
        case "left":
            await session.leave()
        case "lost":
            session.lost()
        case "replaced":
            await joined(node)
        case "removed":
            await node.rooms.revoke(DEMO, ADA, 60)
        case "room gone":
            await node.rooms.remove(DEMO)
        case _:
            assert how == "never"
    for call in (
        session.offer(SDP),
        session.candidate("c"),
        session.mute(muted=True),
        session.keep_alive(None),
        session.leave(),
    ):
        with pytest.raises(NotJoined):
            await call


async def test_resume(node: Node, room: Room) -> None:
    """Who comes back in time with the jtoken keeps the media, and their mute."""
    session, _, jtoken = await joined(node)
    await session.offer(SDP)
    await session.mute(muted=True)
    session.lost()
    again, _ = node.session(GRANT)
    answer = await again.join(Joining("a1b2c3", jtoken))
    assert answer.resumed
    assert node.presence.listing(DEMO)[0]["muted"] is True


@pytest.mark.parametrize(
    "why", ["no media", "media gone", "too late", "foreign", "another's", "older", "none"]
)
async def test_no_resume(node: Node, room: Room, why: str) -> None:
    """Without living media, or without the right jtoken, everything begins anew."""
    session, _, jtoken = await joined(node)
    if why != "no media":
        await session.offer(SDP)
    session.lost()
    match why:
        case "media gone":
            node.hear(PeerChanged(DEMO, PeerId(ADA), PeerState.GONE, GoneReason.TIMEOUT))
        case "too late":
            node.advance(60)
            node.presence.sweep()
        case "foreign":
            jtoken = node.join_token(GRANT)
        case "another's":
            _, _, jtoken = await joined(node, grant=Grant(DEMO, BOB))
        case "older":
            between, _, _ = await joined(node)
            await between.offer(SDP)
        case "none":
            jtoken = ""
        case _:
            assert why == "no media"
    again, _ = node.session(GRANT)
    answer = await again.join(Joining("a1b2c3", jtoken))
    assert not answer.resumed
    assert await again.offer(SDP) == ANSWER


async def test_used_jtoken(node: Node, room: Room) -> None:
    """A jtoken is good once: who copied it comes too late, also into a locked room."""
    session, _, jtoken = await joined(node)
    await session.offer(SDP)
    session.lost()
    again, _, newer = await joined(node, jtoken)
    assert (await joined(node, jtoken))[1].farewell is None
    person = node.presence.person(DEMO, ADA)
    assert person is not None
    assert not person.has_media
    node.presence.leave(DEMO, ADA)
    await node.rooms.change(DEMO, lambda before: replace(before, locked=True))
    for used in (jtoken, newer):
        with pytest.raises(RoomLocked):
            await joined(node, used)
    with pytest.raises(NotJoined):
        await again.offer(SDP)


async def test_newcomer_without_proof(node: Node, room: Room) -> None:
    """Who has a person's token but not the PIN does not push them out; who has both does."""
    _, client, _ = await joined(node)
    second, _ = node.session(GRANT)
    with pytest.raises(WrongPin):
        await second.join(Joining("000000"))
    assert client.farewell is None
    await second.join(Joining("a1b2c3"))
    assert client.farewell is Farewell.REPLACED


async def test_seats(node: Node) -> None:
    """A token takes no seat, a join does; leaving frees it, a lost socket does so in time."""
    await node.rooms.create(Wanted(id=DEMO, pin="", max_anchors=1))
    room = node.rooms.get(DEMO)
    for _ in range(3):
        await node.access.anchor(room, Showing(is_admin=True), Newcomer(Role.ANCHOR))
    ada, _, _ = await joined(node)
    with pytest.raises(RoomFull):
        await joined(node, grant=Grant(DEMO, BOB))
    await ada.leave()
    bob, _, _ = await joined(node, grant=Grant(DEMO, BOB))
    await bob.offer(SDP)
    bob.lost()
    node.advance(59)
    node.presence.sweep()
    with pytest.raises(RoomFull):
        await joined(node)
    node.advance(1)
    node.presence.sweep()
    await joined(node)


async def test_removed_while_offering(node: Node, room: Room) -> None:
    """Who is removed while the mixer answers gets no answer."""
    session, _, _ = await joined(node)

    async def slow(room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False) -> str:
        await node.rooms.revoke(DEMO, ADA, 60)
        return ANSWER

    node.mixer.accept_offer = slow  # type: ignore[method-assign]
    with pytest.raises(ServerError):
        await session.offer(SDP)
    assert node.presence.count(DEMO) == 0


@pytest.mark.parametrize("seconds", [0.0, 61.0])
async def test_a_seat_survives_a_restart(node: Node, room: Room, seconds: float) -> None:
    """Whose seat was acknowledged gets it back from a new server, whoever else came first.

    For as long as a resume may take: later the seat is whoever's.
    """
    await node.rooms.change(DEMO, lambda before: replace(before, max_anchors=1))
    _, _, jtoken = await joined(node)
    node.services = node.build()
    await node.rooms.load()
    await joined(node, grant=Grant(DEMO, BOB))
    node.advance(seconds)
    with pytest.raises(RoomFull) if seconds else nullcontext():
        await joined(node, jtoken)
    assert (node.presence.person(DEMO, ADA) is None) == bool(seconds)
