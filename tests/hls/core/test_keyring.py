import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.keyring import Keyring
from hls.types import KeySpec


def key(epoch: int, first_msn: int = 0) -> KeySpec:
    """Return the key of an epoch."""
    return KeySpec(epoch, bytes(16), bytes(16), f"{epoch}.key", first_msn)


def epochs(ring: Keyring, last_msn: int) -> list[int]:
    """Return the epoch of each segment up to `last_msn`."""
    return [ring.of(msn).epoch for msn in range(last_msn + 1)]


def test_each_key_until_the_next() -> None:
    """A key is in force from its first segment; the first one covers everything before it too."""
    assert epochs(Keyring([key(1, 2), key(2, 4)]), 5) == [1, 1, 1, 1, 2, 2]


def test_keys_to_come() -> None:
    """A plan adds keys without touching what is in force."""
    ring = Keyring([key(1)])
    ring.plan([key(1), key(2, 3)], 1)
    assert epochs(ring, 4) == [1, 1, 1, 2, 2]
    assert len(ring) == 2


def test_what_was_announced_stays() -> None:
    """A plan that comes too late is in force from the first segment that may still change."""
    ring = Keyring([key(1)])
    ring.plan([key(2)], 3)
    assert epochs(ring, 4) == [1, 1, 1, 2, 2]


def test_plans_are_changed() -> None:
    """Keys that were planned and are no longer wanted are never used."""
    ring = Keyring([key(1), key(2, 5), key(3, 7)])
    ring.plan([key(1), key(4, 6)], 4)
    assert epochs(ring, 8) == [1, 1, 1, 1, 1, 1, 4, 4, 4]


@pytest.mark.parametrize(("before", "left"), [(0, 3), (3, 3), (4, 2), (9, 1)])
def test_forgotten(before: int, left: int) -> None:
    """A key goes when no segment is left that needs it, the last one never."""
    ring = Keyring([key(1), key(2, 4), key(3, 8)])
    ring.forget_before(before)
    assert len(ring) == left


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=8))
def test_any_plans(plans: list[tuple[int, int]]) -> None:
    """Whatever is planned when, a segment below the present one keeps its key."""
    ring, now = Keyring([key(0)]), 0
    for epoch, (shift, ahead) in enumerate(plans, 1):
        now += shift % 3
        before = epochs(ring, now)[:now]
        ring.plan([key(epoch, max(0, now - 2)), key(100 + epoch, now + 1 + ahead)], now)
        assert epochs(ring, now)[:now] == before
        assert ring.of(now).epoch == epoch


def test_keys_are_not_shown() -> None:
    """A key is in no repr, so in no log."""
    assert "sixteen" not in repr(KeySpec(1, b"sixteen byte key", bytes(16), "enc.key"))
