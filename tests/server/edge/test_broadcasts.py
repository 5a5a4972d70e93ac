"""How a broadcast is, by REST."""

import asyncio

from hls.types import Reading
from mixer.types import RoomId
from tests.server.edge.conftest import Edge

PLAYLIST = "#EXTM3U\nseg-1.m4s\n"


async def on_air(edge: Edge) -> None:
    await edge.new_room()
    await edge.node.settle()
    edge.node.broadcast.playlist_text = PLAYLIST
    edge.node.broadcast.media = {"seg-1.m4s": b"media"}


async def test_what_there_is(edge: Edge) -> None:
    """Renditions with their addresses, and how far behind players stay."""
    await on_air(edge)
    status, answer = await edge.as_admin("GET", "/api/rooms/demo/broadcast")
    assert status == 200
    told = answer["broadcast"]
    url = f"{edge.http.make_url('/')}hls/demo"
    assert told["onAir"] is True
    assert told["urls"] == {
        "master": f"{url}/master.m3u8",
        "lowLatency": f"{url}/stream.m3u8",
        "classic": f"{url}/classic.m3u8",
        "classicMaster": f"{url}/classic-master.m3u8",
    }
    assert [(one["name"], one["bitRate"], one["url"]) for one in told["renditions"]] == [
        ("128k", 128_000, f"{url}/stream.m3u8"),
        ("64k", 64_000, f"{url}/64k/stream.m3u8"),
    ]
    assert (told["partMs"], told["holdBackMs"]) == (320, {"lowLatency": 960, "classic": 6000})


async def test_how_loud(edge: Edge) -> None:
    """What the broadcast process measures is told by bus, to a tenth."""
    await on_air(edge)
    edge.node.broadcast.readings = {"floor": Reading(-15.96, -16.04, -16.01, -2.5, 7.123)}
    _, answer = await edge.as_admin("GET", "/api/rooms/demo/broadcast")
    assert answer["broadcast"]["loudness"] == {
        "floor": {
            "momentaryLufs": -16.0,
            "shortTermLufs": -16.0,
            "integratedLufs": -16.0,
            "truePeakDbtp": -2.5,
            "gainDb": 7.1,
        }
    }


async def test_who_listens(edge: Edge) -> None:
    """Listeners are told apart by what they show, else by where they are; blocked ones count."""
    await on_air(edge)
    tokens = [await edge.listen_token() for _ in range(2)]
    for headers in [{"Authorization": f"Bearer {token}"} for token in tokens] + [{}, {}]:
        for _ in range(2):
            async with edge.http.get("/hls/demo/stream.m3u8", headers=headers):
                pass
    for path in ("128k/stream.m3u8", "64k/classic.m3u8", "seg-1.m4s"):
        async with edge.http.get(f"/hls/demo/{path}", headers={"User-Agent": "radio"}):
            pass
    path = "/hls/demo/stream.m3u8?_HLS_msn=7"
    asking = asyncio.ensure_future(edge.http.get(path))
    while not edge.node.broadcast.blocked(RoomId("demo")):  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    _, answer = await edge.as_admin("GET", "/api/rooms/demo/broadcast")
    told = answer["broadcast"]
    assert [one["listeners"] for one in told["renditions"]] == [
        {"lowLatency": 4, "classic": 0},
        {"lowLatency": 0, "classic": 1},
    ]
    assert (told["listeners"], told["blocked"]) == (5, 1)
    assert told["bytesSent"] >= 5
    edge.node.broadcast.go_on("demo")
    (await asking).close()
    edge.node.advance(10)
    _, answer = await edge.as_admin("GET", "/api/rooms/demo/broadcast")
    assert (answer["broadcast"]["listeners"], answer["broadcast"]["blocked"]) == (0, 0)


async def test_off_the_air(edge: Edge) -> None:
    """A room that is not broadcast says so; its addresses stay."""
    await on_air(edge)
    await edge.as_admin("PATCH", "/api/rooms/demo", {"broadcast": False})
    await edge.node.settle()
    status, answer = await edge.as_admin("GET", "/api/rooms/demo/broadcast")
    told = answer["broadcast"]
    assert (status, told["onAir"], told["renditions"], told["partMs"]) == (200, False, [], None)
    assert told["urls"]["lowLatency"].endswith("/hls/demo/stream.m3u8")


async def test_for_those_who_may(edge: Edge) -> None:
    """It needs the scope to read rooms, and a room."""
    await on_air(edge)
    assert (await edge.ask("GET", "/api/rooms/demo/broadcast"))[0] == 401
    for scope, status in {"rooms:read": 200, "people": 403}.items():
        _, made = await edge.as_admin("POST", "/api/keys", {"scopes": [scope]})
        headers = {"Authorization": f"Bearer {made['key']['secret']}"}
        got, _ = await edge.ask("GET", "/api/rooms/demo/broadcast", headers=headers)
        assert got == status
    assert (await edge.as_admin("GET", "/api/rooms/none/broadcast"))[0] == 404
