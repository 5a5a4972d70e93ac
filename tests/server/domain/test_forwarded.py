"""What proxies say, and how far it is believed."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.forwarded import (
    MOST_HOPS,
    Hop,
    behind,
    is_host,
    read_forwarded,
    read_x_forwarded,
)

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("headers", "hops"),
    [
        (["for=192.0.2.60;proto=http;by=203.0.113.43"], [Hop("192.0.2.60", "http")]),
        (['For="[2001:db8:cafe::17]:4711"'], [Hop("2001:db8:cafe::17")]),
        (["for=192.0.2.43, for=198.51.100.17"], [Hop("192.0.2.43"), Hop("198.51.100.17")]),
        (["for=192.0.2.43", "for=198.51.100.17"], [Hop("192.0.2.43"), Hop("198.51.100.17")]),
        (['for="_gazonk"'], [Hop()]),
        (["for=unknown;proto=https"], [Hop("", "https")]),
        (["for=192.0.2.1:80;host=a.example"], [Hop("192.0.2.1", "", "a.example")]),
        (['for=192.0.2.1;host="a b"'], [Hop("192.0.2.1")]),
        (["for=192.0.2.1;proto=gopher"], [Hop("192.0.2.1")]),
        (['for="192.0.\\2.1"'], [Hop("192.0.2.1")]),
        (["for=192.0.2.1, (((, for=192.0.2.3"], [Hop(), Hop("192.0.2.3")]),
        (['for=192.0.2.1, for="192.0.2.2'], [Hop()]),
        ([], []),
        ([""], []),
    ],
)
def test_forwarded(headers: list[str], hops: list[Hop]) -> None:
    """`Forwarded` is read as RFC 7239 has it; what is malformed hides all that stands before."""
    assert read_forwarded(headers) == hops


def test_x_forwarded() -> None:
    """Addresses make a chain; scheme and host are the nearest proxy's word."""
    hops = read_x_forwarded(["1.1.1.1, 2.2.2.2", "3.3.3.3"], ["http, https"], ["x, a.example:8443"])
    assert [hop.address for hop in hops] == ["1.1.1.1", "2.2.2.2", "3.3.3.3"]
    assert {(hop.scheme, hop.host) for hop in hops} == {("https", "a.example:8443")}


@pytest.mark.parametrize(
    ("peer", "chain", "caller"),
    [
        ("198.51.100.9", "1.2.3.4", "198.51.100.9"),  # whoever is no proxy is believed nothing
        (PROXY, "198.51.100.9", "198.51.100.9"),
        (PROXY, "6.6.6.6, 198.51.100.9", "198.51.100.9"),  # the left is the caller's own word
        (PROXY, "198.51.100.9, 10.9.9.9", "198.51.100.9"),
        (PROXY, "10.1.1.1, 10.2.2.2", "10.1.1.1"),  # all of them trusted: the first
        (PROXY, "198.51.100.9, nonsense", PROXY),
        (PROXY, "198.51.100.9, nonsense, 10.2.2.2", "10.2.2.2"),
        (PROXY, "", PROXY),
        ("", "1.2.3.4", ""),
        ("::1", "2001:db8::5", "2001:db8::5"),
    ],
)
def test_behind(peer: str, chain: str, caller: str) -> None:
    """The caller is the right-most address that is not a trusted proxy's."""
    assert behind(peer, read_x_forwarded([chain], [], []), TRUSTED).address == caller


def test_scheme_and_host() -> None:
    """Scheme and host come from the hop that names the caller, also where it hides the address."""
    hops = read_forwarded(["for=unknown;proto=https;host=a.example"])
    assert behind(PROXY, hops, TRUSTED) == Hop(PROXY, "https", "a.example")
    outer = "for=6.6.6.6;host=evil, for=198.51.100.9;proto=https;host=a.example, for=10.0.0.2"
    assert behind(PROXY, read_forwarded([outer]), TRUSTED) == Hop(
        "198.51.100.9", "https", "a.example"
    )


@pytest.mark.parametrize("text", ["a.example", "a:80", "127.0.0.1:8080", "[::1]:80", "x_y-z.local"])
def test_hosts(text: str) -> None:
    """Names and addresses with or without a port are hosts."""
    assert is_host(text)


@pytest.mark.parametrize("text", ["", "a b", "a/b", "a@b", "::1", "a:b", "a:123456", "a;b", "a\n"])
def test_no_hosts(text: str) -> None:
    """Whatever could mean something in a URL or a policy is none."""
    assert not is_host(text)


@given(st.lists(st.text(max_size=200), max_size=5))
def test_anything(headers: list[str]) -> None:
    """Whatever stands there, nothing raises and the list has an end."""
    for hops in (read_forwarded(headers), read_x_forwarded(headers, headers, headers)):
        assert len(hops) <= MOST_HOPS
        assert behind(PROXY, hops, TRUSTED).address


def test_long_ones() -> None:
    """A list beyond any header's length is not read, one just within is, and in one pass."""
    element = "for=1.1.1.1,"
    assert read_forwarded([element * 700]) == [Hop()]
    assert len(read_forwarded([element * 600])) == MOST_HOPS
    assert read_forwarded(['for="' + '\\"' * 4000]) == [Hop()]
