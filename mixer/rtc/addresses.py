"""The addresses a client may reach us at. Nothing here asks a name server, so nothing waits."""

import contextlib
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterable, Iterator

MAX_ADDRESSES = 8  # beside loopback: a client checks each, and a host of containers has hundreds

_PROBES = (
    # Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, it only
    # asks the kernel which of our addresses it would use.
    (socket.AF_INET, "192.0.2.1"),
    (socket.AF_INET6, "2001:db8::1"),
)

_ANY_4 = str(ipaddress.IPv4Address(0))

# rtnetlink(7): linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
_GET_ADDRESSES, _NEW_ADDRESS, _DONE = 22, 20, 3
_REQUEST_DUMP = 0x301
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
# Not (yet, or any more) to be used: duplicate address detection failed or runs, deprecated.
_UNUSABLE_FLAGS = 0x08 | 0x20 | 0x40
_MAX_REPLIES = 256  # datagrams of the kernel's list, each some dozens of addresses


def detect_addresses(host: str) -> tuple[str, ...]:
    """Return the addresses to name in candidates when bound to `host` ("" = all of them).

    Public ones come first, then those the machine would send from, then the others of its
    interfaces. Loopback comes last: it serves a browser on the same machine and is useless to
    anybody else.
    """
    if host and not ipaddress.ip_address(host).is_unspecified:
        return (host,)
    takes_6 = host != _ANY_4 and socket.has_dualstack_ipv6()
    found = dict.fromkeys((*_probed(), *_listed()))
    usable = [text for text in found if _is_usable(text) and (takes_6 or ":" not in text)]
    usable.sort(key=lambda text: not ipaddress.ip_address(text).is_global)  # stable
    return (*usable[:MAX_ADDRESSES], "127.0.0.1")


def _probed() -> Iterator[str]:
    for family, probe in _PROBES:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((probe, 9))
            yield sock.getsockname()[0]


def _listed() -> list[str]:
    """Return the addresses of the machine's interfaces, where the kernel tells them (Linux)."""
    if sys.platform != "linux":
        return []
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock,
    ):
        sock.settimeout(0.5)  # the kernel answers at once
        body = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        size = _HEADER.size + len(body)
        sock.send(_HEADER.pack(size, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0) + body)
        return list(_read_list(sock.recv(65_536) for _ in range(_MAX_REPLIES)))
    return []


def _read_list(replies: Iterable[bytes]) -> Iterator[str]:
    """Yield the addresses of a netlink dump until it says that it is done, or anything else."""
    for reply in replies:
        at = 0
        while at + _HEADER.size <= len(reply):
            length, kind, *_ = _HEADER.unpack_from(reply, at)
            if kind != _NEW_ADDRESS or length < _HEADER.size + _ADDRESS.size:
                return
            yield from _read_address(reply[at + _HEADER.size : at + length])
            at += length + -length % 4


def _read_address(body: bytes) -> Iterator[str]:
    family, _, flags, _, _ = _ADDRESS.unpack_from(body)
    attributes = dict(_read_attributes(body[_ADDRESS.size :]))
    if (wide := attributes.get(_IFA_FLAGS, b"")) and len(wide) == 4:
        flags = int.from_bytes(wide, sys.byteorder)
    # On a point-to-point interface IFA_ADDRESS is the other end's.
    packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS, b"")
    if not flags & _UNUSABLE_FLAGS and len(packed) == {socket.AF_INET: 4}.get(family, 16):
        yield str(ipaddress.ip_address(packed))


def _read_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4


def _is_usable(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)
