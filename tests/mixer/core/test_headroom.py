"""How much work packets with FEC are worth."""

from mixer.core.headroom import BUSY, PATIENCE_S, SPARE, USUAL, Headroom
from mixer.core.overload import STRAINED_SHARE
from mixer.core.strain import Strain


def levels(headroom: Headroom, *shares: float, late: float = 0.0) -> list[int]:
    """Return the complexity after each second."""
    found = []
    for share in shares:
        before = headroom.complexity
        assert headroom.note(Strain(share, late)) == (headroom.complexity != before)
        found.append(headroom.complexity)
    return found


def test_time_to_spare_is_spent_after_a_while() -> None:
    """Ten calm seconds in a row; one that is not begins them anew."""
    headroom = Headroom()
    calm = [0.1] * (PATIENCE_S - 1)
    assert set(levels(headroom, *calm, 0.3, *calm)) == {USUAL}
    assert levels(headroom, 0.1) == [SPARE]


def test_a_busy_second_ends_it_at_once_and_before_anything_else_goes() -> None:
    """Well before overload would take bits from everybody."""
    headroom = Headroom()
    levels(headroom, *[0.1] * PATIENCE_S)
    assert levels(headroom, 0.35, 0.45, 0.65) == [SPARE, USUAL, BUSY]
    assert STRAINED_SHARE > 0.65


def test_it_does_not_see_saw() -> None:
    """Between the bounds all stays as it is."""
    headroom = Headroom()
    assert set(levels(headroom, 0.65, *[0.55] * 30)) == {BUSY}
    assert levels(headroom, *[0.45] * PATIENCE_S)[-1] == USUAL
    assert set(levels(headroom, *[0.55] * 30)) == {USUAL}


def test_late_ticks_are_no_headroom() -> None:
    """However little they took; what is low already is not raised by them."""
    headroom = Headroom()
    levels(headroom, *[0.1] * PATIENCE_S)
    assert levels(headroom, 0.1, late=0.2) == [USUAL]
    levels(headroom, 0.7)
    assert set(levels(headroom, *[0.1] * 20, late=0.2)) == {BUSY}
