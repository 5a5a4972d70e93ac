"""Places of the radio."""

import pytest

from mixer.types import RoomId
from server.errors import RadioFull
from server.services import places
from server.services.places import Places

DEMO, OTHER = RoomId("demo"), RoomId("other")


def test_counted() -> None:
    """Rooms and addresses are counted apart, and a place that was left is free again."""
    found = Places(of_room=2, of_address=1)
    with found.hold(DEMO, "a"), found.hold(DEMO, "b"), found.hold(OTHER, "c"):
        for room, address, whose in ((OTHER, "a", "address"), (DEMO, "d", "room")):
            with pytest.raises(RadioFull, match=whose), found.hold(room, address):
                pass
        assert (len(found), found.refused) == (3, 2)
    assert len(found) == 0
    assert not found._rooms
    assert not found._addresses
    with found.hold(DEMO, "a"):
        assert len(found) == 1


def test_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 is no limit, but there is one of the whole server."""
    monkeypatch.setattr(places, "MOST", 3)
    found = Places(0, 0)
    with found.hold(DEMO, "a"), found.hold(DEMO, "a"), found.hold(DEMO, "a"):
        assert len(found) == 3
        with pytest.raises(RadioFull, match="server"), found.hold(DEMO, "a"):
            pass


def test_another_limit() -> None:
    """A lower limit puts nobody out and lets nobody in; a higher one does."""
    found = Places(2, 0)
    with found.hold(DEMO, "a"), found.hold(DEMO, "a"):
        found.change(1, 0)
        assert len(found) == 2
        with pytest.raises(RadioFull), found.hold(DEMO, "a"):
            pass
        found.change(3, 0)
        with found.hold(DEMO, "a"):
            assert len(found) == 3


def test_not_in_step() -> None:
    """Those of a crowd who find no place are told different times."""
    found, waits = Places(1, 0, seed=1), set()
    with found.hold(DEMO, "a"):
        for _ in range(20):
            with pytest.raises(RadioFull) as refused, found.hold(DEMO, "a"):
                pass
            waits.add(refused.value.retry_after_ms)
    assert len(waits) > 15
    assert 20_000 <= min(waits) <= max(waits) <= 40_000
