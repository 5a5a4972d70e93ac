"""What an encoder is set to, by whom it encodes for."""

from collections.abc import Sequence
from typing import NamedTuple

from mixer.types import Delivery

# SILK's packets carry the one before at a quarter of its size. PESQ-WB without loss and at 10 %
# (bench.downlink_quality): 3.9 and 2.8 at 40 kb/s, 3.3 and 2.3 at 24, 4.3 and 3.4 at 64; CELT at 96
# kb/s without redundancy 4.1 and 2.1.
ROBUST_BPS = 40_000
ROBUST_LEAST_BPS = 24_000
ROBUST_ALONE_BPS = 64_000  # above it libopus leaves SILK, and FEC with it
CLEAR_LEAST_BPS = 32_000


class EncodeTerms(NamedTuple):
    """A ceiling of the bit rate (None: none) and the loss to expect in percent."""

    ceiling_bps: int | None = None
    loss_percent: int = 0


def clear_terms(deliveries: Sequence[Delivery]) -> EncodeTerms:
    """Return the terms of a clear encoding: one hearer's own, if there is but one."""
    if len(deliveries) != 1 or deliveries[0].bitrate_bps is None:
        return EncodeTerms()
    return EncodeTerms(max(CLEAR_LEAST_BPS, deliveries[0].bitrate_bps))


def robust_terms(deliveries: Sequence[Delivery], channels: int) -> EncodeTerms:
    """Return the terms of a robust encoding with at least one hearer.

    It is one for all, so the worst link and the worst loss rule, within bounds that leave the
    others speech. Who is alone with it has what their own link carries.
    """
    rates = [one.bitrate_bps for one in deliveries if one.bitrate_bps is not None]
    loss_percent = max(one.loss_percent for one in deliveries)
    if len(deliveries) == 1:
        return EncodeTerms(min([*rates, ROBUST_ALONE_BPS * channels]), loss_percent)
    worst = min([*rates, ROBUST_BPS * channels])
    return EncodeTerms(max(ROBUST_LEAST_BPS, worst), loss_percent)
