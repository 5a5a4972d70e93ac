"""How often each caller may do what, by the settings."""

import hashlib
import math
import random
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from server.domain.bucket import Buckets
from server.errors import TooFast

EVERYBODY: Final = ""  # the key of a limit that all callers share
SPREAD: Final = 0.25  # how much later than told at most, so that a crowd does not come in step


class Limit(Enum):
    """What is counted; docs/configuration.md has the reasons for the defaults."""

    REQUESTS = "requests"
    TOKEN = "token"  # noqa: S105 - a name
    JOINS = "joins"
    SOCKETS = "sockets"
    SOCKETS_ALL = "sockets_all"
    MESSAGES = "messages"
    HLS = "hls"
    RADIO = "radio"


class Limits:
    """Buckets of every kind. `now` is monotonic, in seconds; `seed` spreads the waits."""

    def __init__(
        self, per_minute: Mapping[Limit, int], now: Callable[[], float], seed: int | None = None
    ) -> None:
        self.refused = dict.fromkeys(Limit, 0)
        self._now = now
        self._per_minute: dict[Limit, int] = {}
        self._buckets: dict[Limit, Buckets] = {}
        self.change(per_minute)
        self._draw = random.Random(seed)  # noqa: S311 - spreads callers, protects nothing

    def change(self, per_minute: Mapping[Limit, int]) -> None:
        """Count by other limits (0 = none); where one stays, its callers stay known."""
        for limit in Limit:
            wanted = per_minute.get(limit, 0)
            if self._per_minute.get(limit) != wanted:
                self._per_minute[limit], self._buckets[limit] = wanted, Buckets(wanted)

    def check(self, limit: Limit, key: str) -> None:
        """Count one of `limit` for `key`. Raises TooFast, with the time to come again."""
        wait_s = self._buckets[limit].take(key, self._now())
        if wait_s:
            self.refused[limit] += 1
            raise TooFast(math.ceil(1000 * wait_s * self._draw.uniform(1.0, 1.0 + SPREAD)) + 1)

    def take_if_free(self, limit: Limit, key: str) -> bool:
        """Count one, if `check` would not refuse it; it is not yet refused."""
        return self._buckets[limit].take_if_free(key, self._now())


def token_key(token: str) -> str:
    """Return what a token is counted under: not itself, for it is a secret and may be long."""
    return hashlib.blake2b(token.encode(errors="replace"), digest_size=12).hexdigest()
