"""Addresses of callers."""

import ipaddress

import pytest

from server.domain.address import is_within, one_caller, parse_address


@pytest.mark.parametrize(
    ("text", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_one_caller(text: str, caller: str) -> None:
    """An IPv4 address is one caller however it is written, of IPv6 a /64 is."""
    assert one_caller(text) == caller


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "[::1]", "::1/64", "unknown"])
def test_no_address(text: str) -> None:
    """What is no address is none."""
    assert parse_address(text) is None


def test_within() -> None:
    """Networks of either kind hold addresses of their own kind."""
    networks = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    inside = ["10.1.2.3", "fd12::1", "::ffff:10.0.0.1"]
    outside = ["11.0.0.1", "fe80::1"]
    for text, expected in [(one, True) for one in inside] + [(one, False) for one in outside]:
        address = parse_address(text)
        assert address is not None
        assert is_within(address, networks) is expected
