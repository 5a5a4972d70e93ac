"""When the keys of a broadcast change: which epochs are to be made, and which are not needed."""

from dataclasses import dataclass
from typing import Final

from server.domain.stream import StreamKey

AHEAD: Final = 2  # epochs after the one that somebody has: a player asks before it begins
# The segment that is made, the two whose key may be had already, and one for the store and the
# plane: what begins earlier could be told too late.
MARGIN: Final = 4
EARLY: Final = 2  # segments: playlists announce the next one, and players fetch before they play


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new key every `every` segments, 0 = never; epochs begin at whole multiples of it.

    An epoch that nobody has the key of is not followed by another: nobody could tell, and a room to
    which nobody listens costs nothing, nor does an hour of sleep.
    """

    every: int

    def next_after(self, first_msn: int) -> int:
        """Return where the epoch after the one from `first_msn` on begins, if it is in time."""
        return (first_msn // self.every + 1) * self.every

    def planned(self, last: StreamKey, heard: int, now_msn: int) -> tuple[int, ...]:
        """Return where the epochs begin that shall follow the `last` one that is known.

        `heard` is the newest epoch whose key somebody may have, -1 = none. There are AHEAD at most.
        None begins before segment `now_msn` + MARGIN: an epoch then is longer than others.
        """
        if not self.every or heard < 0:
            return ()
        begins, first_msn = [], last.first_msn
        for _ in range(last.epoch, min(heard, last.epoch) + AHEAD):
            first_msn = self.next_after(max(first_msn, now_msn + MARGIN - 1))
            begins.append(first_msn)
        return tuple(begins)


def needed(keys: tuple[StreamKey, ...], oldest_msn: int) -> tuple[StreamKey, ...]:
    """Return the keys that segments from `oldest_msn` on are encrypted with."""
    first = 0
    while first + 1 < len(keys) and keys[first + 1].first_msn <= oldest_msn:
        first += 1
    return keys[first:]


def early_by(key: StreamKey, now_msn: int) -> int:
    """Return how many segments are left until a key may be given out; 0 = now."""
    return max(0, key.first_msn - EARLY - now_msn)
