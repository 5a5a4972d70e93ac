"""Which addresses this server may be made to call: public ones, and those of allowed networks."""

import ipaddress
from typing import Final

# Addresses that hold an IPv4 address, which may be any: NAT64 (RFC 6052), 6to4, Teredo.
_CARRIERS: Final = tuple(
    ipaddress.ip_network(one) for one in ("64:ff9b::/96", "2002::/16", "2001::/32")
)


class Reach:
    """`networks` (CIDR) are allowed although they are private."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = tuple(ipaddress.ip_network(one) for one in networks)

    def is_named(self, text: str) -> bool:
        """Whether an IP address is of an allowed network. Raises ValueError if it is none."""
        address = _address(text)
        return any(address in network for network in self._networks)

    def allows(self, text: str) -> bool:
        """Whether an IP address may be called. Raises ValueError if it is none."""
        address = _address(text)
        is_public = address.is_global and not address.is_multicast
        if is_public and not any(address in one for one in _CARRIERS):
            return True
        return self.is_named(text)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
