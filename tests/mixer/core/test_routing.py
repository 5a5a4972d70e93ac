"""Who hears whom."""

from typing import Any

import pytest

from mixer.core.routing import EVERYBODY, PLAIN, Ear, ear_of
from mixer.types import FLOOR, AnchorSpec, PeerId

ANN, BOB = PeerId("ann"), PeerId("bob")
TO_FLOOR = frozenset({FLOOR})


def ear(**spec: Any) -> Ear:
    """Return what somebody with such a spec hears."""
    return ear_of(AnchorSpec(PeerId("cyd"), **spec))


def test_by_default_everybody_hears_the_floor() -> None:
    """At unity, exactly; and an ear made of nothing is the same."""
    assert ear().gain_of(ANN, TO_FLOOR) == 1.0
    assert ear() is PLAIN
    assert ear() == Ear()


def test_who_does_not_hear_a_bus_hears_nobody_on_it() -> None:
    """Nor does anybody hear who speaks to none."""
    assert ear(hears={"fr": 0.0}).gain_of(ANN, TO_FLOOR) == 0.0
    assert ear().gain_of(ANN, frozenset()) == 0.0


def test_a_bus_has_a_gain() -> None:
    """Interpretation: the translation in front, the floor behind it."""
    french = ear(hears={"fr": 0.0, FLOOR: -20.0})
    assert french.gain_of(ANN, TO_FLOOR) == pytest.approx(0.1)
    assert french.gain_of(BOB, frozenset({"fr"})) == 1.0


def test_a_voice_on_several_buses_is_heard_as_on_the_loudest() -> None:
    """Not twice."""
    both = ear(hears={"fr": -6.0, FLOOR: -20.0})
    assert both.gain_of(ANN, frozenset({"fr", FLOOR})) == pytest.approx(0.501, abs=1e-3)


def test_personal_gains_are_for_one_person() -> None:
    """A mute and a volume, on top of the bus."""
    mine = ear(hears={FLOOR: -20.0}, for_me={ANN: None, BOB: 20.0})
    assert mine.gain_of(ANN, TO_FLOOR) == 0.0
    assert mine.gain_of(BOB, TO_FLOOR) == pytest.approx(1.0)
    assert mine.gain_of(PeerId("dan"), TO_FLOOR) == pytest.approx(0.1)
    assert mine.gain_of(None, TO_FLOOR) == pytest.approx(0.1)


def test_what_is_for_everybody_is_heard_by_everybody() -> None:
    """Whatever they hear otherwise."""
    assert ear(hears={}).gain_of(None, frozenset({EVERYBODY})) == 1.0


def test_the_order_of_a_spec_does_not_matter() -> None:
    """Equal hearing is equal, so that its mix is shared."""
    one = ear(hears={"a": 0.0, "b": -3.0}, for_me={ANN: None, BOB: 3.0})
    other = ear(hears={"b": -3.0, "a": 0.0}, for_me={BOB: 3.0, ANN: None})
    assert one == other
