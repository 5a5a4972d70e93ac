"""Who listens, over HTTP."""

from typing import Any

import pytest

from mixer.types import RoomId
from tests.server.edge.conftest import Edge
from tests.server.edge.test_stream_keys import KEY, PLAYLIST
from tests.server.services.people import ADA

LIST = "/api/rooms/demo/listeners"


@pytest.fixture(autouse=True)
async def _on_air(edge: Edge) -> None:
    await edge.new_room()
    edge.node.broadcast.playlist_text = PLAYLIST


async def listeners(edge: Edge) -> list[dict[str, Any]]:
    status, answer = await edge.as_admin("GET", LIST)
    assert (status, answer["count"]) == (200, len(answer["listeners"]))
    found: list[dict[str, Any]] = answer["listeners"]
    return found


async def numbers(edge: Edge) -> tuple[int, int, int]:
    _, rooms = await edge.as_admin("GET", "/api/rooms")
    _, room = await edge.as_admin("GET", "/api/rooms/demo")
    _, stats = await edge.as_admin("GET", "/api/stats")
    return (
        rooms["rooms"][0]["listeners"],
        room["room"]["listeners"],
        stats["stats"]["rooms"]["totalListeners"],
    )


@pytest.mark.parametrize("how", ["query", "cookie", "header"])
async def test_listed(edge: Edge, how: str) -> None:
    """Who asks for playlists or keys is listed, however they show their token, and for a minute."""
    token = await edge.listen_token()
    headers = {
        "cookie": {"Cookie": f"roomtone_listen_demo={token}"},
        "header": {"Authorization": f"Bearer {token}"},
    }.get(how, {})
    query = f"?token={token}" if how == "query" else ""
    for path in ("/hls/demo/stream.m3u8", KEY, KEY):
        async with edge.http.get(path + query, headers=headers) as answer:
            assert answer.status == 200
    (one,) = await listeners(edge)
    assert (one["keys"], one["since"]) == (2, "2023-11-14T22:13:20Z")
    assert await numbers(edge) == (1, 1, 1)
    edge.node.advance(60)
    assert await listeners(edge) == []
    assert await numbers(edge) == (0, 0, 0)


async def test_open_playlist(edge: Edge) -> None:
    """Who shows nothing is nobody: not listed."""
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert answer.status == 200
    assert await listeners(edge) == []


async def test_pages(edge: Edge) -> None:
    """The list comes in pages, those first who have been there for longest."""
    for _ in range(5):
        edge.node.advance(1)
        token = await edge.listen_token()
        async with edge.http.get(f"{KEY}?token={token}") as answer:
            assert answer.status == 200
    everybody = [one["userId"] for one in await listeners(edge)]
    seen: list[str] = []
    cursor = ""
    while len(seen) < 5:
        _, answer = await edge.as_admin("GET", f"{LIST}?limit=2&cursor={cursor}")
        seen += [one["userId"] for one in answer["listeners"]]
        cursor = answer.get("nextCursor", "")
    assert (seen, cursor) == (everybody, "")


async def test_revoked(edge: Edge) -> None:
    """Who is revoked gets no key any more, by what they have or had made of it; others do."""
    token, other = await edge.listen_token(), await edge.listen_token()
    async with edge.http.get(f"/hls/demo/stream.m3u8?token={token}") as answer:
        text = await answer.text()
    key_only = text.partition("?token=")[2].partition('"')[0]
    (one,) = await listeners(edge)
    path = f"{LIST}/{one['userId']}"
    assert await edge.as_admin("DELETE", path) == (200, {"success": True})
    for shown in (token, key_only):
        for address in (KEY, "/hls/demo/stream.m3u8"):
            async with edge.http.get(f"{address}?token={shown}") as answer:
                assert answer.status == 403
    assert await listeners(edge) == []
    async with edge.http.get(f"{KEY}?token={other}") as answer:
        assert answer.status == 200
    again = edge.node.build()
    await again.load()
    assert again.context.rooms.is_revoked(RoomId("demo"), one["userId"])


async def test_revoked_with_their_link(edge: Edge) -> None:
    """The link is worthless before the token is: a page that comes again by it is refused."""
    _, told = await edge.as_admin("GET", "/api/rooms/demo")
    links = told["room"]["links"]
    link = {"roomId": "demo", "invite": links["listen"].partition("#invite=")[2]}
    async with edge.http.post("/api/token", json=link) as answer:
        token = (await answer.json())["token"]
    async with edge.http.get(f"{KEY}?token={token}") as answer:
        assert answer.status == 200
    (one,) = await listeners(edge)
    path = f"{LIST}/{one['userId']}?renew=true"
    async with edge.http.delete(path, headers=await _only_people(edge)) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")
    status, told = await edge.as_admin("DELETE", path)
    assert status == 200
    assert told["links"]["join"] == links["join"]
    async with edge.http.get(f"{KEY}?token={token}") as answer:
        assert answer.status == 403
    async with edge.http.post("/api/token", json=link) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, "bad_invite")
    link["invite"] = told["links"]["listen"].partition("#invite=")[2]
    async with edge.http.post("/api/token", json=link) as answer:
        assert answer.status == 200


async def _only_people(edge: Edge) -> dict[str, str]:
    _, answer = await edge.as_admin("POST", "/api/keys", {"name": "k", "scopes": ["people"]})
    return {"Authorization": f"Bearer {answer['key']['secret']}"}


async def test_revoked_in_advance(edge: Edge) -> None:
    """Somebody who does not listen now may be revoked; in a room that is not there, nobody."""
    assert (await edge.as_admin("DELETE", f"{LIST}/{ADA}"))[0] == 200
    status, answer = await edge.as_admin("DELETE", f"/api/rooms/never/listeners/{ADA}")
    assert (status, answer["code"]) == (404, "room_not_found")
    status, answer = await edge.as_admin("GET", "/api/rooms/never/listeners")
    assert (status, answer["code"]) == (404, "room_not_found")


async def test_metrics(edge: Edge) -> None:
    """The metrics count listeners and keys, and name nobody."""
    token = await edge.listen_token()
    async with edge.http.get(f"{KEY}?token={token}") as answer:
        assert answer.status == 200
    (one,) = await listeners(edge)
    async with edge.http.get("/metrics") as answer:
        text = await answer.text()
    for line in (
        'roomtone_broadcast_listeners{process="control"} 1.0',
        'roomtone_listening_started_total{process="control"} 1.0',
        'roomtone_stream_keys_given_total{process="control"} 1.0',
    ):
        assert line in text
    assert one["userId"] not in text
