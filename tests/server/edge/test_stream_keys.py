"""Keys over HTTP, and the tokens that open them."""

import re

import pytest
from aiohttp.test_utils import make_mocked_request

from hls.core.timeline import SEGMENT_S
from mixer.types import RoomId
from server.domain import key_token
from server.edge.stream_keys import token_to_hand_on
from server.errors import BadToken
from server.services.tokens import Grant
from tests.server.edge.conftest import Edge, Serve
from tests.server.services.people import ADA

DEMO = RoomId("demo")
PLAYLIST = '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/0/enc.key"\nseg-1.m4s\n'
KEY = "/hls/rooms/demo/0/enc.key"
CURRENT = "/hls/rooms/demo/enc.key"


@pytest.fixture
async def edge(serve: Serve) -> Edge:
    """A server whose rooms change keys every 20 segments, with two rooms on air."""
    edge = await serve(broadcast_key_segments=20, listen_token_s=600, listen_session_s=7200)
    await edge.new_room()
    await edge.new_room("other")
    edge.node.broadcast.playlist_text = PLAYLIST
    edge.node.broadcast.media = {"seg-1.m4s": b"media"}
    return edge


async def playlist(edge: Edge, token: str, room: str = "demo") -> str:
    """Load a playlist; return the token its addresses carry."""
    async with edge.http.get(f"/hls/{room}/stream.m3u8?token={token}") as answer:
        text = await answer.text()
        assert answer.status == 200, text
    found = re.search(r'enc.key\?token=([^"]+)"', text)
    assert found is not None
    assert f"seg-1.m4s?token={found[1]}" in text
    return found[1]


async def status(edge: Edge, path: str, token: str) -> int:
    async with edge.http.get(f"{path}?token={token}") as answer:
        return answer.status


async def go_to(edge: Edge, msn: int) -> None:
    """Let time pass, with somebody listening, until a segment is being made."""
    keys = edge.node.services.context.listening.keys
    now_msn = keys.now_msn(edge.node.rooms.stream(DEMO))
    while now_msn < msn:
        step = min(10, msn - now_msn)
        edge.node.advance(step * SEGMENT_S)
        now_msn += step
        keys.heard(DEMO)
        assert await keys.work()


@pytest.mark.parametrize("path", [KEY, CURRENT])
@pytest.mark.parametrize("how", ["header", "raw header", "query", "cookie"])
async def test_key(edge: Edge, path: str, how: str) -> None:
    """A listen token gives the key, wherever it is shown."""
    token = await edge.listen_token()
    headers = {
        "header": {"Authorization": f"Bearer {token}"},
        "raw header": {"Authorization": token},
        "cookie": {"Cookie": f"roomtone_listen_demo={token}"},
    }.get(how, {})
    query = f"?token={token}" if how == "query" else ""
    async with edge.http.get(path + query, headers=headers) as answer:
        assert await answer.read() == edge.node.rooms.stream(DEMO).keys[0].key
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("shown", "status", "code"),
    [
        ("", 401, "unauthorized"),
        ("x", 403, "forbidden"),
        ("{join}", 403, "forbidden"),
        ("{other}", 403, "forbidden"),
        ("{expired}", 403, "forbidden"),
    ],
)
async def test_no_key(edge: Edge, shown: str, status: int, code: str) -> None:
    """Nothing but a good listen token of that room gives the key."""
    tokens = {
        "join": await edge.join_token(),
        "other": await edge.listen_token("other"),
        "expired": edge.node.listen_token(Grant(DEMO, ADA), ttl_s=-1),
    }
    got_status, answer = await edge.ask("GET", f"{KEY}?token={shown.format(**tokens)}")
    assert (got_status, answer["code"]) == (status, code)


async def test_unknown_key(edge: Edge) -> None:
    """An epoch that never was, or a room that is gone, has no key, even for a good token."""
    token = await edge.listen_token()
    _, epoch = await edge.ask("GET", f"/hls/rooms/demo/1/enc.key?token={token}")
    await edge.as_admin("DELETE", "/api/rooms/demo")
    edge.node.advance(60)  # until then players come to the end
    _, room = await edge.ask("GET", f"{KEY}?token={token}")
    assert (epoch["code"], room["code"]) == ("not_found", "room_not_found")


async def test_not_yet(edge: Edge) -> None:
    """A key of times to come says when to ask again; no other error of a key may be retried."""
    token = await edge.listen_token()
    await go_to(edge, 7)
    path = f"/hls/rooms/demo/1/enc.key?token={token}"
    status, answer = await edge.ask("GET", path)
    assert (status, answer["code"], answer["retryable"]) == (404, "key_not_yet", True)
    assert answer["retryAfterMs"] == 11 * 1920
    await go_to(edge, 18)
    async with edge.http.get(path) as given:
        assert await given.read() == edge.node.rooms.stream(DEMO).keys[1].key


async def test_the_key_in_force(edge: Edge) -> None:
    """The address without an epoch has the key in force now; that of an epoch stays the same."""
    token = await edge.listen_token()
    first = edge.node.rooms.stream(DEMO).keys[0].key
    await go_to(edge, 25)
    second = edge.node.rooms.stream(DEMO).key_at(25).key
    found = []
    for path in (CURRENT, KEY):
        async with edge.http.get(f"{path}?token={token}") as answer:
            found.append(await answer.read())
    assert found == [second, first]
    assert first != second


