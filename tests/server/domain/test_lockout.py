"""Lock-outs, with time as a number."""

import pytest

from server.domain.lockout import FIRST_S, FORGIVEN_S, LONGEST_S, Lockouts


def test_free_tries() -> None:
    """The first wrong tries cost nothing but the last of them."""
    lockouts = Lockouts(3)
    for _ in range(2):
        lockouts.miss("a", 0.0)
    assert lockouts.wait_s("a", 0.0) == 0.0
    lockouts.miss("a", 0.0)
    assert lockouts.wait_s("a", 0.0) == FIRST_S


def test_it_grows() -> None:
    """Each further wrong try locks for twice as long, an hour at most."""
    lockouts, now, waits = Lockouts(1), 0.0, []
    for _ in range(40):
        lockouts.miss("a", now)
        waits.append(lockouts.wait_s("a", now))
        now += waits[-1]
        assert lockouts.wait_s("a", now) == 0.0
    assert waits[:3] == pytest.approx([FIRST_S, 2 * FIRST_S, 4 * FIRST_S])
    assert waits[-1] == pytest.approx(LONGEST_S)


def test_others_go_on() -> None:
    """One key's lock-out is not another's, and who never was wrong is not remembered."""
    lockouts = Lockouts(1)
    lockouts.miss("a", 0.0)
    assert lockouts.wait_s("b", 0.0) == 0.0
    assert len(lockouts) == 1


def test_forgiven() -> None:
    """A day without a wrong try forgives all."""
    lockouts = Lockouts(2)
    for _ in range(5):
        lockouts.miss("a", 0.0)
    later = lockouts.wait_s("a", 0.0) + FORGIVEN_S + 1.0
    lockouts.miss("a", later)
    assert lockouts.wait_s("a", later) == 0.0


def test_bounded() -> None:
    """Past the most, the key that was wrong longest ago is forgiven."""
    lockouts = Lockouts(1, most=100)
    for number in range(10_000):
        lockouts.miss(str(number), 0.0)
    assert len(lockouts) == 100
    assert lockouts.wait_s("0", 0.0) == 0.0
    assert lockouts.wait_s("9999", 0.0) > 0.0
