"""The addresses a client may reach us at."""

import contextlib
import ipaddress
import socket

_PROBES = (
    # Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, it only
    # asks the kernel which of our addresses it would use.
    (socket.AF_INET, "192.0.2.1"),
    (socket.AF_INET6, "2001:db8::1"),
)

_ANY_4 = str(ipaddress.IPv4Address(0))


def detect_addresses(host: str) -> tuple[str, ...]:
    """Return the addresses to name in candidates when bound to `host` ("" = all of them).

    Loopback comes last: it serves a browser on the same machine and is useless to anybody else.
    """
    if host and not ipaddress.ip_address(host).is_unspecified:
        return (host,)
    found: list[str] = []
    for family, probe in _PROBES:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((probe, 9))
            found.append(sock.getsockname()[0])
    with contextlib.suppress(OSError):
        found += [
            info[4][0]
            for info in socket.getaddrinfo(socket.gethostname(), None)
            if isinstance(info[4][0], str)
        ]
    usable = [text for text in found if _is_usable(text) and not (host == _ANY_4 and ":" in text)]
    return (*dict.fromkeys(usable), "127.0.0.1")


def _is_usable(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)
