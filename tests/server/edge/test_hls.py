"""The broadcast over HTTP: playlist and segments."""

import pytest

from mixer.types import RoomId
from server.errors import PlaneUnavailable
from tests.server.edge.conftest import Edge

DEMO = RoomId("demo")
PLAYLIST = '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/0/enc.key"\nseg-1.m4s\n'
KEY = "/hls/rooms/demo/0/enc.key"


@pytest.fixture(autouse=True)
async def _on_air(edge: Edge) -> None:
    await edge.new_room()
    await edge.new_room("other")
    edge.node.broadcast.playlist_text = PLAYLIST
    edge.node.broadcast.media = {"seg-1.m4s": b"media"}


async def test_playlist(edge: Edge) -> None:
    """The playlist is open, and asked for anew each time."""
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert await answer.text() == PLAYLIST
        assert answer.content_type == "application/vnd.apple.mpegurl"
        assert answer.headers["Cache-Control"] == "no-cache"


async def test_off_the_air(edge: Edge) -> None:
    """A room that is not broadcast says so, and may be again: whoever listens asks again."""
    await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": False})
    status, answer = await edge.ask("GET", "/hls/demo/stream.m3u8")
    assert (status, answer["code"], answer["retryable"]) == (503, "not_ready", True)
    assert answer["error"] == "This room is not being broadcast now"


async def test_segment(edge: Edge) -> None:
    """A segment never changes, and says so."""
    async with edge.http.get("/hls/demo/seg-1.m4s") as answer:
        assert await answer.read() == b"media"
        assert answer.content_type == "video/mp4"
        assert "immutable" in answer.headers["Cache-Control"]


async def test_other_sites(edge: Edge) -> None:
    """A player on another site may ask, with its token in a header."""
    async with edge.http.options(KEY, headers={"Origin": "https://radio.example"}) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


async def test_away(edge: Edge) -> None:
    """A broadcast that has not begun is worth another try."""
    edge.node.broadcast.playlist_text = None
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_end_mark(edge: Edge) -> None:
    """A room that is gone ends its broadcast in order: playlist, media and key for a minute."""
    token = await edge.listen_token()
    await edge.as_admin("DELETE", "/api/rooms/demo")
    edge.node.broadcast.media = {}
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert await answer.text() == PLAYLIST + "#EXT-X-ENDLIST\n"
    async with edge.http.get("/hls/demo/seg-1.m4s") as answer:
        assert await answer.read() == b"media"
    async with edge.http.get(f"{KEY}?token={token}") as answer:
        assert (answer.status, len(await answer.read())) == (200, 16)
    async with edge.http.get(KEY) as answer:
        assert answer.status == 401
    edge.node.advance(60)
    for path in ("/hls/demo/stream.m3u8", "/hls/demo/seg-1.m4s", f"{KEY}?token={token}"):
        async with edge.http.get(path) as answer:
            assert answer.status == 404


async def test_no_end_mark(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room goes as well while the broadcast cannot be asked, or has not begun."""

    async def away(_room: RoomId) -> str:
        raise PlaneUnavailable

    monkeypatch.setattr(edge.node.broadcast, "playlist", away)
    assert (await edge.as_admin("DELETE", "/api/rooms/demo"))[0] == 200
    assert (await edge.ask("GET", "/hls/demo/stream.m3u8"))[0] == 404
    monkeypatch.undo()
    edge.node.broadcast.playlist_text = None
    assert (await edge.as_admin("DELETE", "/api/rooms/other"))[0] == 200
    assert (await edge.ask("GET", "/hls/other/stream.m3u8"))[0] == 404


async def test_a_new_room_is_no_ending(edge: Edge) -> None:
    """A room of the same name has a broadcast of its own; of many that ended the last are kept."""
    await edge.as_admin("DELETE", "/api/rooms/demo")
    await edge.new_room()
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert await answer.text() == PLAYLIST
    for number in range(33):
        await edge.new_room(f"room{number}")
        await edge.as_admin("DELETE", f"/api/rooms/room{number}")
    assert (await edge.ask("GET", "/hls/room0/stream.m3u8"))[0] == 404
    async with edge.http.get("/hls/room32/stream.m3u8") as answer:
        assert answer.status == 200
