"""The broadcast over HTTP: playlist and segments."""

import asyncio
import gzip

import pytest

from hls.types import PlaylistKind
from mixer.types import RoomId
from server.domain.reload import PlaylistAsk
from server.edge.hls import max_age_s
from server.errors import (
    BlockedTooFar,
    BlockedTooLong,
    NotFound,
    PlaneUnavailable,
    TooManyBlocked,
)
from server.services import endings
from tests.server.edge.conftest import Edge

DEMO = RoomId("demo")
PLAYLIST = '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/0/enc.key"\nseg-1.m4s\n'
KEY = "/hls/rooms/demo/0/enc.key"


@pytest.fixture(autouse=True)
async def _on_air(edge: Edge) -> None:
    await edge.new_room()
    await edge.new_room("other")
    await edge.node.settle()
    edge.node.broadcast.playlist_text = PLAYLIST
    edge.node.broadcast.media = {"seg-1.m4s": b"media"}


async def test_playlist(edge: Edge) -> None:
    """The playlist is open, and old after half a target duration (RFC 8216bis B.1)."""
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert await answer.text() == PLAYLIST
        assert answer.content_type == "application/vnd.apple.mpegurl"
        assert answer.headers["Cache-Control"] == "public, max-age=1"


@pytest.mark.parametrize("path", ["demo", "demo/", "demo//stream.m3u8", "demo/stream.m3u8/"])
async def test_no_such_address(edge: Edge, path: str) -> None:
    """Below /hls/ too what is not there is not found, though its preflight would be answered."""
    status, answer = await edge.ask("GET", f"/hls/{path}")
    assert (status, answer["code"]) == (404, "not_found")
    async with edge.http.options(f"/hls/{path}") as preflight:
        assert preflight.status == 204
    assert (await edge.ask("POST", "/hls/demo/stream.m3u8"))[0] == 405


async def test_off_the_air(edge: Edge) -> None:
    """The end is told for a minute; then that there is no broadcast: whoever listens asks again."""
    await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": False})
    await edge.node.settle()
    async with edge.http.get("/hls/demo/stream.m3u8") as ended:
        assert (ended.status, await ended.text()) == (200, PLAYLIST + "#EXT-X-ENDLIST\n")
    edge.node.advance(60)
    status, answer = await edge.ask("GET", "/hls/demo/stream.m3u8")
    assert (status, answer["code"], answer["retryable"]) == (503, "not_ready", True)
    assert answer["error"] == "This room is not being broadcast now"


async def test_playlist_with_token(edge: Edge) -> None:
    """One that was asked for with a token is its listener's alone, and not packed."""
    token = await edge.listen_token()
    async with edge.http.get(f"/hls/demo/stream.m3u8?token={token}") as answer:
        assert "enc.key?token=k2." in await answer.text()
        assert answer.headers["Cache-Control"].startswith("private")
        assert "Content-Encoding" not in answer.headers


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
    audience = edge.node.services.context.audience
    assert (audience.listeners(DEMO), audience.bytes_sent(DEMO)) == ({}, {})  # for it is forgotten
    edge.node.advance(60)
    for path in ("/hls/demo/stream.m3u8", "/hls/demo/seg-1.m4s", f"{KEY}?token={token}"):
        async with edge.http.get(path) as answer:
            assert answer.status == 404


async def test_the_last_words(edge: Edge) -> None:
    """The stream is ended before it is kept: what it lists then is what players come to."""
    broadcast = edge.node.broadcast
    part = '#EXT-X-PART:DURATION=0.064,URI="seg-2.0.m4s",INDEPENDENT=YES\n'
    broadcast.last_words = f"{PLAYLIST}{part}#EXTINF:0.06400,\nseg-2.m4s\n#EXT-X-ENDLIST\n"
    broadcast.media |= {"seg-2.m4s": b"last", "seg-2.0.m4s": b"part"}
    await edge.as_admin("DELETE", "/api/rooms/demo")
    broadcast.media = {}
    assert broadcast.ended == [DEMO]
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert await answer.text() == broadcast.last_words
    for name, body in {"seg-2.m4s": b"last", "seg-2.0.m4s": b"part"}.items():
        async with edge.http.get(f"/hls/demo/{name}") as answer:
            assert await answer.read() == body


