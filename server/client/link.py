"""What people are sent: links to join or listen, and addresses that hold a token."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from server.client.errors import ClientError, Exit

_PLACES: Final = (
    re.compile(r"/(?P<kind>join|listen)/(?P<room>[\w-]+)/?"),
    re.compile(r"/(?P<kind>hls)/(?P<room>[\w-]+)/stream\.m3u8"),
    re.compile(r"/(?P<kind>ws)"),
)
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Link:
    """A server, and there a room with an invite or a token; `room` is empty beside a join token."""

    base: str
    room: str = ""
    invite: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Link({self.base}, {self.room})"  # never the secrets


def read_link(text: str) -> Link:
    """Read a link. Raises ClientError.

    `…/join/<room>#invite=…`, `…/listen/<room>#invite=…`, `…/hls/<room>/stream.m3u8?token=…` or
    `…/ws?token=…`.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise _no_link(text) from None
    scheme, host = _SCHEMES.get(parts.scheme), parts.netloc
    if scheme is None or not host:
        raise _no_link(text)
    for place in _PLACES:
        found = place.fullmatch(parts.path)
        if found is not None:
            shown = {**parse_qs(parts.query), **parse_qs(parts.fragment)}
            return Link(
                base=f"{scheme}://{host}",
                room=found.groupdict().get("room") or "",
                invite=shown.get("invite", [""])[0],
                token=shown.get("token", [""])[0],
            )
    raise _no_link(text)


def _no_link(text: str) -> ClientError:
    shown = text.partition("#")[0].partition("?")[0]  # the rest may be a secret
    return ClientError(
        f"{shown!r} is no link to a room: it looks like https://…/join/<room>#invite=…"
        " (`roomtone room show` prints both links of a room)",
        Exit.MISTAKE,
    )
