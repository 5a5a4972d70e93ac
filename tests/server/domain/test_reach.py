"""Which addresses the server may be made to call."""

import pytest

from server.domain.reach import Reach

PRIVATE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "224.0.0.1"]
CARRIERS = ["::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::1", "2001::1", "0.0.0.0"]


@pytest.mark.parametrize("address", PRIVATE + CARRIERS)
def test_inside(address: str) -> None:
    """Addresses of the inside, however they are written, may not be called."""
    assert not Reach(()).allows(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_outside(address: str) -> None:
    """Public ones may, and are of no allowed network for that."""
    assert Reach(()).allows(address)
    assert not Reach(()).is_named(address)


def test_named() -> None:
    """What the operator names may be called, in either family's writing."""
    reach = Reach(("10.0.0.0/8",))
    assert reach.allows("10.1.2.3")
    assert reach.allows("::ffff:10.1.2.3")
    assert not reach.allows("127.0.0.1")


def test_names() -> None:
    """A name is no address."""
    with pytest.raises(ValueError, match="example"):
        Reach(()).allows("example.org")
