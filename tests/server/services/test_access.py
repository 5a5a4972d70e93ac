"""Who may do what."""

from dataclasses import replace

import pytest

from mixer.types import RoomId
from server.domain.grants import Right, Role
from server.domain.room import Room
from server.errors import (
    BadInvite,
    BadSecret,
    BadToken,
    Forbidden,
    RoomFull,
    TokenExpired,
    Unauthorized,
    WrongPin,
)
from server.services.access import Newcomer, Showing
from server.services.rooms import Wanted
from server.services.tokens import Audience, Grant
from tests.server.services.people import ADA, BOB, enter
from tests.support.node import Node

DEMO, OTHER = RoomId("demo"), RoomId("other")


@pytest.fixture
async def room(node: Node) -> Room:
    await node.rooms.create(Wanted(id=OTHER, pin=""))
    return await node.rooms.create(Wanted(id=DEMO, pin="a1b2c3", max_anchors=1))


async def test_first_run(node: Node) -> None:
    """The first-run secret becomes an admin cookie, once."""
    secret = node.keyring.first_run or ""
    cookie = (await node.access.log_in(secret)).token
    assert node.access.is_admin_cookie(cookie)
    with pytest.raises(BadSecret):
        await node.access.log_in(secret)


async def test_admin_key(node: Node) -> None:
    """The admin key logs in as often as one likes, and spends the first-run link."""
    secret = node.keyring.first_run or ""
    for _ in range(2):
        await node.access.log_in(node.keyring.admin_key)
    with pytest.raises(BadSecret):
        await node.access.log_in(secret)


@pytest.mark.parametrize("secret", ["", "x", "None", "\ud800"])
async def test_bad_secret(node: Node, secret: str) -> None:
    """Anything else is refused, and the first-run link stays good."""
    with pytest.raises(BadSecret):
        await node.access.log_in(secret)
    assert node.keyring.first_run is not None


async def test_cookie_ends(node: Node) -> None:
    """An admin cookie ends with its time."""
    cookie = (await node.access.log_in(node.keyring.admin_key)).token
    node.advance(node.access.lifetimes.admin_s)
    assert not node.access.is_admin_cookie(cookie)


async def test_anchor_by_invite(node: Node, room: Room) -> None:
    """A join invite and the PIN make an anchor, who need not show the PIN again."""
    showing = Showing(invite=room.invites.join, pin="a1b2c3")
    anchor = await node.access.anchor(room, showing, Newcomer(Role.GUEST, "Ada"))
    grant = node.access.joining(anchor.minted.token)
    assert grant == Grant(
        DEMO, anchor.user, Role.GUEST, pin=True, display_name="Ada", made=room.made
    )


async def test_anchor_by_admin(node: Node, room: Room) -> None:
    """The admin makes anchors without the PIN, which is then asked for at the join."""
    anchor = await node.access.anchor(room, Showing(is_admin=True), Newcomer())
    assert not node.access.joining(anchor.minted.token).pin
    with pytest.raises(WrongPin):
        await node.access.anchor(room, Showing(is_admin=True, pin="wrong1"), Newcomer())


async def test_refused_anchor(node: Node, room: Room) -> None:
    """No anchor without invite, with the listeners' invite, or without the PIN."""
    for showing, error in (
        (Showing(), Unauthorized),
        (Showing(invite=room.invites.listen, pin="a1b2c3"), BadInvite),
        (Showing(invite=room.invites.join), WrongPin),
        (Showing(invite=room.invites.join, pin="a1b2c4"), WrongPin),
    ):
        with pytest.raises(error):
            await node.access.anchor(room, showing, Newcomer())


async def test_hosts_are_made_by_admins(node: Node, room: Room) -> None:
    """An invite makes nobody a host, for a host may remove others."""
    showing = Showing(invite=room.invites.join, pin="a1b2c3")
    with pytest.raises(Forbidden, match="host"):
        await node.access.anchor(room, showing, Newcomer(Role.HOST, ""))
    anchor = await node.access.anchor(room, Showing(is_admin=True), Newcomer(Role.HOST, ""))
    assert node.access.joining(anchor.minted.token).role is Role.HOST


async def test_listener_with_a_socket(node: Node, room: Room) -> None:
    """The listeners' invite is enough for a listener, also where there is no seat left."""
    enter(node, room, ADA)
    showing = Showing(invite=room.invites.listen, pin="a1b2c3")
    anchor = await node.access.anchor(room, showing, Newcomer(Role.LISTENER, "Lena"))
    assert node.access.joining(anchor.minted.token).role is Role.LISTENER


async def test_full(node: Node, room: Room) -> None:
    """A full room makes no more anchors."""
    enter(node, room, ADA)
    with pytest.raises(RoomFull):
        await node.access.anchor(room, Showing(is_admin=True), Newcomer())


@pytest.mark.parametrize("role", ["join", "listen"])
async def test_listener_by_invite(node: Node, room: Room, role: str) -> None:
    """Either invite lets one listen."""
    showing = Showing(invite=getattr(room.invites, role), pin="a1b2c3")
    token = (await node.access.listener(room, showing)).token
    node.access.check_listening(DEMO, token)


async def test_listener_by_token(node: Node, room: Room) -> None:
    """Who holds a token of the room may listen without invite or PIN."""
    token = node.join_token(Grant(DEMO, ADA))
    again = (await node.access.listener(room, Showing(token=token))).token
    third = (await node.access.listener(room, Showing(token=again))).token
    node.access.check_listening(DEMO, third)
    assert node.access.listening(third).user == ADA  # so that removing Ada ends it


