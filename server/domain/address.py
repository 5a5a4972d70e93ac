"""Addresses of callers: what counts as one of them, and which networks hold it; pure."""

import ipaddress
from functools import lru_cache
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# What one subscriber is given at least (RFC 6177): they can send from any address of it.
IPV6_PREFIX: Final = 64


def parse_address(text: str) -> Address | None:
    """Read an address; one of IPv4 in the clothes of IPv6 (RFC 4291 §2.5.5.2) is one of IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(4096)  # asked for each request, and ipaddress takes its time
def one_caller(text: str) -> str:
    """Return what limits count as one caller: an IPv4 address, a /64 of IPv6, else the text."""
    address = parse_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return text if address is None else str(address)


def is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address in network for network in networks)
