"""Prompt answers beside the application's: the same bytes, the same rules, the same counts."""

import asyncio
import re
import tracemalloc
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from mixer.types import RoomId
from server.domain import key_token
from server.domain.identity import UserId
from server.domain.media import Media
from server.domain.plain_get import Request
from server.domain.playlist_text import PlaylistText
from server.edge import connections
from server.edge.connections import Connection
from server.edge.prompt import Prompt
from server.errors import BlockedTooLong, NotFound, PlaneUnavailable
from server.services.tokens import Grant
from tests.server.security.conftest import ANSWER_S, Open, Port, is_cut, until
from tests.support.node import Node

DEMO = RoomId("demo")
ADA = UserId("7b8c5bb8-3f4a-4c0e-9d57-0a1b2c3d4e5f")
PLAYLIST = (
    '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/0/enc.key"\nseg-1.m4s\n'
    '#EXT-X-RENDITION-REPORT:URI="64k/stream.m3u8"\n'
)
KEYS = ("/hls/rooms/demo/enc.key", "/hls/rooms/demo/0/enc.key")
STREAM = "/hls/demo/stream.m3u8"
BLOCKING = f"{STREAM}?_HLS_msn=7&_HLS_part=2"
PLACES = ["query", "header", "cookie", "bare header"]
BROWSER = {"User-Agent": "Browser/1 (X11)", "Accept": "*/*", "Accept-Encoding": "gzip, br"}


@dataclass
class Spy:
    """What was offered to be answered promptly, and whether it was."""

    taken: list[bool] = field(default_factory=list)


