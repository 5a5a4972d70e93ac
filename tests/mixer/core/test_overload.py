"""What goes first when there is too much to do."""

import itertools
import random

import pytest

from mixer.core.overload import CALM_S, DOUBT, FORGIVE_S, LEARN_S, MAX_CALM_S, QUALITIES, Overload
from mixer.core.strain import Strain
from mixer.types import OverloadLevel

CALM, MIDDLING, STRAINED, HOPELESS = (Strain(share, 0.0) for share in (0.1, 0.7, 0.9, 1.1))
LEVELS = list(OverloadLevel)


def feed(overload: Overload, strain: Strain, seconds: int) -> list[OverloadLevel]:
    """Return the levels it went through."""
    return [overload.level for _ in range(seconds) if overload.note(strain)]


def seconds_to_step_down(overload: Overload) -> int:
    """How long it must be calm before the level falls."""
    return next(second for second in itertools.count(1) if overload.note(CALM))


def test_levels_come_one_by_one() -> None:
    """First cheaper encodes, then fewer speakers, then nobody new; then there is nothing left."""
    overload = Overload()
    assert feed(overload, STRAINED, 10) == LEVELS[1:]
    assert overload.is_full


def test_each_level_keeps_what_the_one_before_gave_up() -> None:
    """Bitrates fall, speakers become fewer, and at NONE nothing is held back."""
    first, *rest = QUALITIES.values()
    assert (first.max_bitrate_bps, first.loudest) == (None, 0)
    bitrates = [quality.max_bitrate_bps or 0 for quality in rest]
    assert bitrates == sorted(bitrates, reverse=True)
    assert [quality.loudest for quality in rest] == [0, 0, 3, 3]
    assert list(QUALITIES) == LEVELS


def test_hopeless_seconds_count_double() -> None:
    """Ticks that fall behind cannot wait for one step a second."""
    assert feed(Overload(), HOPELESS, 5) == [OverloadLevel.THIN, OverloadLevel.FULL]


def test_late_ticks_count_when_they_are_ours() -> None:
    """A machine that is busy with something else is not helped by less quality."""
    overload = Overload()
    assert not overload.note(Strain(0.3, 0.9))
    assert overload.note(Strain(0.45, 0.2))
    assert overload.level is OverloadLevel.LEAN


def test_it_recovers_step_by_step() -> None:
    """Each step down takes CALM_S calm seconds in a row."""
    overload = Overload()
    feed(overload, STRAINED, 4)
    assert feed(overload, CALM, 4 * CALM_S) == LEVELS[3::-1]
    assert overload.quality == QUALITIES[OverloadLevel.NONE]


def test_between_strained_and_calm_nothing_changes() -> None:
    """And calm seconds before it count no more."""
    overload = Overload()
    feed(overload, STRAINED, 1)
    feed(overload, CALM, CALM_S - 1)
    assert feed(overload, MIDDLING, 1000) == []
    assert feed(overload, CALM, CALM_S - 1) == []
    assert overload.note(CALM)


def settled(share: float) -> Overload:
    """One that is at LEAN, where a second takes `share` of the 0.9 it took before."""
    overload = Overload()
    feed(overload, STRAINED, 1)
    feed(overload, Strain(share, 0.0), LEARN_S)
    return overload


def test_a_step_that_is_still_needed_is_not_taken_back() -> None:
    """It was worth two thirds: a second of 0.3 would be 0.9 without it, one of 0.2 but 0.6."""
    overload = settled(0.3)
    assert feed(overload, Strain(0.3, 0.0), DOUBT * CALM_S - LEARN_S - 1) == []
    assert feed(overload, Strain(0.2, 0.0), 1) == [OverloadLevel.NONE]  # in doubt, but long enough
    overload = settled(0.3)
    assert feed(overload, Strain(0.2, 0.0), CALM_S - 1) == []
    assert feed(overload, Strain(0.2, 0.0), 1) == [OverloadLevel.NONE]


def test_what_a_step_was_worth_is_seen_in_its_first_seconds() -> None:
    """Later the load itself falls; and a pause in speech just then is not taken at its word."""
    overload = settled(0.6)
    assert feed(overload, Strain(0.4, 0.0), CALM_S) == [OverloadLevel.NONE]
    overload = settled(0.0)
    assert feed(overload, Strain(0.12, 0.0), CALM_S) == [OverloadLevel.NONE]


def test_who_came_down_too_early_waits_longer() -> None:
    """Twice as long with each relapse, but not for ever."""
    overload = Overload()
    feed(overload, STRAINED, 1)
    waits = []
    for _ in range(8):
        waits.append(seconds_to_step_down(overload))
        assert overload.note(STRAINED)
    assert waits == [5, 10, 20, 40, 80, 160, 160, MAX_CALM_S]


def test_a_relapse_of_several_steps_counts_once() -> None:
    """Climbing on is the same relapse."""
    overload = Overload()
    feed(overload, STRAINED, 2)
    seconds_to_step_down(overload)
    feed(overload, STRAINED, 3)
    assert seconds_to_step_down(overload) == 2 * CALM_S


def test_an_old_relapse_is_forgiven() -> None:
    """After FORGIVE_S seconds without overload the next one is treated like the first."""
    overload = Overload()
    feed(overload, STRAINED, 1)
    seconds_to_step_down(overload)
    feed(overload, STRAINED, 1)
    assert seconds_to_step_down(overload) == 2 * CALM_S
    feed(overload, CALM, FORGIVE_S)
    feed(overload, STRAINED, 1)
    assert seconds_to_step_down(overload) == CALM_S


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("saved", [(1, 0.94, 0.89, 0.25, 0.25), (1, 0.98, 0.89, 0.9, 0.9)])
def test_a_load_that_is_just_too_much_makes_no_see_saw(saved: list[float], seed: int) -> None:
    """An hour at the limit, where many speak and where few do: hardly a change in three minutes."""
    chance, overload, changes = random.Random(seed), Overload(), 0
    for _ in range(3600):
        load = 0.95 * saved[overload.level]
        changes += overload.note(Strain(chance.gauss(load, load / 12), 0.0))
    assert changes <= 20
