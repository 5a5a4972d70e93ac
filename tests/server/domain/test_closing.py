"""The end of a room's time, told beforehand."""

from server.domain.closing import NOT_CLOSING, Closing, step

WARNINGS = (300, 60)


def run(lefts: list[float], *, occupied: bool = True) -> list[tuple[int | None, bool]]:
    """Look at a room whose end is nearing, each second of `lefts` later than the one before."""
    closing, told = NOT_CLOSING, []
    for left_s in lefts:
        made = step(closing, left_s, 1000.0 - left_s, WARNINGS, is_occupied=occupied)
        closing = made.closing
        told.append((made.tell_s, made.is_over))
    return told


def test_told_twice_then_over() -> None:
    """Each warning is given once, with what is really left."""
    assert run([301, 299.5, 200, 60, 30, 0.5, 0]) == [
        *((None, False), (300, False), (None, False), (60, False)),
        *((None, False), (None, False), (None, True)),
    ]


def test_nobody_there() -> None:
    """A room without people ends on time, and is not told anything."""
    assert run([60, 0], occupied=False) == [(None, False), (None, True)]


def test_without_warnings() -> None:
    """An operator may want none."""
    assert step(NOT_CLOSING, 0.0, 5.0, (), is_occupied=True).is_over


def test_not_in_time() -> None:
    """Who comes to a room whose time has run out has the last warning's time left."""
    first = step(NOT_CLOSING, -50.0, 1000.0, WARNINGS, is_occupied=True)
    assert (first.tell_s, first.is_over) == (60, False)
    again = step(first.closing, -109.0, 1059.0, WARNINGS, is_occupied=True)
    assert (again.tell_s, again.is_over) == (None, False)
    assert step(again.closing, -110.0, 1060.0, WARNINGS, is_occupied=True).is_over


def test_longer_again() -> None:
    """A room that was given more time is told anew when that nears its end."""
    told = step(NOT_CLOSING, 50.0, 0.0, WARNINGS, is_occupied=True).closing
    assert step(told, 1000.0, 1.0, WARNINGS, is_occupied=True).closing == NOT_CLOSING
    longer = step(told, 200.0, 1.0, WARNINGS, is_occupied=True)
    assert (longer.closing, longer.tell_s) == (Closing(300, 50.0), None)
    assert step(longer.closing, 60.0, 140.0, WARNINGS, is_occupied=True).tell_s == 60