@pytest.fixture(autouse=True)
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Watches every server of a test."""
    seen, real = Spy(), Prompt.take

    def take(prompt: Prompt, line: Connection, request: Request) -> bool:
        is_taken = real(prompt, line, request)
        seen.taken.append(is_taken)
        return is_taken

    monkeypatch.setattr(Prompt, "take", take)
    return seen


async def on_air(open_port: Open, **settings: object) -> Port:
    port = await open_port(**settings)
    await port.new_room()
    await port.node.settle()
    port.node.broadcast.playlist_text = PLAYLIST
    port.node.broadcast.media = {"seg-1.m4s": b"media" * 99, "init-1.mp4": b"init", "x": b"y"}
    return port


@pytest.fixture
async def stream(open_port: Open) -> Port:
    """A server with a room on air."""
    return await on_air(open_port)


def head(port: Port, path: str, headers: dict[str, str], method: str = "GET") -> bytes:
    given = {"Host": f"127.0.0.1:{port.number}"} | headers
    fields = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode()


async def read(reader: asyncio.StreamReader) -> bytes:
    """Read one answer as it came, but for its date and what is drawn by lot."""
    async with asyncio.timeout(ANSWER_S):
        top = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)\r\n", top)
        body = await reader.readexactly(int(length[1])) if length else b""
    assert len(re.findall(rb"\r\nDate: [^\r]{29}\r\n", top)) == 1
    return re.sub(rb"\r\nDate: [^\r]+", b"", top) + body


async def once(port: Port, path: str, headers: dict[str, str]) -> bytes:
    async with port.connect() as (reader, writer):
        writer.write(head(port, path, headers))
        return await read(reader)


def counts(node: Node) -> dict[str, float]:
    """What a server counted of requests; not how long they took."""
    found = {}
    for metric in node.services.context.registry.collect():
        if metric.name.startswith(("roomtone_hls_", "roomtone_http_request")):
            for sample in metric.samples:
                if not sample.name.endswith(("_sum", "_created", "_bucket")):
                    found[f"{sample.name} {sorted(sample.labels.items())}"] = sample.value
    audience = node.services.context.audience
    found |= {f"sent {kind}": float(size) for kind, size in audience.bytes_sent(DEMO).items()}
    return found


def grown(node: Node, before: dict[str, float]) -> dict[str, float]:
    now = counts(node)
    return {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name)}


async def both_ways(port: Port, path: str, headers: dict[str, str]) -> tuple[bytes, bytes]:
    """Ask promptly and by the application; what is counted must be the same."""
    told, grew = [], []
    for is_prompt in (True, False):
        port.node.broadcast.is_prompt = is_prompt
        before = counts(port.node)
        told.append(await once(port, path, headers))
        grew.append(grown(port.node, before))
    assert grew[0] == grew[1]
    assert grew[0]
    return told[0], told[1]


PLAIN = [
    (STREAM, {}),
    (STREAM, BROWSER),
    (STREAM, BROWSER | {"Accept-Encoding": "gzip;q=0"}),
    (STREAM, BROWSER | {"Origin": "https://radio.example", "Connection": "keep-alive"}),
    (f"{STREAM}?_HLS_skip=YES&more=1", BROWSER),
    ("/hls/demo/classic.m3u8", BROWSER),
    ("/hls/demo/master.m3u8", BROWSER),
    ("/hls/demo/classic-master.m3u8", {}),
    ("/hls/demo/64k/stream.m3u8", BROWSER),
    ("/hls/demo/64k/classic.m3u8", {}),
    ("/hls/demo/seg-1.m4s", BROWSER),
    ("/hls/demo/64k/seg-1.m4s", {"Origin": "https://elsewhere.example"}),
    ("/hls/demo/init-1.mp4", {"Cookie": 'odd="but of no matter here"'}),
    ("/hls/demo/x", {}),
]
SETTINGS: list[dict[str, object]] = [
    {},
    {"hls_origin": ("https://radio.example",), "access_log": True},
    {"hls_origin": (), "public_url": "https://rooms.example"},
    {"allow_host": ("127.0.0.1",), "limit_hls": 0},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["bare", "origin", "closed", "host"])
async def test_the_same_bytes(open_port: Open, spy: Spy, settings: dict[str, object]) -> None:
    """Whatever is answered promptly, the application answers byte for byte, but for the date."""
    port = await on_air(open_port, **settings)
    for path, headers in PLAIN:
        spy.taken.clear()
        prompt, slow = await both_ways(port, path, headers)
        assert spy.taken == [True, False], path
        assert prompt == slow
        assert prompt.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("path", ["/hls/demo/seg-1.m4s", STREAM])
async def test_strangers_cost_no_memory(
    stream: Port, spy: Spy, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """However many origins and hosts they name, what is large is there once."""
    large = "0123456789abcdef" * 2**16
    media, text = Media(large.encode()), PlaylistText(large)
    monkeypatch.setattr(stream.node.broadcast, "media_now", lambda *_: media)
    monkeypatch.setattr(stream.node.broadcast, "playlist_now", lambda *_: text)
    await once(stream, path, {})
    tracemalloc.start()
    try:
        for number in range(16):
            host = f"127.0.0.{number}"
            await once(stream, path, {"Host": host, "Origin": f"https://{number}.example"})
            await once(stream, path, {"Origin": f"https://{number}.example"})
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(spy.taken)
    assert held < 2 * len(large)


@pytest.mark.parametrize(("allowed", "heads"), [(("*",), 1), (("https://named.example",), 2)])
async def test_origins(open_port: Open, allowed: tuple[str, ...], heads: int) -> None:
    """An origin is told apart from others only where it is named."""
    port = await on_air(open_port, hls_origin=allowed)
    for origin in ("https://named.example", "https://1.example", "https://2.example", ""):
        await once(port, "/hls/demo/seg-1.m4s", {"Origin": origin} if origin else {})
    prompt = port.connections.prompt
    assert isinstance(prompt, Prompt)
    assert len(prompt._templates) == heads


async def test_over_tls_for_good(stream: Port) -> None:
    """A reload of the settings changes what is ready, too."""
    context = stream.node.services.context
    before, _ = await both_ways(stream, STREAM, BROWSER)
    update = {"tls_cert": Path("cert.pem"), "hsts_s": 5}
    context.settings = context.settings.model_copy(update=update)
    prompt, slow = await both_ways(stream, STREAM, BROWSER)
    assert prompt == slow != before
    assert b"Strict-Transport-Security: max-age=5" in prompt


def showing(place: str, path: str, token: str) -> tuple[str, dict[str, str]]:
    """Return address and headers of a request that shows a token there."""
    headers = {
        "query": BROWSER,
        "header": {"Authorization": f"Bearer {token}"},
        "bare header": {"Authorization": token},
        "cookie": {"Cookie": f"other=1; roomtone_listen_demo={token}"},
    }[place]
    return (f"{path}?token={token}" if place == "query" else path), headers


@pytest.mark.parametrize("place", PLACES)
async def test_tokens(stream: Port, spy: Spy, place: str) -> None:
    """A listener is known by what they show, wherever, and gets the same addresses."""
    user = Grant(DEMO, ADA)
    path, headers = showing(place, STREAM, stream.node.listen_token(user))
    listeners = stream.node.services.context.listening.listeners
    prompt, slow = await both_ways(stream, path, headers)
    assert spy.taken == [True, False]
    assert prompt == slow
    assert (b"?token=" in prompt) == (place == "query")
    assert listeners.is_here(DEMO, user.user)
    assert sum(stream.node.services.context.audience.listeners(DEMO).values()) == 1


@pytest.mark.parametrize("settings", SETTINGS, ids=["bare", "origin", "closed", "host"])
async def test_keys(open_port: Open, spy: Spy, settings: dict[str, object]) -> None:
    """A key is given promptly to who may have it, wherever they show their right, as ever."""
    port = await on_air(open_port, **settings)
    stream, context = port.node.rooms.stream(DEMO), port.node.services.context
    key_only = key_token.make(stream, ADA, 0)
    token = port.node.listen_token(Grant(DEMO, ADA))
    shown = [showing(place, path, token) for path in KEYS for place in PLACES]
    shown += [showing("query", path, key_only) for path in KEYS]
    for path, headers in shown:
        told, grew = [], []
        for odd in ({}, {"X-Forwarded-For": "192.0.2.7"}):
            before = counts(port.node)
            asked = headers | odd | {"Origin": "https://radio.example"}
            told.append(await once(port, path, asked))
            grew.append(grown(port.node, before))
        assert told[0] == told[1]
        assert grew[0] == grew[1]
        assert grew[0]
        assert told[0].endswith(b"\r\n\r\n" + stream.keys[0].key)
        assert b"\r\nCache-Control: no-store\r\n" in told[0]
    assert spy.taken == [True] * len(shown)
    (listener,) = context.listening.listeners.all(DEMO)
    assert listener.keys == 2 * len(shown)


async def test_keys_after_the_end(stream: Port, spy: Spy) -> None:
    """Of a broadcast that is over the application gives the keys."""
    token = stream.node.listen_token(Grant(DEMO, ADA))
    await stream.ask("/api/rooms/demo", "DELETE", **stream.admin)
    spy.taken.clear()
    assert (await once(stream, *showing("query", KEYS[1], token)))[9:12] == b"200"
    assert spy.taken == [False]


LEFT = [
    ("GET", STREAM, {"X-Forwarded-For": "192.0.2.7"}),
    ("GET", "/hls/demo/seg-1.m4s", {"Range": "bytes=1-2"}),
    ("GET", "/hls/demo/seg-1.m4s", {"If-None-Match": "*"}),
    ("HEAD", STREAM, {}),
    ("OPTIONS", STREAM, {}),
    ("GET", "/hls/nobody/stream.m3u8", {}),
    ("GET", "/hls/demo/seg-9.m4s", {}),
    ("GET", "/hls/demo/64k/master.m3u8", {}),
    ("GET", "/hls/demo/64k/classic-master.m3u8", {}),
    ("GET", f"{STREAM}?_HLS_part=1", {}),
    ("GET", f"{STREAM}?_HLS_msn=x", {}),
    ("GET", f"{STREAM}?token=junk", {}),
    ("GET", f"{STREAM}?token=%41", {}),
    ("GET", STREAM, {"Host": "rebound.example"}),
    ("GET", STREAM, {"Cookie": 'roomtone_listen_demo="quoted"'}),
    *(("GET", key, {}) for key in KEYS),
    ("GET", f"{KEYS[0]}?token=junk", {}),
    ("GET", f"{KEYS[0]}?token=k2.junk", {}),
    ("GET", f"{KEYS[0]}?token=%41", {}),
    ("GET", KEYS[0], {"Cookie": 'roomtone_listen_demo="quoted"'}),
    ("HEAD", KEYS[0], {"Authorization": "junk"}),
    ("GET", "/hls/rooms/nobody/0/enc.key", {"Authorization": "junk"}),
    ("GET", "/health", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), LEFT)
async def test_left_to_the_application(
    stream: Port, spy: Spy, method: str, path: str, headers: dict[str, str]
) -> None:
    """What is odd, refused or not there; and a plain request after it is prompt again."""
    async with stream.connect() as (reader, writer):
        writer.write(head(stream, path, headers, method))
        top = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)\r\n", top)
        if length and method != "HEAD":
            await reader.readexactly(int(length[1]))
        assert True not in spy.taken
        await until(lambda: all(one._is_between for one in stream.connections))
        writer.write(head(stream, STREAM, BROWSER))
        assert (await read(reader)).startswith(b"HTTP/1.1 200")
        assert spy.taken[-1]


async def test_off_the_air(stream: Port, spy: Spy) -> None:
    """Who asks for a room that is not broadcast any more is given its end."""
    await stream.node.rooms.change(DEMO, lambda one: replace(one, broadcast=False))
    answer = await once(stream, STREAM, {})
    assert (spy.taken, answer[9:12]) == ([False], b"200")
    assert answer.endswith(b"#EXT-X-ENDLIST\n")


async def test_trusted_proxies(open_port: Open, spy: Spy) -> None:
    """Who comes through one is not whom the connection is with: that is not for a short way."""
    port = await on_air(open_port, trusted_proxy=("127.0.0.1",))
    assert (await once(port, STREAM, {}))[9:12] == b"200"
    assert spy.taken == [False]


async def test_the_same_bucket(open_port: Open, spy: Spy) -> None:
    """What an address may ask for is counted in one place, and refused once."""
    port = await on_air(open_port, limit_hls=3)
    limits = port.node.services.context.limits
    statuses = []
    for is_prompt in (True, False, True, True, False):
        port.node.broadcast.is_prompt = is_prompt
        statuses.append((await once(port, STREAM, {}))[9:12])
    assert statuses == [b"200", b"200", b"200", b"429", b"429"]
    assert spy.taken == [True, False, True, False, False]
    assert sum(limits.refused.values()) == 2


async def parked(port: Port, count: int = 1) -> None:
    await until(lambda: port.node.broadcast.blocked(DEMO) == count)


@pytest.mark.parametrize("path", [BLOCKING, "/hls/demo/seg-1.m4s"])
async def test_waiting(stream: Port, path: str) -> None:
    """Who waits is answered by the same bytes, without a task for each."""
    broadcast = stream.node.broadcast
    broadcast.hinted.add("seg-1.m4s")
    told = []
    for is_prompt in (True, False):
        broadcast.is_prompt = is_prompt
        async with stream.connect() as (reader, writer):
            await until(lambda: len(stream.connections) == 1)
            before = len(asyncio.all_tasks())
            writer.write(head(stream, path, BROWSER))
            await parked(stream)
            assert len(asyncio.all_tasks()) == before + (not is_prompt)
            broadcast.go_on(DEMO)
            told.append(await read(reader))
            # The connection is between two requests again, and not taken for idle before its time.
            writer.write(head(stream, "/health", {}))
            assert (await read(reader)).startswith(b"HTTP/1.1 200")
        await until(lambda: not stream.connections)
    assert told[0] == told[1]
    assert told[0].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("error", [BlockedTooLong(), PlaneUnavailable(), NotFound("gone")])
async def test_waiting_in_vain(stream: Port, error: Exception) -> None:
    """A refusal is the same one; none is waited for twice."""
    broadcast, told, grew = stream.node.broadcast, [], []
    for is_prompt in (True, False):
        before = counts(stream.node)
        broadcast.is_prompt, broadcast.refusal = is_prompt, None
        async with stream.connect() as (reader, writer):
            writer.write(head(stream, BLOCKING, BROWSER))
            await parked(stream)
            broadcast.refusal = error
            broadcast.go_on(DEMO)
            if is_prompt and not isinstance(error, BlockedTooLong):
                await parked(stream, 0)
                await parked(stream)  # the application asks again, and hears it for itself
                broadcast.go_on(DEMO)
            told.append(await read(reader))
        grew.append(grown(stream.node, before))
    assert told[0] == told[1]
    assert grew[0] == grew[1]
    assert told[0][9:12] in {b"503", b"404"}


async def test_the_room_ends(stream: Port) -> None:
    """Who waits comes to the end of the broadcast, as everybody does."""
    async with stream.connect() as (reader, writer):
        writer.write(head(stream, BLOCKING, {}))
        await parked(stream)
        stream.node.broadcast.playlist_text = None
        stream.node.broadcast.go_on(DEMO)
        await parked(stream, 0)
        await parked(stream)
        stream.node.broadcast.go_on(DEMO)
        assert (await read(reader)).startswith(b"HTTP/1.1 503")


async def test_who_leaves_frees_their_place(stream: Port) -> None:
    """A caller who hangs up waits no more."""
    async with stream.connect() as (_, writer):
        writer.write(head(stream, BLOCKING, {}))
        await parked(stream)
        writer.transport.abort()
        await parked(stream, 0)
    await until(lambda: not stream.connections)


async def test_requests_that_come_meanwhile(stream: Port) -> None:
    """What is sent before the answer is there is kept, not read on, and answered in order."""
    async with stream.connect() as (reader, writer):
        writer.write(head(stream, BLOCKING, {}))
        await parked(stream)
        (connection,) = stream.connections
        writer.write(head(stream, "/hls/demo/x", {}))
        await until(lambda: bool(connection._held))
        assert isinstance(connection.transport, asyncio.ReadTransport)
        assert not connection.transport.is_reading()
        stream.node.broadcast.go_on(DEMO)
        assert (await read(reader)).endswith(PLAYLIST.encode())
        assert (await read(reader)).endswith(b"\r\n\r\ny")
        assert connection.transport.is_reading()


async def test_pieces_and_pipelines(stream: Port, spy: Spy) -> None:
    """Once a request did not come whole, aiohttp alone knows where the next one begins."""
    whole = head(stream, STREAM, {})
    async with stream.connect() as (reader, writer):
        writer.write(whole[:20])
        (connection,) = await one_of(stream)
        await until(lambda: connection.began is not None)
        writer.write(whole[20:])
        assert (await read(reader)).startswith(b"HTTP/1.1 200")
        writer.write(whole)
        assert (await read(reader)).startswith(b"HTTP/1.1 200")
    async with stream.connect() as (reader, writer):
        writer.write(whole + whole)
        for _ in range(2):
            assert (await read(reader)).startswith(b"HTTP/1.1 200")
    # A body that looks like a request is a body.
    body = head(stream, "/hls/demo/x", {})
    post = f"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with stream.connect() as (reader, writer):
        writer.write(post)
        (connection,) = await one_of(stream)
        await until(lambda: connection.began is not None)
        writer.write(body)
        assert (await read(reader)).startswith(b"HTTP/1.1 4")
        writer.write(whole)
        assert (await read(reader)).startswith(b"HTTP/1.1 ")
    assert spy.taken == []


async def one_of(port: Port) -> list[Connection]:
    await until(lambda: len(port.connections) == 1)
    return list(port.connections)


async def test_who_reads_nothing(stream: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ready for who has not taken what they were sent; they are cut in the end."""
    stream.node.broadcast.media["seg-1.m4s"] = b"m" * 8_000_000
    async with stream.connect() as (_, writer):
        writer.write(head(stream, "/hls/demo/seg-1.m4s", {}))
        (connection,) = await one_of(stream)
        await until(lambda: connection.waiting > 0)
        assert not connection._is_between
        now = stream.connections.now()
        connection.check(now)
        connection.check(now + connections.STUCK_S)
        assert stream.connections.cut["reads nothing"] == 1


