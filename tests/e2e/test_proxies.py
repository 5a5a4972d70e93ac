"""The shipped configurations of nginx and Caddy, run by the real ones in front of a real server."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.program import Program, free_port, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BOTH = pytest.mark.parametrize("kind", ["nginx", "caddy"])
START_S = 20.0
SEGMENT = re.compile(r"^[\w.-]+\.m4s", re.MULTILINE)
PART = re.compile(r'^#EXT-X-PART:.*URI="(?P<name>[^"]+)"', re.MULTILINE)
HINT = re.compile(
    r'^#EXT-X-PRELOAD-HINT:.*URI="(?P<name>(?P<of>seg-\w+-)(?P<msn>\d+)\.(?P<part>\d+)\.m4s)"',
    re.MULTILINE,
)


def changed(text: str, changes: dict[str, str]) -> str:
    """Return a shipped file with other names and ports; each of them must be in it."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class Front:
    """A proxy with TLS in front of a server."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.url = f"https://127.0.0.1:{port}"
        self.certificate, self.key = folder / "front.crt", folder / "front.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(self.key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        self.tls = ssl.create_default_context(cafile=str(self.certificate))

    def nginx(self, folder: Path, upstream: int) -> list[str]:
        """Write the configuration; return the command."""
        text = changed(
            (DEPLOY / "nginx.conf").read_text(),
            {
                "user www-data;": "user root;",
                "worker_rlimit_nofile 65536;": "",
                "/run/nginx.pid": str(folder / "nginx.pid"),
                "/var/log/nginx/error.log": str(folder / "error.log"),
                "/var/cache/nginx/roomtone": str(folder / "cache"),
                "127.0.0.1:8080": f"127.0.0.1:{upstream}",
                "listen 80;": f"listen 127.0.0.1:{free_port()};",
                "listen [::]:80;": "",
                "listen 443 ssl http2;": f"listen {self.port} ssl http2;",
                "listen [::]:443 ssl http2;": "",
                "/etc/letsencrypt/live/audio.example.org/fullchain.pem": str(self.certificate),
                "/etc/letsencrypt/live/audio.example.org/privkey.pem": str(self.key),
            },
        )
        path = folder / "nginx.conf"
        path.write_text(text)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        return [program, "-p", str(folder), "-c", str(path), "-g", "daemon off;"]

    def caddy(self, folder: Path, upstream: int) -> list[str]:
        """Write the configuration; return the command."""
        text = changed(
            (DEPLOY / "Caddyfile").read_text(),
            {
                "{\n\tservers {": "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers {",
                "\naudio.example.org {\n": f"\nhttps://127.0.0.1:{self.port} {{\n"
                f"\ttls {self.certificate} {self.key}\n",
                "127.0.0.1:8080": f"127.0.0.1:{upstream}",
            },
        )
        path = folder / "Caddyfile"
        path.write_text(text)
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


class Site:
    """A server and the proxy in front of it."""

    def __init__(self, program: Program, front: Front) -> None:
        self.program = program
        self.front = front
        self.url = front.url
        self._http: aiohttp.ClientSession | None = None

    @property
    def http(self) -> aiohttp.ClientSession:
        if self._http is None:
            connector = aiohttp.TCPConnector(ssl=self.front.tls)
            self._http = aiohttp.ClientSession(connector=connector)
        return self._http

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def curl(self, path: str, *options: str) -> tuple[int, str, Any]:
        """Ask through the proxy; return the status, the version of HTTP and the body."""
        curl = await asyncio.create_subprocess_exec(
            *("curl", "-s", "--cacert", str(self.front.certificate)),
            *("-w", "\n%{http_code} %{http_version}"),
            *options,
            self.url + path,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await curl.communicate()
        body, _, end = out.decode().rpartition("\n")
        status, version = end.split()
        return int(status), version, body

    async def answered(self, route: str) -> float:
        """Return how often the server itself answered a route."""
        async with self.program.http.get(f"{self.program.url}/metrics") as answer:
            text = await answer.text()
        pattern = rf'^roomtone_http_requests_total{{[^}}]*route="{re.escape(route)}"[^}}]*}} (\S+)$'
        return sum(float(count) for count in re.findall(pattern, text, re.MULTILINE))


@contextlib.asynccontextmanager
async def standing(kind: str, folder: Path, *options: str) -> AsyncIterator[Site]:
    front = Front(folder, free_port())
    given = ("--trusted-proxy", "127.0.0.1/32", "--public-url", front.url, *options)
    async with running(folder / "state", *given) as program:
        command = getattr(front, kind)(folder, program.port)
        log = (folder / f"{kind}.log").open("wb")
        proxy = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, env=os.environ | {"HOME": str(folder)}
        )
        site = Site(program, front)
        try:
            async with asyncio.timeout(START_S):
                while not _listens(front.port):
                    assert proxy.returncode is None, (folder / f"{kind}.log").read_text()
                    await asyncio.sleep(0.05)  # sleep: another process has to get there
            yield site
        finally:
            await site.close()
            if proxy.returncode is None:
                proxy.terminate()
            await proxy.wait()
            log.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@BOTH
async def test_pages_and_signalling(kind: str, tmp_path: Path) -> None:
    """Pages come by HTTP/2, links name the proxy, and a page's WebSocket goes through."""
    async with standing(kind, tmp_path) as site:
        status, version, page = await site.curl("/", "--http2")
        assert (status, version) == (200, "2")
        assert "Roomtone" in page
        room = await site.program.new_room(roomId="demo")
        assert room["links"]["join"].startswith(f"{site.url}/join/demo#invite=")
        invite = room["links"]["join"].partition("=")[2]
        body = json.dumps({"invite": invite})
        _, _, user = await site.curl("/api/rooms/demo/users", "-d", body)
        url = f"{site.url}/ws?token={json.loads(user)['token']}"
        params = {"clientId": "cccccccc-0000-4000-8000-000000000003"}
        async with site.http.ws_connect(url, origin=site.url) as ws:
            await ws.send_json({"jsonrpc": "2.0", "id": 1, "method": "join", "params": params})
            while "result" not in (answer := await ws.receive_json()):
                pass
        assert answer["result"]["room"]["roomId"] == "demo"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await site.http.ws_connect(url, origin="https://evil.example")


