"""Keys over HTTP, and the tokens that open them."""

import re

import pytest

from hls.core.timeline import SEGMENT_S
from mixer.types import RoomId
from server.domain import key_token
from server.domain.stream import decode_stream
from server.services.tokens import Grant
from tests.server.edge.conftest import Edge, Serve
from tests.server.services.people import ADA

DEMO = RoomId("demo")
PLAYLIST = (
    '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/0/enc.key"\nseg-1.m4s\n'
    '#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/1/enc.key"\nseg-20.m4s\n'
    '#EXT-X-RENDITION-REPORT:URI="64k/stream.m3u8"\n'
)
KEY = "/hls/rooms/demo/0/enc.key"
NEXT = "/hls/rooms/demo/1/enc.key"
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


async def playlist(edge: Edge, token: str) -> tuple[str, str]:
    """Load a playlist; return the tokens that the addresses of its two keys carry."""
    async with edge.http.get(f"/hls/demo/stream.m3u8?token={token}") as answer:
        text = await answer.text()
        assert answer.status == 200, text
    first, second = re.findall(r'enc.key\?token=([^"]+)"', text)
    return first, second


async def status(edge: Edge, path: str, token: str) -> int:
    async with edge.http.get(f"{path}?token={token}") as answer:
        return answer.status


async def go_to(edge: Edge, msn: int) -> None:
    """Let time pass, with somebody listening, until a segment is being made."""
    keys = edge.node.services.context.listening.keys
    now_msn = keys.now_msn(edge.node.rooms.stream(DEMO))
    await plan(edge)
    while now_msn < msn:
        step = min(10, msn - now_msn)
        edge.node.advance(step * SEGMENT_S)
        now_msn += step
        keys.heard(DEMO)
        await plan(edge)


async def plan(edge: Edge) -> None:
    """Let what is to be planned now be planned before time passes; the server does so as well."""
    keys = edge.node.services.context.listening.keys
    while keys._planned(DEMO, edge.node.rooms.stream(DEMO)):
        keys._want(DEMO)
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
    """Each key carries a token for itself alone; what was listed never changes."""
    token = await edge.listen_token()
    first, second = await playlist(edge, token)
    assert len({token, first, second}) == 3
    assert len(first) < 60
    await go_to(edge, 20)
    assert await playlist(edge, token) == (first, second)
    for path, shown in ((KEY, first), (NEXT, second), (CURRENT, second)):
        assert await status(edge, path, shown) == 200
    for path, shown in ((KEY, second), (NEXT, first), (CURRENT, first)):
        assert await status(edge, path, shown) == 403
    another = await edge.listen_token()
    assert set(await playlist(edge, another)).isdisjoint({first, second})


async def test_text_of_a_listener(edge: Edge) -> None:
    """The same listener is told the same, whatever happens: other times, keys, nodes or starts."""
    token = await edge.listen_token()
    stream = edge.node.rooms.stream(DEMO)
    before = await playlist(edge, token)
    listening = edge.node.services.context.listening
    listening.listeners.forget_room(DEMO)
    assert await playlist(edge, token) == before
    again = decode_stream(DEMO, stream.records(), b"")
    user = listening.access.hearing(token).user
    assert tuple(key_token.make(again, user, epoch) for epoch in (0, 1)) == before


async def test_only_keys_and_playlists_carry_tokens(edge: Edge) -> None:
    """Media are open, so no address of theirs has a token; other playlists have the listener's."""
    token = await edge.listen_token()
    async with edge.http.get(f"/hls/demo/stream.m3u8?token={token}") as answer:
        told = (await answer.text()).splitlines()
    assert [line for line in told if "token=" not in line] == ["#EXTM3U", "seg-1.m4s", "seg-20.m4s"]
    assert told[-1] == f'#EXT-X-RENDITION-REPORT:URI="64k/stream.m3u8?token={token}"'


async def test_end_of_a_key_token(edge: Edge) -> None:
    """A key token is good until its epoch left the window, and a minute longer; it is no other."""
    first, second = await playlist(edge, await edge.listen_token())
    await go_to(edge, 20 + 8 + key_token.SLACK)
    assert await status(edge, KEY, first) == 200
    await go_to(edge, 20 + 8 + key_token.SLACK + 1)
    assert await status(edge, KEY, first) == 403
    assert await status(edge, NEXT, second) == 200


async def test_key_token_renews_nothing(edge: Edge) -> None:
    """A key token opens no playlist."""
    first, second = await playlist(edge, await edge.listen_token())
    for path in ("stream.m3u8", "master.m3u8", "64k/stream.m3u8"):
        assert await status(edge, f"/hls/demo/{path}", first) == 403
    assert len({first, second}) == 2


async def test_key_token_of_another_room(edge: Edge) -> None:
    """A key token opens the keys of its room, and neither sockets nor anything else."""
    async with edge.http.get("/hls/other/stream.m3u8") as answer:
        assert answer.status == 200
    key_only, _ = await playlist(edge, await edge.listen_token())
    assert await status(edge, KEY, key_only) == 200
    assert await status(edge, "/hls/rooms/other/0/enc.key", key_only) == 403
    assert await status(edge, "/hls/other/stream.m3u8", key_only) == 403
    shown = {"Authorization": f"Bearer {key_only}"}
    assert (await edge.ask("GET", "/api/rooms/demo", headers=shown))[0] == 403
    async with edge.http.post("/whep/demo", data="v=0", headers=shown) as answer:
        assert answer.status in {400, 403, 415}


