"""Internet radio over HTTP: who may listen, what is sent, and when it ends."""

import asyncio
from collections import deque
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hls.core import adts
from mixer.types import RoomId
from server.domain.icy import METAINT
from server.edge import radio
from server.services.fan import Tap
from server.services.radio import RadioFormat, RadioTap
from server.services.tokens import Grant
from tests.server.edge.conftest import Edge, Serve
from tests.server.services.people import ADA
from tests.support.planes import SOUND

ADTS = adts.stream(SOUND.audio, SOUND.frames)


async def listen(edge: Edge, kind: str = "aac", **headers: str) -> aiohttp.ClientResponse:
    """Begin to listen to the room demo."""
    token = await edge.listen_token()
    return await edge.http.get(f"/radio/demo.{kind}", params={"token": token}, headers=headers)


async def test_aac(edge: Edge) -> None:
    """The broadcast's own frames, as ADTS; the listener is counted while they listen."""
    await edge.new_room(name="Morning talk")
    async with await listen(edge) as answer:
        assert answer.status == 200
        assert answer.content_type == "audio/aac"
        assert answer.headers["icy-name"] == "Morning talk"
        assert (answer.headers["icy-pub"], answer.headers["icy-br"]) == ("0", "128")
        assert "icy-metaint" not in answer.headers
        assert await answer.content.readexactly(len(ADTS)) == ADTS
        context = edge.node.services.context
        assert context.radio.listeners[RadioFormat.AAC] == 1
        _, told = await edge.as_admin("GET", "/api/rooms/demo/listeners")
        assert told["count"] == 1


