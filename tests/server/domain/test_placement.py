"""On which mixer a room is mixed."""

import random

import pytest

from server.domain.placement import (
    ANCHOR_SHARE,
    MARGIN,
    NEXT_AT,
    REFUGE_BELOW,
    Load,
    choose,
    refuge,
    wants_another,
)


def test_the_least_busy_mixer_takes_the_room() -> None:
    """Measured load counts, not the number of people."""
    assert choose([Load(0, 0.4, 5, 5), Load(1, 0.1, 90, 90), Load(2, 0.3, 0, 0)]) == 1


def test_people_who_are_on_their_way_count() -> None:
    """Else a crowd that comes within a second would all go to the same mixer."""
    assert Load(0, 0.1, connected=10, expected=30).share == pytest.approx(0.1 + 20 * ANCHOR_SHARE)
    assert Load(0, 0.1, connected=10, expected=3).share == 0.1
    assert choose([Load(0, 0.1, 0, 60), Load(1, 0.2)]) == 1


def test_equal_loads_go_by_people_then_by_number() -> None:
    """The choice is never left to chance."""
    assert choose([Load(1, 0.2, 3, 3), Load(0, 0.2, 4, 4)]) == 1
    assert choose([Load(1), Load(0)]) == 0


def test_a_full_mixer_is_the_last_choice() -> None:
    """It refuses people; but a room must be somewhere."""
    assert choose([Load(0, 0.1, is_full=True), Load(1, 0.7)]) == 1
    assert choose([Load(0, 0.9, is_full=True)]) == 0


def test_without_a_mixer_there_is_no_choice() -> None:
    """All are being started again."""
    assert choose([]) is None
    assert refuge([]) is None


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        (Load(7, 0.2 + MARGIN / 2), 7),
        (Load(7, 0.2 + 2 * MARGIN), 0),
        (Load(7, 0.1, is_full=True), 0),
        (Load(8, 0.2 + MARGIN / 2), 0),
    ],
)
def test_a_room_stays_unless_elsewhere_is_much_better(home: Load, expected: int) -> None:
    """A full home, or one that is away, is no home."""
    assert choose([Load(0, 0.2), home], home=7) == expected


def test_a_dead_mixers_rooms_burden_nobody_who_is_busy() -> None:
    """They wait for their own to be started again, which takes half a second."""
    assert refuge([Load(0, REFUGE_BELOW), Load(1, 0.1, is_full=True)]) is None
    assert refuge([Load(0, 0.5), Load(1, 0.3)]) == 1


def test_the_next_mixer_starts_when_all_have_something_to_do() -> None:
    """Not before: an idle one costs memory. None that runs means that one is being started."""
    busy, idle = Load(0, NEXT_AT), Load(1, NEXT_AT / 2)
    assert wants_another([busy])
    assert not wants_another([busy, idle])
    assert wants_another([busy, Load(1, 0.0, is_full=True)])
    assert not wants_another([])


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_spreads(seed: int) -> None:
    """A hundred rooms of some people, placed before anything is measured: nearly equal shares."""
    chance, people = random.Random(seed), [0, 0, 0, 0]
    for _ in range(100):
        chosen = choose([Load(number, expected=count) for number, count in enumerate(people)])
        assert chosen is not None
        people[chosen] += chance.randint(1, 10)
    assert max(people) - min(people) <= 10
