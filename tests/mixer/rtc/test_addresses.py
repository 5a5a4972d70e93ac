"""The addresses a client may reach us at."""

import ipaddress
import socket
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.rtc import addresses
from mixer.rtc.addresses import MAX_ADDRESSES, _listed, _read_list, detect_addresses


def refuse(*_arguments: object, **_more: object) -> None:
    raise AssertionError("this asks a name server, which may take minutes")


@pytest.fixture(autouse=True)
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here may resolve a name."""
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getfqdn"):
        monkeypatch.setattr(socket, name, refuse)


def test_a_bound_address_is_the_only_one() -> None:
    """Who chose an address gets that one."""
    assert detect_addresses("192.0.2.7") == ("192.0.2.7",)
    assert detect_addresses("::1") == ("::1",)


def test_loopback_comes_last_and_once() -> None:
    """It is of use to a browser on this machine alone."""
    found = detect_addresses("")
    assert found[-1] == "127.0.0.1"
    assert len(set(found)) == len(found)
    assert not any(ipaddress.ip_address(text).is_link_local for text in found)


def test_the_kernel_lists_its_addresses() -> None:
    """Loopback at least: every machine has it."""
    assert "127.0.0.1" in _listed()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", ("8.8.4.4", "2600::4", "10.1.2.3", "fd00::4", "127.0.0.1")),
        ("::", ("8.8.4.4", "2600::4", "10.1.2.3", "fd00::4", "127.0.0.1")),
        ("0.0.0.0", ("8.8.4.4", "10.1.2.3", "127.0.0.1")),
    ],
)
def test_only_what_the_socket_hears_is_named(
    host: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public ones first; a socket for IPv4 has no IPv6; link-local and loopback are no use."""
    names = ["8.8.4.4", "fd00::4", "fe80::1%eth0", "127.0.1.1", "::1", "2600::4", "x", "10.1.2.3"]
    monkeypatch.setattr(addresses, "_probed", lambda: iter(["10.1.2.3"]))
    monkeypatch.setattr(addresses, "_listed", lambda: names)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    assert detect_addresses(host) == expected
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    assert detect_addresses(host) == ("8.8.4.4", "10.1.2.3", "127.0.0.1")


def test_a_host_of_containers_names_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client would check every one of hundreds."""
    monkeypatch.setattr(addresses, "_listed", lambda: [f"172.17.{n}.1" for n in range(200)])
    assert len(detect_addresses("")) == MAX_ADDRESSES + 1


def test_a_machine_without_a_network_has_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that fails here may keep the server from starting."""

    def fail(*_arguments: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(addresses, "_PROBES", ())
    monkeypatch.setattr(socket, "socket", fail)
    assert detect_addresses("0.0.0.0") == ("127.0.0.1",)
    monkeypatch.setattr(sys, "platform", "plan9")
    assert _listed() == []


def message(family: int, flags: int, *attributes: tuple[int, bytes], kind: int = 20) -> bytes:
    body = struct.pack("=BBBBI", family, 24, flags & 0xFF, 0, 1)
    for number, data in attributes:
        body += struct.pack("=HH", 4 + len(data), number) + data + b"\0" * (-len(data) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


FOUR, SIX = socket.inet_aton("192.0.2.4"), socket.inet_pton(socket.AF_INET6, "2001:db8::6")
DONE = message(0, 0, kind=3)


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([message(2, 0, (1, FOUR)) + message(10, 0, (1, SIX)), DONE], ["192.0.2.4", "2001:db8::6"]),
        ([message(2, 0, (1, b"\xc0\0\2\1"), (3, b"ppp0\0"), (2, FOUR)), DONE], ["192.0.2.4"]),
        ([message(10, 0x20, (1, SIX)), message(10, 0, (1, SIX), (8, b"\x40\0\0\0")), DONE], []),
        ([message(10, 0x20, (1, SIX), (8, b"\0\2\0\0")), DONE], ["2001:db8::6"]),
        ([DONE, message(2, 0, (1, FOUR))], []),
        ([message(2, 0, (1, SIX)), message(2, 0), b"short", DONE], []),
    ],
)
def test_the_kernels_list_is_read(replies: list[bytes], expected: list[str]) -> None:
    """The local end of each usable address; tentative, failed and deprecated ones left out."""
    assert list(_read_list(replies)) == expected


@given(st.lists(st.binary(max_size=120), max_size=4))
def test_any_list_is_read(bodies: list[bytes]) -> None:
    """Whatever stands there gives addresses or nothing."""
    replies = [struct.pack("=IHHII", 16 + len(b), 20, 0, 1, 0) + b for b in bodies]
    for text in _read_list(replies):
        ipaddress.ip_address(text)
