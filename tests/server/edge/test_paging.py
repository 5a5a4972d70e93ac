"""Lists in pages and by filters."""

import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.types import RoomId
from server.domain.grants import Role
from server.domain.identity import UserId
from server.edge.paging import page
from server.edge.queries import PageQuery
from server.errors import BadInput
from server.services.presence import Arrival
from tests.server.edge.conftest import Edge, Serve
from tests.support.node import FakeClient


@given(st.lists(st.text(max_size=5), unique=True), st.integers(1, 4))
def test_pages_are_the_list(names: list[str], limit: int) -> None:
    """All pages together are the list, each item once."""
    seen: list[str] = []
    cursor = ""
    for _ in itertools.count():
        found, more = page(names, lambda name: (name,), PageQuery(limit=limit, cursor=cursor))
        seen += found
        if not more:
            break
        assert len(found) == limit
        cursor = str(more["nextCursor"])
    assert seen == sorted(names)


@pytest.mark.parametrize(
    "cursor", ["x", "e30", "W10", "WzFd", "W251bGxd", "WyJhIl0", "====", "bnVsbA"]
)
def test_cursors_of_others(cursor: str) -> None:
    """A cursor that is none, or of another list, is refused."""
    with pytest.raises(BadInput):
        page([SimpleNamespace(n=1.5)], lambda one: (one.n, "x"), PageQuery(cursor=cursor))


async def test_rooms(edge: Edge) -> None:
    """Rooms come in the order they were made, whatever comes and goes in between."""
    for number in range(5):
        await edge.new_room(f"room{number}")
        edge.node.advance(1)
    _, first = await edge.as_admin("GET", "/api/rooms?limit=2")
    assert ([one["roomId"] for one in first["rooms"]], first["count"]) == (["room0", "room1"], 2)
    await edge.as_admin("DELETE", "/api/rooms/room1")
    await edge.as_admin("DELETE", "/api/rooms/room3")
    _, rest = await edge.as_admin("GET", f"/api/rooms?limit=9&cursor={first['nextCursor']}")
    assert [one["roomId"] for one in rest["rooms"]] == ["room2", "room4"]
    assert "nextCursor" not in rest


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=CHOIR", ["two"]),
        ("locked=true", ["one"]),
        ("locked=false&occupied=false", ["two"]),
        ("occupied=true", ["three"]),
        ("broadcast=false", ["two"]),
        ("state=removing", []),
        ("state=onair", ["one", "two", "three"]),
    ],
)
async def test_room_filters(edge: Edge, query: str, found: list[str]) -> None:
    """Rooms by what they are."""
    await edge.new_room("one", locked=True)
    await edge.new_room("two", name="The choir", broadcast=False)
    await edge.new_room("three")
    room = edge.node.rooms.get(RoomId("three"))
    edge.node.presence.enter(room, Arrival(UserId("u"), Role.ANCHOR), FakeClient())
    _, answer = await edge.as_admin("GET", f"/api/rooms?{query}")
    assert sorted(one["roomId"] for one in answer["rooms"]) == sorted(found)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=ad", ["Ada"]),
        ("role=host", ["Bob"]),
        ("muted=true", ["Bob"]),
        ("status=idle&muted=false", ["Ada"]),
        ("status=left", []),
        ("limit=1", ["Ada"]),
    ],
)
async def test_people(edge: Edge, query: str, found: list[str]) -> None:
    """People by what they are."""
    await edge.new_room("demo")
    room = edge.node.rooms.get(RoomId("demo"))
    edge.node.presence.enter(room, Arrival(UserId("a"), Role.ANCHOR, "Ada"), FakeClient())
    edge.node.presence.enter(room, Arrival(UserId("b"), Role.HOST, "Bob"), FakeClient())
    edge.node.presence.mute(RoomId("demo"), UserId("b"), muted=True)
    _, answer = await edge.as_admin("GET", f"/api/rooms/demo/participants?{query}")
    assert [one["displayName"] for one in answer["participants"]] == found


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=%00", "state=gone", "locked=maybe"]
)
async def test_mistakes(edge: Edge, query: str) -> None:
    """What is no page and no filter is refused."""
    status, answer = await edge.as_admin("GET", f"/api/rooms?{query}")
    assert (status, answer["code"]) == (400, "bad_params")


async def test_other_lists(serve: Serve) -> None:
    """Forwarders, plain RTP, recordings and announcements come in pages too."""
    edge = await serve(forward_to="127.0.0.0/8", rtp_port=5004)
    await edge.new_room("demo")
    for _ in range(3):
        body = {"host": "127.0.0.1", "port": 5006}
        await edge.as_admin("POST", "/api/rooms/demo/forwarders", body)
        await edge.as_admin("POST", "/api/rooms/demo/rtp", {})
    for name, field in (("forwarders", "forwarders"), ("rtp", "participants")):
        path = f"/api/rooms/demo/{name}?limit=2"
        _, first = await edge.as_admin("GET", path)
        _, rest = await edge.as_admin("GET", f"{path}&cursor={first['nextCursor']}")
        assert (len(first[field]), len(rest[field])) == (2, 1)
    for name in ("arrivals?limit=1", "announcements?limit=1&state=failed"):
        assert (await edge.as_admin("GET", f"/api/rooms/demo/{name}"))[0] == 200
