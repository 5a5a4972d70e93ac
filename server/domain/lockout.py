"""Lock-outs that grow with each wrong try; pure."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from server.domain.bucket import MOST_KEYS

FIRST_S: Final = 10.0  # a person who looks the right one up notices nothing
LONGEST_S: Final = 3600.0
FORGIVEN_S: Final = 24 * 3600.0  # after the last lock-out's end


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    until: float = 0.0


class Lockouts:
    """After `free` wrong tries each further one locks its key: 10 s, 20 s, 40 s … an hour.

    A right try forgives nothing, or who knows one secret could try for another as often as they
    like; a day without a wrong one forgives all. At most `most` keys are kept: past that, the one
    that was wrong longest ago is forgiven.
    """

    def __init__(self, free: int, most: int = MOST_KEYS) -> None:
        self.free = free
        self._most = most
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def wait_s(self, key: str, now: float) -> float:
        """Return for how many seconds no try of that key is looked at; 0: it may try."""
        tries = self._tries.get(key)
        return 0.0 if tries is None else max(0.0, tries.until - now)

    def miss(self, key: str, now: float) -> None:
        """Note a wrong try."""
        tries = self._tries.pop(key, None)
        if tries is None or now > tries.until + FORGIVEN_S:
            tries = _Tries()
        tries.wrong += 1
        over = tries.wrong - self.free
        locked_s = min(LONGEST_S, FIRST_S * 2.0 ** min(over, 16)) if over >= 0 else 0.0
        tries.until = now + locked_s
        self._tries[key] = tries
        if len(self._tries) > self._most:
            self._tries.popitem(last=False)
