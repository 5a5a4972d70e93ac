"""What proxies say of the caller behind them, believed only as far as they are trusted; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.domain.address import Network, is_within, parse_address

MOST_HOPS: Final = 32
MOST_TEXT: Final = 8192  # the largest header; several make no longer list

_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
# One pair of an element of `Forwarded` (RFC 7239 §4), and what ends the element.
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*(;|,|$)')
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\S*)?|([\d.]+):\d+")


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy says of whoever asked it; empty where it says nothing."""

    address: str = ""
    scheme: str = ""
    host: str = ""


def read_forwarded(headers: Sequence[str]) -> list[Hop]:
    """Read `Forwarded` (RFC 7239), the nearest hop last; what is malformed hides all before it."""
    hops: list[Hop] = []
    text, at, pairs = ",".join(headers), 0, dict[str, str]()
    if len(text) > MOST_TEXT:
        return [Hop()]
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            following = text.find(",", at)
            hops, pairs = [Hop()], {}
            at = len(text) if following < 0 else following + 1
            continue
        name, quoted, token, end = found.groups()
        pairs[name.lower()] = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if end != ";":
            hops.append(_hop(pairs.get("for", ""), pairs.get("proto", ""), pairs.get("host", "")))
            pairs = {}
        at = found.end()
    return hops[-MOST_HOPS:]


def read_x_forwarded(
    addresses: Sequence[str], schemes: Sequence[str], hosts: Sequence[str]
) -> list[Hop]:
    """Read `X-Forwarded-For`, `-Proto` and `-Host`, the nearest hop last.

    The nearest proxy's word on scheme and host counts for every hop: lists of them are rare, and
    what stands further left may be the caller's own.
    """
    scheme, host = _last(schemes), _last(hosts)
    return [_hop(one, scheme, host) for one in ",".join(addresses).split(",")][-MOST_HOPS:]


def behind(peer: str, hops: Sequence[Hop], trusted: tuple[Network, ...]) -> Hop:
    """Return who called: the right-most address that is not one of the trusted proxies'.

    `peer` is the other end of the connection. A hop that names no address (`unknown`, `_hidden`,
    nonsense) ends the chain: the caller is then the proxy that wrote it.
    """
    caller = Hop(peer)
    for hop in reversed(hops):
        address = parse_address(caller.address)
        if address is None or not is_within(address, trusted):
            break
        if not hop.address:
            return Hop(caller.address, hop.scheme or caller.scheme, hop.host or caller.host)
        caller = Hop(hop.address, hop.scheme or caller.scheme, hop.host or caller.host)
    return caller


def is_host(text: str) -> bool:
    """Whether the text can be a Host header: a name or an address, and perhaps a port."""
    return _HOST.fullmatch(text) is not None


def _hop(node: str, scheme: str, host: str) -> Hop:
    node = node.strip()
    found = _WITH_PORT.fullmatch(node)
    address = parse_address((found[1] or found[2]) if found else node)
    scheme = scheme.strip().lower()
    return Hop(
        "" if address is None else str(address),
        scheme if scheme in {"http", "https"} else "",
        host.strip() if is_host(host.strip()) else "",
    )


def _last(headers: Sequence[str]) -> str:
    return ",".join(headers).rpartition(",")[2]
