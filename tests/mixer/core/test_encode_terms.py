"""What an encoder is set to, by its hearers' links."""

from mixer.core.encode_terms import (
    CLEAR_LEAST_BPS,
    ROBUST_ALONE_BPS,
    ROBUST_BPS,
    ROBUST_LEAST_BPS,
    EncodeTerms,
    clear_terms,
    robust_terms,
)
from mixer.types import Delivery


def robust(loss_percent: int = 0, bitrate_bps: int | None = None) -> Delivery:
    return Delivery(is_robust=True, loss_percent=loss_percent, bitrate_bps=bitrate_bps)


def test_a_clear_mix_follows_its_only_hearer() -> None:
    """Nobody's link changes what somebody else is sent."""
    thin, plain = Delivery(bitrate_bps=72_000), Delivery()
    assert clear_terms([thin]) == EncodeTerms(72_000)
    assert clear_terms([Delivery(bitrate_bps=8_000)]) == EncodeTerms(CLEAR_LEAST_BPS)
    assert clear_terms([plain]) == clear_terms([thin, thin]) == clear_terms([]) == EncodeTerms()


def test_a_robust_mix_follows_the_worst() -> None:
    """The thinnest link and the highest loss; somebody who claims next to nothing gets bounds."""
    assert robust_terms([robust(5), robust(15)], 1) == EncodeTerms(ROBUST_BPS, 15)
    assert robust_terms([robust(5), robust(0, 32_000)], 1) == EncodeTerms(32_000, 5)
    assert robust_terms([robust(5), robust(0, 6_000)], 1) == EncodeTerms(ROBUST_LEAST_BPS, 5)
    assert robust_terms([robust(5), robust(5)], 2) == EncodeTerms(2 * ROBUST_BPS, 5)


def test_who_is_alone_has_what_the_link_carries() -> None:
    """More than in a shared mix, or less, as the person's offer says."""
    assert robust_terms([robust(5)], 1) == EncodeTerms(ROBUST_ALONE_BPS, 5)
    assert robust_terms([robust(5, 52_000)], 1) == EncodeTerms(52_000, 5)
    assert robust_terms([robust(5, 6_000)], 1) == EncodeTerms(6_000, 5)
    assert robust_terms([robust(5)], 2) == EncodeTerms(2 * ROBUST_ALONE_BPS, 5)