async def test_who_waits_is_not_idle(stream: Port) -> None:
    """Only between two requests is a connection cut for doing nothing."""
    async with stream.connect() as (reader, writer):
        writer.write(head(stream, BLOCKING, {}))
        await parked(stream)
        (connection,) = stream.connections
        later = stream.connections.now() + 2 * connections.IDLE_S
        connection.check(later)
        assert not stream.connections.cut
        stream.node.broadcast.go_on(DEMO)
        await read(reader)
        connection.check(later)
        assert stream.connections.cut["idle"] == 1
        assert await is_cut(reader)


async def test_drain(stream: Port) -> None:
    """At the end who waits is answered in the time that is left, and nothing new is read."""
    async with stream.connect() as (reader, writer):
        writer.write(head(stream, BLOCKING, {}))
        await parked(stream)
        server = stream.connections.server
        server.pre_shutdown()
        ending = asyncio.ensure_future(server.shutdown(ANSWER_S))
        writer.write(head(stream, STREAM, {}))
        await asyncio.sleep(0)
        stream.node.broadcast.go_on(DEMO)
        assert (await read(reader)).startswith(b"HTTP/1.1 200")
        assert await reader.read() == b""
        await ending


async def test_drain_in_vain(stream: Port) -> None:
    """Who is not answered by then is cut."""
    async with stream.connect() as (reader, writer):
        writer.write(head(stream, BLOCKING, {}))
        await parked(stream)
        await stream.connections.server.shutdown(0.01)
        assert await is_cut(reader)
    await parked(stream, 0)


