"""Rooms that are made when somebody comes: by nobody unless the operator says so."""

import asyncio

from tests.server.edge.conftest import Edge, Serve

USERS = "/api/rooms/class-7/users"


async def test_never_unless_set(edge: Edge) -> None:
    """Without the setting nobody makes a room by coming, the admin neither."""
    assert (await edge.as_admin("POST", USERS, {}))[0] == 404
    assert (await edge.ask("POST", USERS, {}))[0] == 401
    assert len(edge.node.rooms) == 0


async def test_by_the_admin(serve: Serve) -> None:
    """Whoever may let people in makes rooms of the pattern; strangers do not."""
    edge = await serve(auto_rooms="class-*", auto_rooms_limit=2, room_anchors=4)
    assert (await edge.ask("POST", USERS, {}))[0] == 401
    assert (await edge.ask("POST", USERS, {"invite": "guess"}))[0] == 404
    assert (await edge.as_admin("POST", "/api/rooms/other/users", {}))[0] == 404
    assert len(edge.node.rooms) == 0
    assert (await edge.as_admin("POST", USERS, {}))[0] == 200
    assert (await edge.as_admin("POST", "/api/token", {"roomId": "class-8"}))[0] == 200
    _, answer = await edge.as_admin("GET", "/api/rooms/class-7")
    assert (answer["room"]["maxAnchors"], answer["room"]["pin"]) == (4, "")
    status, answer = await edge.as_admin("POST", "/api/rooms/class-9/users", {})
    assert (status, answer["code"]) == (409, "too_many")
    assert (await edge.as_admin("POST", USERS, {}))[0] == 200  # it is there
    edge.http.session.cookie_jar.clear()
    assert (await edge.ask("POST", USERS, {}))[0] == 401


async def test_all_at_once(serve: Serve) -> None:
    """The limit holds for a crowd; who comes to a room that is being made comes into it."""
    edge = await serve(auto_rooms="class-*", auto_rooms_open=True, auto_rooms_limit=3)
    names = [f"/api/rooms/class-{number % 6}/users" for number in range(24)]
    answers = await asyncio.gather(*(edge.ask("POST", name, {}) for name in names))
    assert len(edge.node.rooms) == 3
    assert [status for status, _ in answers].count(200) == 12
    assert {answer["code"] for status, answer in answers if status != 200} == {"too_many"}


async def test_by_anybody(serve: Serve) -> None:
    """Where it is set, strangers come and make them; not as host, and nowhere else."""
    edge = await serve(auto_rooms="class-*", auto_rooms_open=True)
    await edge.new_room("private")
    assert (await edge.ask("POST", USERS, {"displayName": "Ada"}))[0] == 200
    assert (await edge.ask("POST", "/api/token", {"roomId": "class-7"}))[0] == 200
    assert (await edge.ask("POST", USERS, {"role": "host"}))[0] == 403
    assert (await edge.ask("POST", "/api/rooms/private/users", {}))[0] == 401
    await edge.as_admin("PATCH", "/api/rooms/class-7", {"locked": True})
    assert (await edge.ask("POST", USERS, {}))[0] == 403