async def test_no_end_mark(edge: Edge) -> None:
    """A room goes as well while the broadcast cannot be asked, or has not begun."""
    edge.node.broadcast.refusal = PlaneUnavailable()
    assert (await edge.as_admin("DELETE", "/api/rooms/demo"))[0] == 200
    assert (await edge.ask("GET", "/hls/demo/stream.m3u8"))[0] == 404
    edge.node.broadcast.refusal = None
    edge.node.broadcast.playlist_text = None
    assert (await edge.as_admin("DELETE", "/api/rooms/other"))[0] == 200
    assert (await edge.ask("GET", "/hls/other/stream.m3u8"))[0] == 404


async def blocked(edge: Edge, count: int = 1) -> None:
    """Wait until so many requests wait for the room."""
    while edge.node.broadcast.blocked(DEMO) != count:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)


async def test_blocking_reload(edge: Edge) -> None:
    """What a player has not seen yet is waited for, and then good for six target durations."""
    broadcast = edge.node.broadcast
    path = "/hls/demo/stream.m3u8?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"
    asking = asyncio.ensure_future(edge.http.get(path))
    await blocked(edge)
    broadcast.go_on(DEMO)
    async with await asking as answer:
        assert await answer.text() == PLAYLIST
        assert answer.headers["Cache-Control"] == "public, max-age=12"
    assert broadcast.asked == [PlaylistAsk("", PlaylistKind.LOW_LATENCY, 7, 2, skip=True)]


@pytest.mark.parametrize("kind", PlaylistKind)
def test_who_did_not_wait(kind: PlaylistKind) -> None:
    """What is answered at once is old at once: always so of the multivariant playlists."""
    is_now = kind in {PlaylistKind.MULTIVARIANT, PlaylistKind.CLASSIC_MULTIVARIANT}
    assert max_age_s(PlaylistAsk(kind=kind, msn=1)) == (1 if is_now else 12)
    assert max_age_s(PlaylistAsk(kind=kind)) == 1


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=1",
        "_HLS_msn=-1",
        "_HLS_msn=x",
        "_HLS_msn=1&_HLS_part=",
        f"_HLS_msn={'9' * 2000}",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=1&_HLS_part=1&_HLS_part=1",
        "_HLS_msn=%D9%A7",
    ],
)
async def test_bad_directives(edge: Edge, query: str) -> None:
    """What is no directive is refused, and the plane is not asked."""
    status, answer = await edge.ask("GET", f"/hls/demo/stream.m3u8?{query}")
    assert (status, answer["code"], answer["retryable"]) == (400, "bad_params", False)
    assert edge.node.broadcast.asked == []


@pytest.mark.parametrize(
    ("refusal", "status", "retry_after"),
    [
        (BlockedTooFar(), 400, None),
        (BlockedTooLong(), 503, "1"),
        (TooManyBlocked(), 503, "5"),
        (PlaneUnavailable(), 503, "1"),
        (NotFound("no such rendition"), 404, None),
    ],
)
async def test_refusals(
    edge: Edge, refusal: Exception, status: int, retry_after: str | None
) -> None:
    """Each says whether to ask again; no cache keeps any."""
    edge.node.broadcast.refusal = refusal
    for path in ("/hls/demo/stream.m3u8", "/hls/demo/64k/seg-1.m4s"):
        async with edge.http.get(path) as answer:
            assert answer.status == status
            assert answer.headers.get("Retry-After") == retry_after
            assert answer.headers["Cache-Control"] == "no-store"


async def test_every_playlist(edge: Edge) -> None:
    """Each address asks for its rendition and kind."""
    broadcast = edge.node.broadcast
    kinds = {
        "stream": PlaylistKind.LOW_LATENCY,
        "classic": PlaylistKind.CLASSIC,
        "master": PlaylistKind.MULTIVARIANT,
        "classic-master": PlaylistKind.CLASSIC_MULTIVARIANT,
    }
    for name, kind in kinds.items():
        broadcast.texts["128k", kind] = f"{PLAYLIST}# {name}\n"
        broadcast.texts["64k", kind] = f"{PLAYLIST}# 64k {name}\n"
    for path, ending in {
        "stream": "# stream",
        "classic": "# classic",
        "master": "# master",
        "classic-master": "# classic-master",
        "64k/stream": "# 64k stream",
        "64k/classic": "# 64k classic",
    }.items():
        async with edge.http.get(f"/hls/demo/{path}.m3u8") as answer:
            assert (await answer.text()).rstrip().endswith(ending)
    for foul in ("64K/stream.m3u8", f"{'x' * 33}/classic.m3u8", "a.b/seg-1.m4s"):
        async with edge.http.get(f"/hls/demo/{foul}") as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate", "gzip"),
        ("br;q=1.0, GZIP;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.00", None),
        ("br", None),
        ("", None),
    ],
)
async def test_gzip(edge: Edge, accepted: str, encoding: str | None) -> None:
    """A playlist is packed for who takes it so; caches are told that it depends."""
    headers = {"Accept-Encoding": accepted}
    async with edge.http.get(
        "/hls/demo/stream.m3u8", headers=headers, auto_decompress=False
    ) as answer:
        body = await answer.read()
        assert answer.headers.get("Content-Encoding") == encoding
        assert "Accept-Encoding" in answer.headers["Vary"]
    assert (gzip.decompress(body) if encoding else body) == PLAYLIST.encode()


