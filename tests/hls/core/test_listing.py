from hls.core.listing import Listing
from hls.core.playlist import Entry, Part
from hls.types import KeySpec

KEY = KeySpec(1, bytes(16), bytes(16), "k")


class Maker:
    """Makes entries, and counts them."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, msn: int) -> Entry:
        self.made.append(msn)
        return Entry(msn, f"{msn}", "init", KEY, 0.0, (Part("p", 15),))


def test_each_entry_is_made_once() -> None:
    """However long it is listed; the tuple is the same as long as its entries are."""
    maker = Maker()
    listing = Listing(maker)
    first = listing.follow(0, 4)
    assert listing.follow(0, 4) is first
    second = listing.follow(1, 5)
    assert [entry.msn for entry in second] == [1, 2, 3, 4]
    assert second[0] is first[1]
    assert maker.made == [0, 1, 2, 3, 4]


def test_only_the_newest_have_parts() -> None:
    """Of a window of hours nearly all entries are small, whenever they were made."""
    listing = Listing(Maker())
    for entries in (listing.follow(0, 100), listing.follow(3, 103)):
        assert [bool(entry.parts) for entry in entries] == [False] * (len(entries) - 6) + [True] * 6


def test_nobody_asked_for_long() -> None:
    """Then all entries are new."""
    maker = Maker()
    listing = Listing(maker)
    listing.follow(0, 3)
    assert [entry.msn for entry in listing.follow(1000, 1003)] == [1000, 1001, 1002]
    assert maker.made == [0, 1, 2, 1000, 1001, 1002]
