"""The addresses a client may reach us at."""

import ipaddress
import socket

import pytest

from mixer.rtc import addresses
from mixer.rtc.addresses import detect_addresses


def test_a_bound_address_is_the_only_one() -> None:
    """Who chose an address gets that one."""
    assert detect_addresses("192.0.2.7") == ("192.0.2.7",)


def test_loopback_comes_last_and_once() -> None:
    """It is of use to a browser on this machine alone."""
    found = detect_addresses("")
    assert found[-1] == "127.0.0.1"
    assert len(set(found)) == len(found)
    assert not any(ipaddress.ip_address(text).is_link_local for text in found)


def lookup(*found: str) -> object:
    return lambda *_arguments: [(0, 0, 0, "", (text, 0)) for text in found]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", {"198.51.100.4", "2001:db8::4", "127.0.0.1"}),
        ("::", {"198.51.100.4", "2001:db8::4", "127.0.0.1"}),
        ("0.0.0.0", {"198.51.100.4", "127.0.0.1"}),
    ],
)
def test_only_what_the_socket_hears_is_named(
    host: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket for IPv4 alone has no IPv6 address; link-local and loopback are no use to others."""
    monkeypatch.setattr(addresses, "_PROBES", ())
    names = ("198.51.100.4", "2001:db8::4", "fe80::1%eth0", "127.0.1.1", "::1", "198.51.100.4")
    monkeypatch.setattr(socket, "getaddrinfo", lookup(*names))
    assert set(detect_addresses(host)) == expected


def test_a_machine_without_a_network_has_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that fails here may keep the server from starting."""

    def fail(*_arguments: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(addresses, "_PROBES", ())
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert detect_addresses("") == ("127.0.0.1",)
