"""The gate over claimed levels."""

from collections.abc import Sequence

import pytest

from mixer.core.gate import Gate

TICK_S = 0.02


def run(gate: Gate, levels: Sequence[int | None], start_s: float = 0.0) -> list[bool]:
    """Feed one level per tick; return whether the gate is open after each."""
    states = []
    for number, level in enumerate(levels):
        now = start_s + number * TICK_S
        gate.update(level, now)
        states.append(gate.is_open(now))
    return states


@pytest.mark.parametrize("now", [-1e9, 0.0, 0.1, 1e9])
def test_a_gate_begins_closed(now: float) -> None:
    """Whatever the clock says, nobody is heard before the first packet."""
    assert not Gate().is_open(now)


@pytest.mark.parametrize("level", [-127, -68, -65, -62])
def test_coded_room_noise_stays_silent(level: int) -> None:
    """Noise around -65 dBov never opens, also with the V bit set."""
    gate = Gate()
    assert not any(run(gate, [level] * 50))
    gate.update(level, 1.0, voice=True)
    assert not gate.is_open(1.0)


@pytest.mark.parametrize("level", [-54, -50, -20, 0])
def test_quiet_speech_opens_at_once(level: int) -> None:
    """One packet above the threshold is enough."""
    assert run(Gate(), [-65, level]) == [False, True]


def test_a_pause_between_words_is_held() -> None:
    """The gate stays open for 400 ms after the last voiced packet, then closes."""
    states = run(Gate(), [-30] + [-65] * 30)
    assert states == [True] * 20 + [False] * 11


def test_the_end_of_a_word_keeps_an_open_gate_open() -> None:
    """Levels between the thresholds hold the gate but do not open it."""
    assert not any(run(Gate(), [-58] * 50))
    assert all(run(Gate(), [-30] + [-58] * 50))


def test_the_voice_bit_lowers_the_threshold() -> None:
    """A packet that claims to be voice needs only the lower level."""
    gate = Gate()
    gate.update(-58, 1.0, voice=True)
    assert gate.is_open(1.0)


def test_without_a_level_the_gate_is_open() -> None:
    """What cannot be known to be silent is heard, and the gate says so."""
    gate = Gate()
    assert run(gate, [None]) == [True]
    assert gate.is_unlevelled
    gate.update(-65, TICK_S)
    assert not gate.is_unlevelled


def test_a_gate_that_nobody_feeds_closes() -> None:
    """A stream that ends leaves no gate open."""
    gate = Gate()
    gate.update(-20, 10.0)
    assert gate.is_open(10.39)
    assert not gate.is_open(10.41)