async def test_titles(edge: Edge) -> None:
    """Who asks for titles gets the room's, after so many bytes as were said."""
    await edge.new_room(name="Morning talk")
    edge.node.services.context.radio.speaking = lambda _room: ["Ann"]
    async with await listen(edge, **{"Icy-MetaData": "1"}) as answer:
        assert answer.headers["icy-metaint"] == str(METAINT)
        sound = await answer.content.readexactly(METAINT)
        assert sound == (ADTS * (METAINT // len(ADTS) + 1))[:METAINT]
        size = 16 * (await answer.content.readexactly(1))[0]
        said = await answer.content.readexactly(size)
        assert said.rstrip(b"\0") == b"StreamTitle='Ann - Morning talk';"


async def test_mp3(edge: Edge) -> None:
    """One encoder serves all; when it dies the next one goes on, on the same connection."""
    await edge.new_room()
    async with await listen(edge, "mp3") as one, await listen(edge, "mp3") as other:
        assert one.content_type == "audio/mpeg"
        for answer in (one, other):
            assert (await answer.content.readexactly(4)) == b"mp3 "
        (first,) = edge.node.sound.started
        first.die("it broke")
        while len(edge.node.sound.started) < 2:
            await one.content.readany()
        await other.content.readany()
        assert first.is_closed


async def test_an_encoder_that_dies_now_and_then(edge: Edge) -> None:
    """One that had lived long is followed at once, however many died before it."""
    await edge.new_room()
    edge.node.services.context.radio.delays = lambda: iter([0.0, 0.0])
    async with await listen(edge, "mp3") as answer:
        for number in range(1, 5):
            while len(edge.node.sound.started) < number:
                await answer.content.readany()
            await answer.content.readany()
            edge.node.advance(60)
            edge.node.sound.started[-1].die("it broke")
        while len(edge.node.sound.started) < 5:
            await answer.content.readany()


async def test_http_1_0(edge: Edge) -> None:
    """A player of HTTP/1.0 gets the bytes as they are."""
    await edge.new_room()
    token, port = await edge.listen_token(), edge.http.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /radio/demo.aac?token={token} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200")
    assert b"chunked" not in head.lower()
    assert await reader.readexactly(len(ADTS)) == ADTS
    writer.close()


async def test_rights(edge: Edge) -> None:
    """Nothing without a listen token: not for the admin, nor with one of another kind."""
    await edge.new_room()
    join = await edge.join_token()
    assert (await edge.ask("GET", "/radio/demo.aac"))[0] == 401
    assert (await edge.as_admin("GET", "/radio/demo.aac"))[0] == 403
    assert (await edge.ask("GET", f"/radio/demo.mp3?token={join}"))[0] == 403
    assert edge.node.sound.started == []


async def test_no_radio(edge: Edge) -> None:
    """A room without radio or broadcast has none; HEAD does not begin."""
    await edge.new_room()
    token = await edge.listen_token()
    async with edge.http.head(f"/radio/demo.aac?token={token}") as answer:
        assert answer.status == 200
    for change in ({"radio": False}, {"radio": True, "broadcast": False}):
        await edge.as_admin("PATCH", "/api/rooms/demo", change)
        status, told = await edge.ask("GET", f"/radio/demo.aac?token={token}")
        assert (status, told["code"]) == (503, "not_ready")


async def revoke(edge: Edge) -> None:
    _, told = await edge.as_admin("GET", "/api/rooms/demo/listeners")
    await edge.as_admin("DELETE", f"/api/rooms/demo/listeners/{told['listeners'][0]['userId']}")


async def switch_off(edge: Edge) -> None:
    await edge.as_admin("PATCH", "/api/rooms/demo", {"radio": False})


async def remove(edge: Edge) -> None:
    await edge.as_admin("DELETE", "/api/rooms/demo")


async def stop(edge: Edge) -> None:
    await radio.end_radio(edge.http.app)


@pytest.mark.parametrize("end", [revoke, switch_off, remove, stop])
@pytest.mark.parametrize("kind", ["aac", "mp3"])
async def test_ends(edge: Edge, kind: str, end: Any) -> None:
    """It ends for who is revoked, with the radio, with the room, and with the server."""
    await edge.new_room()
    async with await listen(edge, kind) as answer:
        await answer.content.readexactly(4)
        await end(edge)
        edge.node.advance(5.0)
        while await answer.content.readany():
            edge.node.advance(1.0)
    await gone(edge)


async def gone(edge: Edge) -> None:
    """Let the server see that nobody listens any more."""
    while edge.node.services.context.radio.listeners.total():
        edge.node.advance(1.0)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("settings", "whose"),
    [
        ({"limit_radio_room": 1}, "to this room"),
        ({"limit_radio_address": 1}, "from your address"),
    ],
)
async def test_most(serve: Serve, settings: dict[str, int], whose: str) -> None:
    """Who finds no place is told when to come again, at no cost to others; who goes makes one."""
    edge = await serve(**settings)
    await edge.new_room()
    async with await listen(edge) as answer:
        await answer.content.readexactly(4)
        async with await listen(edge) as refused:
            told = await refused.json()
            assert (refused.status, told["code"], told["retryable"]) == (503, "radio_full", True)
            assert f"At most 1 listen to the radio {whose}" in told["error"]
            assert 20 <= int(refused.headers["Retry-After"]) <= 40
        assert edge.node.services.context.radio.listeners.total() == 1
    await gone(edge)
    async with await listen(edge) as answer:
        assert answer.status == 200


async def test_own_limit(serve: Serve) -> None:
    """Streams have a limit of their own: they do not count for the API, nor it for them."""
    edge = await serve(limit_requests=2, limit_radio=2)
    await edge.new_room()
    token = edge.node.listen_token(Grant(RoomId("demo"), ADA))
    statuses = []
    for path in ("/radio/demo.aac?token=bad", f"/radio/demo.aac?token={token}", "/radio/x.mp3"):
        async with edge.http.get(path) as answer:
            statuses.append(answer.status)
            if answer.status == 429:
                assert int(answer.headers["Retry-After"]) >= 30
    statuses += [(await edge.ask("GET", "/api/rooms/demo"))[0] for _ in range(3)]
    assert statuses == [403, 200, 429, 401, 401, 429]


async def test_revoked_while_stuck(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener who takes nothing is cut off at once, too, when they are revoked."""
    began = asyncio.Event()

    async def stuck(*_: object) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(web.StreamResponse, "write", stuck)
    await edge.new_room()
    token = await edge.listen_token()
    async with edge.http.get("/radio/demo.aac", params={"token": token}) as answer:
        await began.wait()
        await edge.node.access.remove(RoomId("demo"), edge.node.access.listening(token).user)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    await gone(edge)


async def test_revoked_as_patience_ends() -> None:
    """Who is cut off in the very turn in which they would have been anyhow is no error."""
    tap, done = RadioTap(Tap[bytes](deque())), asyncio.Event()

    def revoke() -> None:
        tap.cut()
        done.set()

    async def send() -> None:
        async with asyncio.timeout(0) as tap.patience:  # its end is this turn's
            asyncio.get_running_loop().call_soon(revoke)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await send()
    assert done.is_set()
    assert await tap.next() is None
