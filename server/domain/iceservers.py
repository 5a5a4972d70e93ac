"""ICE servers clients are told of: their URLs (RFC 7064, RFC 7065), and credentials that end."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# No user part, no path: what stands in a Link header and in a browser's list unchanged.
_URL: Final = re.compile(
    r"(?P<scheme>stuns?|turns?):"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<query>\?transport=(?:udp|tcp))?"
)
MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class IceServer:
    """URLs that share credentials, empty where there are none."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""

    def entry(self) -> dict[str, object]:
        """Return it as browsers take it, an RTCIceServer."""
        entry: dict[str, object] = {"urls": list(self.urls)}
        if self.username:
            entry |= {"username": self.username, "credential": self.credential}
        return entry

    def links(self) -> list[str]:
        """Return the values of its `Link` headers (RFC 9725 §4.6), one for each URL."""
        shown = (
            f'; username="{self.username}"; credential="{self.credential}"'
            '; credential-type="password"'
            if self.username
            else ""
        )
        return [f'<{url}>; rel="ice-server"{shown}' for url in self.urls]


def is_ice_url(text: str) -> bool:
    """Whether it is the URL of a STUN or TURN server."""
    found = _URL.fullmatch(text)
    if found is None or not 0 < int(found["port"] or 1) <= MAX_PORT:
        return False
    return is_turn(text) or found["query"] is None


def is_turn(url: str) -> bool:
    """Whether it is a relay, which wants credentials."""
    return url.startswith("turn")


def for_client(
    urls: Sequence[str], secret: str, client: str, expires_at: int
) -> tuple[IceServer, ...]:
    """Return the servers for one client, with credentials good until `expires_at` (Unix s).

    The relays' are those of the TURN REST convention, which a relay checks with the same secret
    and without asking us: the user name is the end and the client, the password its HMAC-SHA1.
    """
    stun = tuple(url for url in urls if not is_turn(url))
    turn = tuple(url for url in urls if is_turn(url))
    servers = [IceServer(stun)] if stun else []
    if turn:
        username = f"{expires_at}:{client}"
        mac = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
        servers.append(IceServer(turn, username, base64.b64encode(mac).decode("ascii")))
    return tuple(servers)