@BOTH
async def test_callers_are_told_apart(kind: str, tmp_path: Path) -> None:
    """Limits count who is behind the proxy, whatever they say of themselves; so does the log."""
    async with standing(kind, tmp_path, "--limit-joins", "3") as site:

        async def attempt(address: str, *options: str) -> int:
            wrong = ("--interface", address, "-d", '{"secret":"x"}', *options)
            status, _, _ = await site.curl("/api/session", *wrong)
            return status

        assert [await attempt("127.0.0.2") for _ in range(4)] == [401, 401, 401, 429]
        for lie in ("X-Forwarded-For: 9.9.9.9", "Forwarded: for=9.9.9.9", "X-Real-IP: 9.9.9.9"):
            assert await attempt("127.0.0.2", "-H", lie) == 429
        assert await attempt("127.0.0.3") == 401
        assert "address=127.0.0.2" in site.program.output or '"127.0.0.2"' in site.program.output
        assert "9.9.9.9" not in site.program.output


@BOTH
async def test_forged_pages(kind: str, tmp_path: Path) -> None:
    """Behind the proxy, too, pages of other sites change nothing, and no host is made up."""
    async with standing(kind, tmp_path) as site:
        key = f"Authorization: Bearer {site.program.admin_key}"
        create = ("-d", '{"roomId":"demo"}', "-H", key)
        for lie in ("https://evil.example", site.url.replace("https:", "http:")):
            status, _, _ = await site.curl("/api/rooms", *create, "-H", f"Origin: {lie}")
            assert status == 403
        lie = "X-Forwarded-Host: evil.example"
        status, _, answer = await site.curl(
            "/api/rooms", *create, "-H", f"Origin: {site.url}", "-H", lie
        )
        assert status in {201, 421}
        assert "evil" not in answer


@BOTH
async def test_bodies(kind: str, tmp_path: Path) -> None:
    """A sound file goes through however large; any other large body ends at the proxy."""
    async with standing(kind, tmp_path) as site:
        await site.program.new_room(roomId="demo")
        key = f"Authorization: Bearer {site.program.admin_key}"
        wav = tmp_path / "long.wav"
        size = 48_000 * 2 * 30
        head = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\x01\0\x01\0"
        head += (48_000).to_bytes(4, "little") + (96_000).to_bytes(4, "little") + b"\x02\0\x10\0"
        wav.write_bytes(head + b"data" + size.to_bytes(4, "little") + bytes(size))
        path = "/api/rooms/demo/announcements"
        status, _, answer = await site.curl(path, "-H", key, "-F", f"file=@{wav}")
        assert status == 201, answer
        status, _, _ = await site.curl("/api/rooms", "-H", key, "--data-binary", f"@{wav}")
        assert status in {413, 0}  # 0: the stream was ended while curl was still sending


async def on_air(site: Site) -> str:
    """Make a room; return its playlist once it has parts."""
    await site.program.new_room(roomId="demo")
    playlist = ""
    async with asyncio.timeout(60):
        while not PART.search(playlist):
            _, _, playlist = await site.curl("/hls/demo/stream.m3u8")
            await asyncio.sleep(0.2)  # sleep: the encoder has to make one
    return playlist


async def shown(site: Site) -> tuple[str, ...]:
    """Return curl's options of a listener."""
    _, token = await site.program.call("POST", "/api/token", {"roomId": "demo"})
    return ("-H", f"Authorization: Bearer {token['token']}", "-o", "/dev/null")