async def test_key_token_of_a_room_before(edge: Edge) -> None:
    """A room that has the name of another one later does not know its key tokens."""
    key_only, _ = await playlist(edge, await edge.listen_token())
    await edge.as_admin("DELETE", "/api/rooms/demo")
    await edge.new_room()
    assert await status(edge, KEY, key_only) == 403


async def test_hours_from_one_address(edge: Edge) -> None:
    """Who keeps listening goes on with the address they began with, beyond their token's time."""
    token = await edge.listen_token()  # good for ten minutes
    keys = edge.node.services.context.listening.keys
    for moment in range(200):
        await go_to(edge, 15 * moment)  # 29 s
        stream = edge.node.rooms.stream(DEMO)
        epoch = stream.key_at(keys.now_msn(stream)).epoch
        edge.node.broadcast.playlist_text = PLAYLIST.replace("/1/", f"/{epoch}/")
        _, in_force = await playlist(edge, token)
        assert await status(edge, f"/hls/rooms/demo/{epoch}/enc.key", in_force) == 200
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
    tokens = await playlist(edge, token)
    await edge.as_admin("DELETE", "/api/rooms/demo")
    assert await playlist(edge, token) == tokens
    assert [await status(edge, KEY, one) for one in (token, tokens[0])] == [200, 200]
    assert len(edge.node.services.context.listening.listeners) == 0


async def test_a_bad_cookie_is_no_matter(edge: Edge) -> None:
    """The playlist is open: a cookie or header that is worth nothing does not close it."""
    for headers in ({"Cookie": "roomtone_listen_demo=x"}, {"Authorization": "Bearer x"}):
        async with edge.http.get("/hls/demo/stream.m3u8", headers=headers) as answer:
            assert (answer.status, await answer.text()) == (200, PLAYLIST)


async def test_playlists_of_a_playlist(edge: Edge) -> None:
    """Other playlists are asked for with what was shown for the one that names them."""
    token = await edge.listen_token()
    edge.node.broadcast.playlist_text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n64k/stream.m3u8\n"
    async with edge.http.get(f"/hls/demo/master.m3u8?token={token}") as answer:
        assert (await answer.text()).endswith(f"\n64k/stream.m3u8?token={token}\n")
    assert await status(edge, "/hls/demo/master.m3u8", "x") == 403


async def test_many_epochs(edge: Edge) -> None:
    """Of a long window each key has its token, and of a listener few are kept."""
    lines = [f'#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/{n}/enc.key"' for n in range(9)]
    edge.node.broadcast.playlist_text = "\n".join(["#EXTM3U", *lines, ""])
    token = await edge.listen_token()
    for _ in range(2):
        async with edge.http.get(f"/hls/demo/stream.m3u8?token={token}") as answer:
            assert len(set(re.findall(r"token=[^\"]+", await answer.text()))) == 9
    (listener,) = edge.node.services.context.listening.listeners.all(DEMO)
    assert sorted(listener.key_queries) == [7, 8]


@pytest.mark.parametrize("is_off_first", [False, True])
async def test_revoked_before_the_end(edge: Edge, is_off_first: bool) -> None:  # noqa: FBT001
    """Who was taken out of a room comes to no end of it, whatever they show; others do."""
    theirs, others = await edge.listen_token(), await edge.listen_token()
    key_only, _ = await playlist(edge, theirs)
    others_key_only, _ = await playlist(edge, others)
    if is_off_first:
        await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": False})
    user = edge.node.access.listening(theirs).user
    await edge.as_admin("DELETE", f"/api/rooms/demo/users/{user}")
    await edge.as_admin("DELETE", "/api/rooms/demo")
    asked = [(CURRENT, theirs), (KEY, theirs), (KEY, key_only), ("/hls/demo/stream.m3u8", theirs)]
    assert [await status(edge, *one) for one in asked] == [403] * 4
    assert [await status(edge, path, others) for path in (KEY, "/hls/demo/stream.m3u8")] == [
        200
    ] * 2
    assert await status(edge, KEY, others_key_only) == 200


async def test_end_of_another_room(edge: Edge) -> None:
    """A token of a room that had the same id before opens no end of the later one."""
    before = await edge.listen_token()
    await edge.as_admin("DELETE", "/api/rooms/demo")
    edge.node.advance(1)
    await edge.new_room()
    await edge.node.settle()
    after = await edge.listen_token()
    await edge.as_admin("DELETE", "/api/rooms/demo")
    for path in (CURRENT, "/hls/demo/stream.m3u8"):
        assert [await status(edge, path, token) for token in (before, after)] == [403, 200]


async def test_end_of_a_room_that_left_none(edge: Edge) -> None:
    """What is left of a room is still that one's after another of its id came and went."""
    before = await edge.listen_token()
    await edge.as_admin("DELETE", "/api/rooms/demo")
    edge.node.advance(1)
    await edge.new_room(broadcast=False)
    after = await edge.listen_token()
    await edge.as_admin("DELETE", "/api/rooms/demo")
    assert [await status(edge, KEY, token) for token in (before, after)] == [200, 403]
