"""The gain-sharing automixer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.automix import Automix

POWERS = st.dictionaries(st.integers(0, 5), st.floats(0, 2**30), min_size=1)


def after(automix: Automix[str], ticks: int, **powers: float) -> dict[str, float]:
    """Return the shares after some ticks of these powers."""
    shares: dict[str, float] = {}
    for _ in range(ticks):
        shares = automix.share(powers)
    return shares


@given(st.lists(POWERS, min_size=1, max_size=20))
def test_the_gains_sum_to_one(ticks: list[dict[int, float]]) -> None:
    """In every tick, whoever speaks however loud."""
    automix = Automix[int]()
    for powers in ticks:
        shares = automix.share(powers)
        assert shares.keys() == powers.keys()
        assert sum(shares.values()) == pytest.approx(1)
        assert all(0 <= share <= 1 for share in shares.values())


def test_nobody_has_no_share() -> None:
    """Silence is no division by zero."""
    assert Automix[str]().share({}) == {}


def test_who_speaks_alone_is_as_loud_as_they_are() -> None:
    """From the first tick on."""
    assert Automix[str]().share({"ann": 1e6}) == {"ann": 1.0}


def test_equals_share_equally() -> None:
    """Four at once have a quarter each."""
    shares = after(Automix(), 100, ann=1e6, bob=1e6, cyd=1e6, dan=1e6)
    assert list(shares.values()) == [pytest.approx(0.25)] * 4


def test_noise_beside_speech_is_all_but_gone() -> None:
    """An open microphone 30 dB below the speaker has a thousandth."""
    shares = after(Automix(), 100, ann=1e6, fan=1e3)
    assert shares["fan"] == pytest.approx(1e-3, rel=0.02)


def test_a_first_syllable_is_up_within_100_ms() -> None:
    """Against the noise that had everything before; it comes up in steps, not at once."""
    automix = Automix[str]()
    assert after(automix, 100, fan=1e3) == {"fan": 1.0}
    levels = [automix.share({"fan": 1e3, "ann": 1e6})["ann"] for _ in range(5)]
    assert levels == sorted(levels)
    assert levels[-1] > 0.99


def test_a_gap_between_words_keeps_the_gain() -> None:
    """After 100 ms of silence the last speaker still has most of it."""
    automix = Automix[str]()
    after(automix, 100, ann=1e6, fan=1e3)
    assert after(automix, 5, ann=1e2, fan=1e3)["ann"] > 0.9