async def test_nginx_keeps_segments(tmp_path: Path) -> None:
    """Nginx asks for a segment once however many want it, and for keys each time."""
    async with standing("nginx", tmp_path) as site:
        playlist = await on_air(site)
        found = SEGMENT.search(playlist)
        key = re.search(r'URI="([^"]*enc\.key)', playlist)
        assert found is not None
        assert key is not None
        token = "x" * 20  # a playlist with one would be refused, but media are open
        segment = ("/hls/{room}/{name}", f"/hls/demo/{found[0]}")
        routes = {
            segment[1]: (segment[0], 1),
            f"{segment[1]}?token={token}": (segment[0], 0),
            key[1].removeprefix(site.url): ("/hls/rooms/{room}/{epoch}/enc.key", 5),
        }
        options = await shown(site)
        for path, (route, times) in routes.items():
            before = await site.answered(route)
            for _ in range(5):
                status, _, _ = await site.curl(path, *options)
                assert status == 200, path
            assert await site.answered(route) - before == times, path
        status, _, part = await site.curl(segment[1], "-r", "0-15", "-o", str(tmp_path / "range"))
        assert (status, part, (tmp_path / "range").stat().st_size) == (206, "", 16)


async def test_low_latency_through_nginx(tmp_path: Path) -> None:
    """By HTTP/2 on one connection: a playlist that waits, the part it hints at, and the key."""
    async with standing("nginx", tmp_path) as site:
        playlist = await on_air(site)
        hint = HINT.search(playlist)
        key = re.search(r'URI="([^"]*enc\.key)', playlist)
        assert hint is not None
        assert key is not None
        msn, part = int(hint["msn"]), int(hint["part"])
        # On a busy machine that part may be past by now; one more segment is still to come.
        waited = f"/hls/demo/stream.m3u8?_HLS_msn={msn + 1}&_HLS_part={part}"
        paths = [waited, f"/hls/demo/{hint['name']}", key[1].removeprefix(site.url)]
        told, bodies = await together(site, tmp_path, paths)
        assert [line.split()[:2] for line in told] == [["200", "2"]] * 3
        assert sum(int(line.split()[2]) for line in told) == 1  # connection
        names_of_parts = {found["name"] for found in PART.finditer(bodies[0].decode())}
        assert f"{hint['of']}{msn + 1}.{part}.m4s" in names_of_parts
        assert len(bodies[1]) % 16 == 0 < len(bodies[1])
        assert len(bodies[2]) == 16


async def together(site: Site, folder: Path, paths: list[str]) -> tuple[list[str], list[bytes]]:
    """Who waits for a playlist is answered with the others, who comes later from memory."""
    options = (await shown(site))[:2]
    files = [folder / f"body{number}" for number in range(len(paths))]
    wanted = [
        piece
        for path, file in zip(paths, files, strict=True)
        for piece in ("-o", str(file), site.url + path)
    ]
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-s", "--http2", "--cacert", str(site.front.certificate), *options),
        *("-Z", "-w", "%{http_code} %{http_version} %{num_connects}\n", *wanted),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await curl.communicate()
    return out.decode().splitlines(), [file.read_bytes() for file in files]


async def test_nginx_lets_nobody_wait_for_another(tmp_path: Path) -> None:
    """Who waits for the same playlist is answered with the others, who comes later from memory."""
    async with standing("nginx", tmp_path) as site:
        hint = HINT.search(await on_air(site))
        assert hint is not None
        waited = f"/hls/demo/stream.m3u8?_HLS_msn={int(hint['msn']) + 1}&_HLS_part=5"
        route = "/hls/{room}/stream.m3u8"
        before = await site.answered(route)

        async def ask() -> int:
            status, _, told = await site.curl(waited)
            assert f"{hint['of']}{int(hint['msn']) + 1}.5.m4s" in told
            return status

        assert set(await asyncio.gather(*(ask() for _ in range(5)))) == {200}
        assert await site.answered(route) - before == 5
        assert await ask() == 200
        assert await site.answered(route) - before == 5
        token = await shown(site)
        refused, _, _ = await site.curl(f"{waited}&token=x", *token)
        assert refused == 403  # and not what is kept for others


@BOTH
async def test_smuggling(kind: str, tmp_path: Path) -> None:
    """What contradicts itself does not get a second request past the proxy."""
    inner = b"DELETE /api/rooms/demo HTTP/1.1\r\nHost: localhost\r\n\r\n"
    tails = (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
        b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nXXXXX" + inner,
    )
    async with standing(kind, tmp_path) as site:
        await site.program.new_room(roomId="demo")
        for tail in tails:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", site.front.port, ssl=site.front.tls, server_hostname="127.0.0.1"
            )
            head = f"POST /api/session HTTP/1.1\r\nHost: 127.0.0.1:{site.front.port}\r\n"
            head += f"Authorization: Bearer {site.program.admin_key}\r\n"
            writer.write(head.encode() + tail)
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(3):
                    await reader.read()
            writer.transport.abort()
        status, rooms = await site.program.call("GET", "/api/rooms")
        assert (status, rooms["count"]) == (200, 1)
