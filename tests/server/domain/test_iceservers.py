"""ICE servers: URLs, and the credentials relays check by themselves."""

import base64
import hashlib
import hmac

import pytest

from server.domain.iceservers import IceServer, for_client, is_ice_url

STUN, TURN, TURNS = "stun:stun.example.org", "turn:t.example.org:3478?transport=udp", "turns:[::1]"


@pytest.mark.parametrize("url", [STUN, TURN, TURNS, "stuns:s:5349", "turn:192.0.2.1"])
def test_urls(url: str) -> None:
    """Those of RFC 7064 and RFC 7065."""
    assert is_ice_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "stun:", "http://x", "turn://x", "turn:a b", "turn:x:0", "turn:x:70000"),
        *("stun:x?transport=udp", "turn:x?transport=tls", "turn:user@x", 'turn:x>; rel="y"'),
        *("turn:x\r\nSet-Cookie: a", "turn:-x", "turn:x\n"),
    ],
)
def test_no_urls(url: str) -> None:
    """Whatever else would stand in a header or a browser's list."""
    assert not is_ice_url(url)


def test_credentials_are_the_conventions() -> None:
    """The user name is the end and the client, the password its HMAC-SHA1 in Base64."""
    stun, turn = for_client((STUN, TURN, TURNS), "secret", "ada", 1_700_000_600)
    assert stun == IceServer((STUN,))
    assert turn.username == "1700000600:ada"
    expected = hmac.new(b"secret", turn.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(turn.credential) == expected
    assert turn.entry() == {
        "urls": [TURN, TURNS],
        "username": turn.username,
        "credential": turn.credential,
    }
    assert stun.entry() == {"urls": [STUN]}


def test_only_what_there_is() -> None:
    """Without servers nothing is given out, without relays no credentials."""
    assert for_client((), "", "ada", 1) == ()
    assert for_client((STUN,), "", "ada", 1) == (IceServer((STUN,)),)
    assert [one.urls for one in for_client((TURN,), "s", "ada", 1)] == [(TURN,)]


def test_link_headers() -> None:
    """One for each URL, as RFC 9725 has them."""
    assert IceServer((STUN,)).links() == [f'<{STUN}>; rel="ice-server"']
    assert IceServer((TURN, TURNS), "1:a", "b=").links()[1] == (
        f'<{TURNS}>; rel="ice-server"; username="1:a"; credential="b="; credential-type="password"'
    )
