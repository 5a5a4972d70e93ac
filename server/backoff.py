"""Growing delays between attempts; pure."""

import random
from collections.abc import Iterator


def delays_s(
    first_s: float = 0.1, limit_s: float = 10.0, *, jitter: float = 0.2, seed: int = 0
) -> Iterator[float]:
    """Yield for ever: `first_s`, doubled each time up to `limit_s`, each spread by ±`jitter`.

    The spread keeps processes that failed together from coming back together; it is drawn from
    `seed`, so the same seed gives the same delays. No delay is above `limit_s`.
    """
    draw = random.Random(seed)  # noqa: S311 - spreads attempts, protects nothing
    base_s = first_s
    while True:
        yield min(limit_s, base_s * draw.uniform(1 - jitter, 1 + jitter))
        base_s = min(limit_s, base_s * 2)
