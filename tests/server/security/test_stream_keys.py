"""Keys of broadcasts come out by the key route alone, and there for a right alone."""

import base64
import re
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from hls.core.timeline import SEGMENT_S
from mixer.types import RoomId
from server.domain import key_token
from server.domain.stream import StreamKey
from server.edge.contract import OPERATIONS
from server.services.tokens import Audience, Grant
from tests.server.security.conftest import Answer, Open, Port
from tests.server.services.people import ADA, BOB
from tests.support.real_broadcast import RealBroadcast

DEMO, OTHER = RoomId("demo"), RoomId("other")
FRIEND = "https://radio.example"


@pytest.fixture
async def port(open_port: Open) -> Port:
    """A server with two rooms on air, of which segments can be had as from the real thing."""
    port = await open_port(broadcast_key_segments=20, hls_origin=FRIEND)
    real = RealBroadcast(port.node.clock)
    context = port.node.services.context
    context.broadcast = context.endings._broadcast = real
    port.node.services.streams._apply = real.apply
    for room in (DEMO, OTHER):
        await port.new_room(roomId=room)
    await port.node.settle()
    return port


async def epochs(port: Port, count: int) -> tuple[StreamKey, ...]:
    """Let time go by with a listener until a room has had so many keys; return all it had."""
    keys = port.node.services.context.listening.keys
    had: dict[int, StreamKey] = {}
    while len(had) < count:
        port.node.advance(5 * SEGMENT_S)
        keys.heard(DEMO)
        assert await keys.work()
        await port.node.settle()
        had |= {key.epoch: key for key in port.node.rooms.stream(DEMO).keys}
    return tuple(had.values())


@dataclass
class Heap:
    """Everything that was sent, heads and bodies."""

    sent: bytes = b""

    async def fetch(self, port: Port, method: str, path: str, headers: dict[str, str]) -> bytes:
        answer = await port.ask(path, method, **headers)
        self.sent += str(answer.headers).encode() + answer.body
        return answer.body


def forms(secret: bytes) -> list[bytes]:
    """Return how a secret could be written."""
    text = secret.hex()
    return [
        *(secret, text.encode(), text.upper().encode(), repr(secret)[2:-1].encode()),
        *(base64.b64encode(secret).rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")),
    ]


def show_all(path: str) -> str:
    names = {"room": "demo", "user": ADA, "name": "seg-1.m4s", "epoch": "1", "path": "x"}
    return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], "x"), path)


async def _play(port: Port, heap: Heap, token: str) -> None:
    """Fetch playlists and all they name, but keys."""
    for query in ("", f"?token={token}", "?token=x"):
        text = await heap.fetch(port, "GET", f"/hls/demo/stream.m3u8{query}", {})
        for line in text.decode().splitlines():
            names = [line] if line and not line.startswith(("#", "{")) else []
            for name in names + re.findall(r'MAP:URI="([^"]+)"', line):
                assert await heap.fetch(port, "GET", f"/hls/demo/{name}", {})


async def _roam(port: Port, heap: Heap, token: str) -> None:
    """Ask for everything there is, and for keys with what does not open them."""
    admin = port.admin
    for method, path in OPERATIONS:
        if method in {"GET", "PATCH"} and "enc.key" not in path and path != "/ws":
            for headers in ({}, admin, {"Authorization": f"Bearer {token}"}):
                await heap.fetch(port, method, show_all(path), headers)
    for epoch in (*range(7), "x", "..", "-1"):
        for shown in ("", "x", port.node.keyring.admin_key):
            await heap.fetch(port, "GET", f"/hls/rooms/demo/{epoch}/enc.key?token={shown}", admin)


