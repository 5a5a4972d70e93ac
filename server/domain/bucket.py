"""Buckets: how often each key may do something, and when it may again; pure.

A generic cell rate algorithm (ITU-T I.371): one number a key, the time at which its bucket will be
full again. `limits` on PyPI asks the clock itself and sweeps with a thread; this takes `now`.
"""

from collections import OrderedDict
from typing import Final

MINUTE_S: Final = 60.0
MOST_KEYS: Final = 1 << 16  # 13 MB at most; a crowd larger than that is no affair of one key
LONGEST_WAIT_S: Final = 30.0  # nobody waits longer for those before them


class Buckets:
    """A bucket of `per_minute` for each key, all of it at once or evenly; 0 is no limit.

    At most `most` keys are kept: past that, the one that was asked for longest ago begins anew.
    """

    def __init__(self, per_minute: int, most: int = MOST_KEYS) -> None:
        self._step_s = MINUTE_S / per_minute if per_minute else 0.0
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._queued_until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float) -> float:
        """Take one; return 0, or in how many seconds to come again: then nothing is taken.

        Whoever is refused gets a place in a queue, so that a crowd that was refused at once comes
        back one by one, as fast as the bucket fills. A place binds nobody.
        """
        wait_s = self._take(key, now)
        return self._queue(key, now, now + wait_s) if wait_s else 0.0

    def take_if_free(self, key: str, now: float) -> bool:
        """Take one if there is one; return whether there was. Nobody gets a place in the queue."""
        return not self._take(key, now)

    def _take(self, key: str, now: float) -> float:
        if not self._step_s:
            return 0.0
        full_at = max(now, self._full_at.get(key, now))
        wait_s = full_at + self._step_s - now - MINUTE_S
        if wait_s > self._step_s * 1e-6:  # what sums of many steps may lack
            return wait_s
        self._full_at[key] = full_at + self._step_s
        self._full_at.move_to_end(key)
        self._queued_until.pop(key, None)
        self._forget(now)
        return 0.0

    def _queue(self, key: str, now: float, free_at: float) -> float:
        last = self._queued_until.get(key, 0.0)
        place = min(max(free_at, last + self._step_s), max(free_at, now + LONGEST_WAIT_S))
        self._queued_until[key] = place
        return place - now

    def _forget(self, now: float) -> None:
        """Drop the oldest keys while their buckets are full, or while there are too many."""
        while len(self._full_at) > self._most or next(iter(self._full_at.values())) <= now:
            gone, _ = self._full_at.popitem(last=False)
            self._queued_until.pop(gone, None)