async def test_ranges(edge: Edge) -> None:
    """A part of a segment can be had, and what it is one of is told."""
    path = "/hls/demo/seg-1.m4s"
    async with edge.http.get(path, headers={"Range": "bytes=1-2"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"ed")
        assert answer.headers["Content-Range"] == "bytes 1-2/5"
        tag = answer.headers["ETag"]
    async with edge.http.get(path, headers={"Range": "bytes=9-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */5")
        assert (await answer.json())["code"] == "range_not_there"
    for if_range, status in {tag: 206, '"other"': 200, f"W/{tag}": 200}.items():
        headers = {"Range": "bytes=0-0", "If-Range": if_range}
        async with edge.http.get(path, headers=headers) as answer:
            assert answer.status == status


async def test_unchanged_media(edge: Edge) -> None:
    """Who has a segment is told that it has not changed."""
    async with edge.http.get("/hls/demo/seg-1.m4s") as answer:
        tag = answer.headers["ETag"]
        assert answer.headers["Accept-Ranges"] == "bytes"
    for shown, status in {tag: 304, "*": 304, f"W/{tag}": 304, '"other"': 200}.items():
        async with edge.http.get("/hls/demo/seg-1.m4s", headers={"If-None-Match": shown}) as answer:
            assert (answer.status, answer.headers["ETag"]) == (status, tag)


async def test_head(edge: Edge) -> None:
    """HEAD tells of playlists and media what GET does, without the body."""
    for path, size in {"stream.m3u8": len(PLAYLIST), "seg-1.m4s": 5}.items():
        headers = {"Accept-Encoding": "identity"}
        async with edge.http.head(f"/hls/demo/{path}", headers=headers) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(size))
            assert await answer.read() == b""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("seg-1.m4s", "video/mp4"),
        ("init-0.mp4", "video/mp4"),
        ("seg-1.ts", "video/mp2t"),
        ("seg-1.aac", "audio/aac"),
        ("words-1.vtt", "text/vtt"),
        ("other", "application/octet-stream"),
    ],
)
async def test_types(edge: Edge, name: str, kind: str) -> None:
    """Each container has its own type."""
    edge.node.broadcast.media[name] = b"media"
    async with edge.http.get(f"/hls/demo/64k/{name}") as answer:
        assert (answer.status, answer.content_type) == (200, kind)


async def test_a_hint(edge: Edge) -> None:
    """The part that comes next can be asked for before it is there."""
    broadcast = edge.node.broadcast
    broadcast.media["seg-7.2.m4s"] = b"part"
    broadcast.hinted.add("seg-7.2.m4s")
    asking = asyncio.ensure_future(edge.http.get("/hls/demo/seg-7.2.m4s"))
    await blocked(edge)
    broadcast.go_on(DEMO)
    async with await asking as answer:
        assert await answer.read() == b"part"
        assert "immutable" in answer.headers["Cache-Control"]


async def test_a_room_that_ends_while_players_wait(edge: Edge) -> None:
    """They are given the end mark at once."""
    path = "/hls/demo/stream.m3u8?_HLS_msn=7"
    asking = asyncio.ensure_future(edge.http.get(path))
    await blocked(edge)
    await edge.as_admin("DELETE", "/api/rooms/demo")
    await edge.node.settle()
    async with await asking as answer:
        assert (answer.status, await answer.text()) == (200, PLAYLIST + "#EXT-X-ENDLIST\n")