async def test_refused_listener(node: Node, room: Room) -> None:
    """No listener without a right, without the PIN, or with another room's token."""
    for showing, error in (
        (Showing(), Unauthorized),
        (Showing(invite="x", pin="a1b2c3"), BadInvite),
        (Showing(invite=room.invites.listen), WrongPin),
        (Showing(token=node.join_token(Grant(OTHER, ADA))), BadToken),
        (Showing(token="x"), BadToken),
    ):
        with pytest.raises(error):
            await node.access.listener(room, showing)


async def test_another_rooms_invite(node: Node, room: Room) -> None:
    """An invite of one room is nothing for another."""
    with pytest.raises(BadInvite):
        node.access.may_see(room, Showing(invite=node.rooms.get(OTHER).invites.join))


async def test_revoked_token(node: Node, room: Room) -> None:
    """A removed person's token is worthless, but nobody else's."""
    await node.rooms.revoke(DEMO, ADA, 60)
    with pytest.raises(BadToken, match="revoked"):
        node.access.joining(node.join_token(Grant(DEMO, ADA)))
    node.access.joining(node.join_token(Grant(DEMO, BOB)))


@pytest.mark.parametrize("audience", [one for one in Audience if one is not Audience.LISTEN])
async def test_key_needs_a_listen_token(node: Node, room: Room, audience: Audience) -> None:
    """No token but a listen token of that very room gives a key."""
    with pytest.raises(BadToken):
        node.access.check_listening(DEMO, node.token(audience, Grant(DEMO, ADA)))
    with pytest.raises(BadToken, match="another room"):
        node.access.check_listening(OTHER, node.listen_token(Grant(DEMO, ADA)))


async def test_removed_people_stop_listening(node: Node, room: Room) -> None:
    """Who is removed can neither join nor listen with what they hold, also after a restart."""
    join = node.join_token(Grant(DEMO, ADA))
    listen = (await node.access.listener(room, Showing(token=join))).token
    await node.access.remove(DEMO, ADA)
    restarted = node.build()
    await restarted.load()
    for access in (node.access, restarted.context.access):
        for check in (access.joining, access.listening):
            with pytest.raises(BadToken, match=r"revoked|made here"):
                check(join if check == access.joining else listen)
        with pytest.raises(BadToken):
            access.check_listening(DEMO, listen)


async def test_a_session_under_way(node: Node, room: Room) -> None:
    """A listen token goes on beyond its time for who listens, and only so long; no other does."""
    here: set[tuple[str, str]] = set()
    node.access.is_listening = lambda room, user: (room, user) in here
    node.access.lifetimes = replace(node.access.lifetimes, session_s=100)
    token = node.listen_token(Grant(DEMO, ADA), ttl_s=10)
    assert node.access.check_hearing(DEMO, token).user == ADA
    node.advance(10)
    with pytest.raises(TokenExpired):
        node.access.check_hearing(DEMO, token)
    here.add((DEMO, ADA))
    assert node.access.check_hearing(DEMO, token).user == ADA
    for audience in (Audience.JOIN, Audience.ADMIN):
        with pytest.raises(BadToken):
            node.access.check_hearing(DEMO, node.token(audience, Grant(DEMO, ADA)))
    with pytest.raises(BadToken, match="another room"):
        node.access.check_hearing(OTHER, token)
    with pytest.raises(TokenExpired):
        node.access.check_listening(DEMO, token)
    node.advance(90)
    with pytest.raises(TokenExpired):
        node.access.check_hearing(DEMO, token)


async def test_revoked_for_as_long_as_a_session(node: Node) -> None:
    """A refusal lasts as long as the longest session of a token could."""
    await node.rooms.create(Wanted(id=DEMO, expires_in_s=None))
    node.access.is_listening = lambda _room, _user: True
    token = node.listen_token(Grant(DEMO, ADA), ttl_s=10)
    await node.access.remove(DEMO, ADA)
    node.advance(node.access.lifetimes.session_s - 1)
    await node.rooms.expire()
    with pytest.raises(BadToken, match="revoked"):
        node.access.check_hearing(DEMO, token)


async def test_a_room_made_anew(node: Node, room: Room) -> None:
    """A token of a room that was deleted is worthless in one that has its id since."""
    anchor = await node.access.anchor(room, Showing(is_admin=True), Newcomer())
    listen = (await node.access.listener(room, Showing(is_admin=True))).token
    await node.rooms.remove(DEMO)
    node.advance(0.001)
    await node.rooms.create(Wanted(id=DEMO, pin=""))
    with pytest.raises(BadToken, match="room that is gone"):
        node.access.joining(anchor.minted.token)
    with pytest.raises(BadToken, match="room that is gone"):
        node.access.check_listening(DEMO, listen)


async def test_single_grants(node: Node, room: Room) -> None:
    """An admin may give single grants, an invite may not."""
    wanted = Newcomer(Role.GUEST, explicit=frozenset({Right.SPEAK, Right.KICK}))
    anchor = await node.access.anchor(room, Showing(is_admin=True), wanted)
    assert node.access.joining(anchor.minted.token).rights == wanted.explicit
    with pytest.raises(Forbidden):
        await node.access.anchor(room, Showing(invite=room.invites.join, pin="a1b2c3"), wanted)
