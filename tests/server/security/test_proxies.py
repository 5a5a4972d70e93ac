"""What proxies say, and what callers would like them to say."""

import pytest

from tests.server.security.conftest import Open

TRUSTED: dict[str, object] = {"trusted_proxy": "127.0.0.0/8"}
ROOM = {"roomId": "demo", "pin": ""}


async def test_address_in_the_log(open_port: Open, capsys: pytest.CaptureFixture[str]) -> None:
    """The log has the caller behind a trusted proxy, not what the caller made up."""
    port = await open_port(**TRUSTED)
    await port.ask("/nothing", X_Forwarded_For="6.6.6.6, 192.0.2.9")
    logged = capsys.readouterr().out
    assert "address=192.0.2.9" in logged
    assert "6.6.6.6" not in logged


async def test_strangers_are_not_believed(
    open_port: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the setting the headers change nothing, and the log says once what may be meant."""
    port = await open_port(limit_requests=3)
    for tail in range(3):
        answer = await port.ask("/", X_Forwarded_For=f"192.0.2.{tail}", X_Forwarded_Proto="https")
        assert answer.status == 200
    assert (await port.ask("/", X_Forwarded_For="192.0.2.9")).status == 429
    logged = capsys.readouterr().out
    assert logged.count("proxy_not_trusted") == 1
    assert "address=192.0.2" not in logged


async def test_a_list_of_lies(open_port: Open) -> None:
    """Who writes a new address to the left each time stays one caller."""
    port = await open_port(limit_requests=3, **TRUSTED)
    codes = [
        (await port.ask("/", X_Forwarded_For=f"10.1.1.{tail}, 192.0.2.9")).status
        for tail in range(4)
    ]
    assert codes == [200, 200, 200, 429]


async def test_the_other_header(open_port: Open) -> None:
    """`Forwarded` is the caller's own where the setting does not name it, and the other way."""
    port = await open_port(limit_requests=1, **TRUSTED)
    lies = {"Forwarded": "for=198.51.100.7"}
    assert (await port.ask("/", X_Forwarded_For="192.0.2.9", **lies)).status == 200
    lies = {"Forwarded": "for=198.51.100.8"}
    assert (await port.ask("/", X_Forwarded_For="192.0.2.9", **lies)).status == 429


async def test_forwarded(open_port: Open, capsys: pytest.CaptureFixture[str]) -> None:
    """With the setting, RFC 7239 is read: address, scheme and host."""
    port = await open_port(
        proxy_header="forwarded", public_url="https://audio.example.org", **TRUSTED
    )
    forwarded = 'for="[2001:db8::7]:4711";proto=https;host=audio.example.org'
    answer = await port.ask(
        "/api/session",
        "POST",
        {"secret": port.node.keyring.admin_key},
        Forwarded=f"for=6.6.6.6, {forwarded}",
        X_Forwarded_For="7.7.7.7",
        Origin="https://audio.example.org",
    )
    assert answer.status == 200
    assert "address=2001:db8::7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("scheme", "url"), [("https", "https:"), ("http", "http:"), ("x", "http:")]
)
async def test_links(open_port: Open, scheme: str, url: str) -> None:
    """Links are what people typed: the proxy's scheme and host, where they can be such."""
    port = await open_port(allow_host="audio.example.org", **TRUSTED)
    said = {"X_Forwarded_Proto": scheme, "X_Forwarded_Host": "audio.example.org"}
    answer = await port.ask("/api/rooms", "POST", ROOM, **port.admin, **said)
    assert answer.json["room"]["links"]["join"].startswith(f"{url}//audio.example.org/join/demo")


async def test_secure_cookie(open_port: Open) -> None:
    """A cookie given through a proxy with TLS is sent by HTTPS alone."""
    port = await open_port(**TRUSTED)
    secret = {"secret": port.node.keyring.admin_key}
    secure = await port.ask("/api/session", "POST", secret, X_Forwarded_Proto="https")
    plain = await port.ask("/api/session", "POST", secret)
    assert "Secure" in secure.headers["Set-Cookie"]
    assert "Secure" not in plain.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "host", ["evil.example", "audio.example.org/x", "a b", "audio.example.org, evil.example"]
)
async def test_forwarded_hosts(open_port: Open, host: str) -> None:
    """A host that a caller slipped past the proxy is held against ours, or not read at all."""
    port = await open_port(allow_host="audio.example.org", **TRUSTED)
    answer = await port.ask("/api/rooms", "POST", ROOM, **port.admin, X_Forwarded_Host=host)
    assert answer.status == 421 or "evil" not in str(answer.json)


@pytest.mark.parametrize("value", ["", ",,,,", "unknown", "::::", "1.2.3.4:99", "a" * 8000, "\xff"])
async def test_nonsense(open_port: Open, value: str) -> None:
    """Whatever stands in the headers, requests are answered."""
    port = await open_port(**TRUSTED)
    headers = {"X_Forwarded_For": value, "X_Forwarded_Proto": value, "Forwarded": value}
    assert (await port.ask("/health", **headers)).status == 200