async def test_an_end_in_haste(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """What of the media cannot be had in time is missing; the end is told all the same."""
    monkeypatch.setattr(endings, "GATHER_S", 0.05)
    edge.node.broadcast.hinted = {"seg-1.m4s"}
    await edge.as_admin("DELETE", "/api/rooms/demo")
    await edge.node.settle()
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert (answer.status, await answer.text()) == (200, PLAYLIST + "#EXT-X-ENDLIST\n")
    assert (await edge.ask("GET", "/hls/demo/seg-1.m4s"))[0] == 404


async def test_a_broadcast_that_is_turned_off_while_players_wait(edge: Edge) -> None:
    """They are given the end mark at once; on again, it goes on."""
    path = "/hls/demo/stream.m3u8?_HLS_msn=7"
    asking = asyncio.ensure_future(edge.http.get(path))
    await blocked(edge)
    await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": False})
    await edge.node.settle()
    async with await asking as answer:
        assert (answer.status, await answer.text()) == (200, PLAYLIST + "#EXT-X-ENDLIST\n")
    async with edge.http.get("/hls/demo/seg-1.m4s") as answer:
        assert answer.status == 200
    await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": True})
    await edge.node.settle()
    async with edge.http.get("/hls/demo/stream.m3u8") as answer:
        assert await answer.text() == PLAYLIST


async def test_the_end_is_not_another_rooms(edge: Edge) -> None:
    """A room that is made anew under the id of one that went, and is off the air, has no end."""
    await edge.as_admin("DELETE", "/api/rooms/demo")
    await edge.as_admin("POST", "/api/rooms", {"roomId": "demo", "broadcast": False})
    assert (await edge.ask("GET", "/hls/demo/stream.m3u8"))[0] == 503


async def test_the_end_of_every_rendition(edge: Edge) -> None:
    """Both kinds of every rendition have their end, and what they name is still there."""
    broadcast = edge.node.broadcast
    broadcast.media = {"128k/seg-1.m4s": b"loud", "64k/seg-1.m4s": b"small"}
    broadcast.texts["64k", PlaylistKind.CLASSIC] = PLAYLIST + "# 64k\n"
    broadcast.texts["128k", PlaylistKind.MULTIVARIANT] = "#EXTM3U\nstream.m3u8\n"
    broadcast.texts["128k", PlaylistKind.CLASSIC_MULTIVARIANT] = "#EXTM3U\nclassic.m3u8\n"
    await edge.as_admin("DELETE", "/api/rooms/demo")
    broadcast.media = {}
    texts = {}
    for path in ("stream", "classic", "64k/stream", "64k/classic", "master", "classic-master"):
        async with edge.http.get(f"/hls/demo/{path}.m3u8") as answer:
            texts[path] = await answer.text()
    assert texts.pop("master") == "#EXTM3U\nstream.m3u8\n"
    assert texts.pop("classic-master") == "#EXTM3U\nclassic.m3u8\n"
    assert texts.pop("64k/classic") == PLAYLIST + "# 64k\n#EXT-X-ENDLIST\n"
    assert set(texts.values()) == {PLAYLIST + "#EXT-X-ENDLIST\n"}
    for path, body in {"128k/seg-1": b"loud", "seg-1": b"loud", "64k/seg-1": b"small"}.items():
        async with edge.http.get(f"/hls/demo/{path}.m4s") as answer:
            assert await answer.read() == body
    for path in ("32k/stream.m3u8", "64k/seg-2.m4s"):
        async with edge.http.get(f"/hls/demo/{path}") as answer:
            assert answer.status == 404


async def test_counters(edge: Edge) -> None:
    """Requests and bytes are counted by kind, with labels that nobody can make up."""
    for path in ("stream.m3u8", "64k/classic.m3u8", "seg-1.m4s", "made-up.by-somebody"):
        async with edge.http.get(f"/hls/demo/{path}", headers={"Accept-Encoding": "br"}):
            pass
    async with edge.http.get("/metrics") as answer:
        text = await answer.text()
    for line in (
        'roomtone_hls_requests_total{kind="low_latency",status="200"} 1.0',
        'roomtone_hls_requests_total{kind="classic",status="200"} 1.0',
        'roomtone_hls_requests_total{kind="segment",status="200"} 1.0',
        'roomtone_hls_requests_total{kind="segment",status="404"} 1.0',
        f'roomtone_hls_bytes_total{{kind="classic"}} {float(len(PLAYLIST))}',
    ):
        assert line in text


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
