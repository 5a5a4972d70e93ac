"""Pages of other sites, and names that point here without our doing."""

import aiohttp
import pytest

from tests.server.security.conftest import Open, Port

EVIL = "https://evil.example"
FRIEND = "https://friend.example"


async def admin_cookie(port: Port) -> dict[str, str]:
    answer = await port.ask("/api/session", "POST", {"secret": port.node.keyring.admin_key})
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    return {"Cookie": cookie.partition(";")[0]}


FOREIGN = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": ""},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_forged_requests(port: Port, headers: dict[str, str]) -> None:
    """A page of another site changes nothing with the admin's cookie, nor without."""
    cookie = await admin_cookie(port)
    for shown in (cookie, {}, port.admin):
        for method, path in (
            ("POST", "/api/rooms"),
            ("DELETE", "/api/session"),
            ("DELETE", "/api/rooms/demo"),
        ):
            answer = await port.ask(path, method, {}, **shown, **headers)
            assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert (await port.ask("/api/rooms", **port.admin)).json["count"] == 0


async def test_own_page(port: Port) -> None:
    """Our own page may, by whatever name of this machine it was opened."""
    cookie = await admin_cookie(port)
    for host in (f"127.0.0.1:{port.number}", f"localhost:{port.number}", f"[::1]:{port.number}"):
        headers = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
        answer = await port.ask("/api/rooms", "POST", {}, **cookie, **headers)
        assert answer.status == 201


async def test_reading_with_a_cookie(port: Port) -> None:
    """A page of another site reads nothing with the admin's cookie either."""
    cookie = await admin_cookie(port)
    answer = await port.ask("/api/rooms", **cookie, Origin=EVIL)
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_plain_page_of_a_secure_server(open_port: Open) -> None:
    """A page that came by plain HTTP is not ours where people come by HTTPS."""
    port = await open_port(public_url="https://audio.example.org")
    cookie = await admin_cookie(port)
    host = {"Host": "audio.example.org"}
    plain = {"Origin": "http://audio.example.org"}
    secure = {"Origin": "https://audio.example.org"}
    assert (await port.ask("/api/rooms", "POST", {}, **cookie, **host, **plain)).status == 403
    assert (await port.ask("/api/rooms", "POST", {}, **cookie, **host, **secure)).status == 201


async def test_foreign_sockets(open_port: Open, http: aiohttp.ClientSession) -> None:
    """A page of another site opens no socket, not even with a token, unless it is allowed."""
    port = await open_port(allow_origin=FRIEND)
    await port.new_room()
    url = f"{port.url}/ws?token={await port.join_token()}"
    for refused in (EVIL, "null", f"{FRIEND}.evil.example", f"{FRIEND}:8443"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(url, origin=refused)
    allowed: list[str | None] = [FRIEND, port.url, None]
    for origin in allowed:
        async with http.ws_connect(url, origin=origin):
            pass


async def test_allowed_origin(open_port: Open) -> None:
    """A page of an allowed origin calls the API with a token; the cookie does not count there."""
    port = await open_port(allow_origin=f"{FRIEND},https://other.example")
    cookie = await admin_cookie(port)
    asked = {"Access_Control_Request_Method": "POST", "Origin": FRIEND}
    may = await port.ask("/api/rooms", "OPTIONS", **asked)
    assert (may.status, may.headers["Access-Control-Allow-Origin"]) == (204, FRIEND)
    assert "Authorization" in may.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in may.headers
    done = await port.ask("/api/rooms", "POST", {}, **port.admin, Origin=FRIEND)
    assert (done.status, done.headers["Access-Control-Allow-Origin"]) == (201, FRIEND)
    assert done.headers["Vary"] == "Origin"
    with_cookie = await port.ask("/api/rooms", "POST", {}, **cookie, Origin=FRIEND)
    assert with_cookie.status in {401, 403}
    may_not = await port.ask("/api/rooms", "OPTIONS", **asked | {"Origin": EVIL})
    assert "Access-Control-Allow-Origin" not in may_not.headers


async def test_no_sharing_by_default(port: Port) -> None:
    """By default no other site reads the API, and any may play a stream."""
    asked = {"Access_Control_Request_Method": "GET", "Origin": EVIL}
    api = await port.ask("/api/rooms", "OPTIONS", **asked)
    hls = await port.ask("/hls/demo/stream.m3u8", "OPTIONS", **asked)
    assert "Access-Control-Allow-Origin" not in api.headers
    assert hls.headers["Access-Control-Allow-Origin"] == "*"


async def test_players_of_one_site(open_port: Open) -> None:
    """Playing can be left to the pages of some origins; caches are told to keep them apart."""
    port = await open_port(hls_origin=FRIEND)
    friend = await port.ask("/hls/demo/stream.m3u8", Origin=FRIEND)
    evil = await port.ask("/hls/demo/stream.m3u8", Origin=EVIL)
    assert friend.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "Access-Control-Allow-Origin" not in evil.headers
    assert friend.headers["Vary"] == evil.headers["Vary"] == "Origin"


REBOUND = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"]


@pytest.mark.parametrize("host", [*REBOUND, "10.0.0.1", "a b", "a/b", "", "x@localhost", "[::2]"])
async def test_rebound_names(port: Port, host: str) -> None:
    """On loopback a name that is none of this machine's is refused, whatever is asked for."""
    for path in ("/", "/api/session", "/ws", "/hls/demo/stream.m3u8", "/metrics", "/health"):
        answer = await port.ask(path, Host=host, Origin=f"http://{host}")
        assert (answer.status, answer.json["code"]) == (421, "wrong_host")


async def test_own_names(open_port: Open) -> None:
    """Names of this machine, of the public address and of the setting are ours."""
    port = await open_port(public_url="https://audio.example.org", allow_host="box.lan,10.0.0.5")
    ours = ["localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:8080", "audio.example.org"]
    for host in [*ours, "AUDIO.example.org:443", "box.lan:8080", "10.0.0.5"]:
        assert (await port.ask("/health", Host=host)).status == 200, host


async def test_names_off_loopback(open_port: Open) -> None:
    """Where others reach the port any name will do, until the setting names those that are ours."""
    port = await open_port(host="0.0.0.0")
    assert (await port.ask("/health", Host="whatever.example")).status == 200


async def test_names_off_loopback_by_setting(open_port: Open) -> None:
    """The setting holds off loopback too."""
    port = await open_port(host="0.0.0.0", allow_host="audio.example.org")
    assert (await port.ask("/health", Host="audio.example.org")).status == 200
    assert (await port.ask("/health", Host="whatever.example")).status == 421


async def test_absolute_target(port: Port) -> None:
    """A target with a host of its own does not get around the check of the Host header."""
    for target, host in (("evil.example", "evil.example"), ("evil.example", "localhost")):
        answer = await port.ask(f"http://{target}/health", Host=host)
        assert answer.status in {400, 421}
    assert (await port.ask("http://localhost/health", Host="localhost")).status == 200