async def test_nothing_else_gives_keys(
    port: Port, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither playlists, segments, any other address, errors nor the log hold a key or secret."""
    heap = Heap()
    token = port.node.listen_token(Grant(DEMO, ADA))
    had = await epochs(port, 5)
    await _play(port, heap, token)
    await _roam(port, heap, token)
    given = await port.ask(f"/hls/rooms/demo/{had[-3].epoch}/enc.key?token={token}")
    assert len(given.body) == 16  # it goes into no heap

    def broken(*_: object) -> None:
        raise RuntimeError(repr(port.node.rooms.stream(DEMO)))

    monkeypatch.setattr(port.node.services.context.listening.listeners, "seen", broken)
    await heap.fetch(port, "GET", f"/hls/rooms/demo/enc.key?token={token}", {})
    await port.ask("/api/rooms/demo", "DELETE", **port.admin)
    logged = "".join(capsys.readouterr()).encode()
    assert b"RuntimeError" in logged
    secrets = [key.key for key in had] + [port.node.rooms.stream(OTHER).secret]
    for secret in secrets:
        for form in forms(secret):
            assert form not in heap.sent
            assert form not in logged
    assert token.encode() not in logged


async def test_only_by_a_right(port: Port) -> None:
    """Keys are given for what opens that room's broadcast now, and for nothing else."""
    await epochs(port, 3)
    stream, node = port.node.rooms.stream(DEMO), port.node
    msn = node.services.context.listening.keys.now_msn(stream)
    epoch = stream.key_at(msn).epoch
    key_only = key_token.make(stream, ADA, epoch)
    other = node.rooms.stream(OTHER)
    good = {
        "listen token": node.listen_token(Grant(DEMO, ADA)),
        "key token": key_only,
    }
    bad = {
        "nothing": "",
        "join token": node.join_token(Grant(DEMO, ADA)),
        "admin's": node.token(Audience.ADMIN, Grant()),
        "admin key": node.keyring.admin_key,
        "another room's": node.listen_token(Grant(OTHER, ADA)),
        "expired": node.listen_token(Grant(DEMO, BOB), ttl_s=-1),
        "of a room before": node.listen_token(Grant(DEMO, ADA, made="1")),
        "key token of another room": key_token.make(other, ADA, epoch),
        "key token of another epoch": key_token.make(stream, ADA, epoch + 1),
        "key token of somebody else, forged": key_token.PREFIX
        + base64.urlsafe_b64encode(b"x" * 40).decode().rstrip("="),
        "key token, shortened": key_only[:-1],
        "key token, lengthened": key_only + "A",
        "key token in another script": key_only[:-1] + "\uff21",
        "long": "k1." + "A" * 5000,
    }
    for path in ("/hls/rooms/demo/enc.key", f"/hls/rooms/demo/{epoch}/enc.key"):
        for what, shown in good.items():
            answer = await _ask(port, path, shown)
            assert (answer.status, len(answer.body)) == (200, 16), what
            assert answer.headers["Cache-Control"] == "no-store"
        for what, shown in bad.items():
            answer = await _ask(port, path, shown)
            assert answer.status in {401, 403}, what
            assert len(answer.body) != 16


async def _ask(port: Port, path: str, token: str) -> Answer:
    return await port.ask(f"{path}?token={quote(token)}")


async def test_revoked_everywhere(port: Port) -> None:
    """Who is taken out of the room gets no key either, with any of their tokens."""
    await epochs(port, 3)
    stream = port.node.rooms.stream(DEMO)
    msn = port.node.services.context.listening.keys.now_msn(stream)
    await port.ask(f"/api/rooms/demo/users/{ADA}", "DELETE", **port.admin)
    key_only = key_token.make(stream, ADA, stream.key_at(msn).epoch)
    for token in (port.node.listen_token(Grant(DEMO, ADA)), key_only):
        assert (await _ask(port, "/hls/rooms/demo/enc.key", token)).status == 403
    theirs = port.node.listen_token(Grant(DEMO, BOB))
    assert (await _ask(port, "/hls/rooms/demo/enc.key", theirs)).status == 200


async def test_future_keys(port: Port) -> None:
    """Who listens cannot collect the keys of what is yet to be said."""
    await epochs(port, 3)
    stream = port.node.rooms.stream(DEMO)
    token = port.node.listen_token(Grant(DEMO, ADA))
    msn = port.node.services.context.listening.keys.now_msn(stream)
    for key in stream.keys:
        answer = await _ask(port, f"/hls/rooms/demo/{key.epoch}/enc.key", token)
        assert answer.status == (200 if key.first_msn <= msn + 2 else 404)


async def test_pages_of_other_sites(port: Port) -> None:
    """A page of a site that is named may ask with its listener's cookie; of others, none may."""
    path = "/hls/rooms/demo/enc.key"
    for origin, is_allowed in ((FRIEND, True), ("https://evil.example", False)):
        for method in ("OPTIONS", "GET"):
            told = (await port.ask(path, method, Origin=origin)).headers
            assert told.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)
            with_cookies = told.get("Access-Control-Allow-Credentials")
            assert with_cookies == ("true" if is_allowed else None)


async def test_any_site_without_cookies(open_port: Open) -> None:
    """Where any page may play, none may use a cookie that is not its own."""
    port = await open_port()
    told = (await port.ask("/hls/rooms/demo/enc.key", Origin="https://evil.example")).headers
    assert told["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in told


async def test_listen_cookie(port: Port) -> None:
    """The cookie is for our own pages' players: not for scripts, other sites or other addresses."""
    answer = await port.ask("/api/token", "POST", {"roomId": "demo"}, **port.admin)
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/hls"} <= set(cookie.split("; "))