async def test_playlist_with_token(edge: Edge) -> None:
    """What a playlist names carries a token for keys alone, the same throughout an epoch."""
    token = await edge.listen_token()
    first = await playlist(edge, token)
    await go_to(edge, 19)
    assert await playlist(edge, token) == first
    await go_to(edge, 20)
    second = await playlist(edge, token)
    assert len({token, first, second}) == 3
    assert len(first) < 60
    assert [await status(edge, KEY, one) for one in (first, second)] == [200, 200]
    another = await edge.listen_token()
    assert await playlist(edge, another) != second


async def test_key_token_renews_nothing(edge: Edge) -> None:
    """A playlist that is asked for with a key token hands on that one, as long as it is good."""
    key_only = await playlist(edge, await edge.listen_token())
    assert await playlist(edge, key_only) == key_only
    await go_to(edge, 53)
    assert await status(edge, "/hls/demo/stream.m3u8", key_only) == 403
    assert await status(edge, KEY, key_only) == 403


async def test_key_token_of_another_room(edge: Edge) -> None:
    """A key token opens the keys of its room, and neither sockets nor anything else."""
    async with edge.http.get("/hls/other/stream.m3u8") as answer:
        assert answer.status == 200
    key_only = await playlist(edge, await edge.listen_token())
    assert await status(edge, KEY, key_only) == 200
    assert await status(edge, "/hls/rooms/other/0/enc.key", key_only) == 403
    assert await status(edge, "/hls/other/stream.m3u8", key_only) == 403
    shown = {"Authorization": f"Bearer {key_only}"}
    assert (await edge.ask("GET", "/api/rooms/demo", headers=shown))[0] == 403
    async with edge.http.post("/whep/demo", data="v=0", headers=shown) as answer:
        assert answer.status in {400, 403, 415}


async def test_key_token_of_a_room_before(edge: Edge) -> None:
    """A room that has the name of another one later does not know its key tokens."""
    key_only = await playlist(edge, await edge.listen_token())
    await edge.as_admin("DELETE", "/api/rooms/demo")
    await edge.new_room()
    assert await status(edge, KEY, key_only) == 403


async def test_hours_from_one_address(edge: Edge) -> None:
    """Who keeps listening goes on with the address they began with, beyond their token's time."""
    token = await edge.listen_token()  # good for ten minutes
    for _ in range(200):
        edge.node.advance(30)
        assert await status(edge, CURRENT, await playlist(edge, token)) == 200
    assert await status(edge, CURRENT, token) == 200
    edge.node.advance(60)  # they paused for longer than a minute
    assert await status(edge, "/hls/demo/stream.m3u8", token) == 403


async def test_longest_session(edge: Edge) -> None:
    """However busily it is used, a token ends with the longest session."""
    token = await edge.listen_token()
    for _ in range(239):
        edge.node.advance(30)
        await playlist(edge, token)
    edge.node.advance(30)  # two hours
    assert await status(edge, "/hls/demo/stream.m3u8", token) == 403


async def test_expired_and_not_in_use(edge: Edge) -> None:
    """A token whose time is over opens nothing for who does not listen already."""
    token = await edge.listen_token()
    await playlist(edge, token)
    edge.node.advance(601)
    for path in ("/hls/demo/stream.m3u8", KEY, CURRENT):
        assert await status(edge, path, token) == 403


async def test_end_mark(edge: Edge) -> None:
    """A broadcast that is over gives its keys for a minute; nobody is counted as listening."""
    token = await edge.listen_token()
    key_only = await playlist(edge, token)
    await edge.as_admin("DELETE", "/api/rooms/demo")
    assert await playlist(edge, token) == key_only
    assert [await status(edge, KEY, one) for one in (token, key_only)] == [200, 200]
    assert len(edge.node.services.context.listening.listeners) == 0


async def test_a_bad_cookie_is_no_matter(edge: Edge) -> None:
    """The playlist is open: a cookie or header that is worth nothing does not close it."""
    for headers in ({"Cookie": "roomtone_listen_demo=x"}, {"Authorization": "Bearer x"}):
        async with edge.http.get("/hls/demo/stream.m3u8", headers=headers) as answer:
            assert (answer.status, await answer.text()) == (200, PLAYLIST)


async def test_playlists_of_a_playlist(edge: Edge) -> None:
    """Other playlists are asked for with what was shown for the one that names them."""
    token = await edge.listen_token()
    app = edge.http.app
    request = make_mocked_request("GET", f"/hls/demo/master.m3u8?token={token}", app=app)
    assert token_to_hand_on(request, DEMO, to_playlists=True) == token
    assert token_to_hand_on(request, DEMO).startswith(key_token.PREFIX)
    bad = make_mocked_request("GET", "/hls/demo/master.m3u8?token=x", app=app)
    with pytest.raises(BadToken):
        token_to_hand_on(bad, DEMO, to_playlists=True)