async def test_a_fault_is_nobody_elses(stream: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an answer fails its connection is cut; the others who wait are answered."""
    real, failed = Prompt.answer, iter([True])

    def answer(*args: object) -> None:
        if next(failed, False):
            raise ZeroDivisionError
        real(*args)  # type: ignore[arg-type]

    async with stream.connect() as (reader, writer), stream.connect() as (second, another):
        writer.write(head(stream, BLOCKING, {}))
        await parked(stream)
        another.write(head(stream, BLOCKING, {}))
        await parked(stream, 2)
        monkeypatch.setattr(Prompt, "answer", answer)
        stream.node.broadcast.go_on(DEMO)
        assert await is_cut(reader)
        assert (await read(second)).startswith(b"HTTP/1.1 200")
    assert stream.connections.cut["failed"] == 1


async def test_a_browser(stream: Port, spy: Spy) -> None:
    """A client of HTTP that keeps its connection is answered promptly on and on."""
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(stream.url + STREAM) as answer:
                assert await answer.text() == PLAYLIST
    assert spy.taken == [True] * 3


def test_aiohttp_is_as_we_know_it() -> None:
    """What tells that aiohttp waits for a request is its own: a version without it must fail here.

    `_waiter` is a future while it waits, `_messages` what it has not begun, `_close` and
    `_force_close` end it, `_next_keepalive_close_time` is when it takes a connection for idle.
    """
    slots = web.RequestHandler.__slots__
    wanted = {"_waiter", "_messages", "_close", "_force_close", "_next_keepalive_close_time"}
    assert wanted <= set(slots)
    for ours in ("shutdown", "close", "data_received", "connection_lost"):
        assert ours in vars(web.RequestHandler)
