"""On which mixer a room is mixed, by what the mixers have to do."""

from collections.abc import Collection
from dataclasses import dataclass

ANCHOR_SHARE = 0.005  # of a core, for one who is not measured yet: it is 0.003 to 0.008
MARGIN = 0.05  # a room that may move stays unless another mixer has that much less to do
NEXT_AT = 0.25  # rooms stay where they are, so the next mixer is started long before it is needed
REFUGE_BELOW = 0.6  # who has more to do takes in no rooms of a mixer that died


@dataclass(frozen=True, slots=True)
class Load:
    """What a running mixer has to do.

    `busy_share` is the part of the time its ticks take, `connected` how many people that was
    measured with, `expected` how many are in the rooms it has now. `is_full` says that it refuses
    new people.
    """

    mixer: int
    busy_share: float = 0.0
    connected: int = 0
    expected: int = 0
    is_full: bool = False

    @property
    def share(self) -> float:
        """The share it will have when everybody who is expected has come."""
        return self.busy_share + ANCHOR_SHARE * max(0, self.expected - self.connected)


def choose(loads: Collection[Load], home: int | None = None) -> int | None:
    """Return the mixer for a room in which nobody is yet; None if none runs.

    It is the one with the least to do; `home`, where the room is now, unless it is much worse.
    """
    if not loads:
        return None
    best = min(loads, key=_order)
    for load in loads:
        is_as_good = load.is_full <= best.is_full and load.share <= best.share + MARGIN
        if load.mixer == home and is_as_good:
            return home
    return best.mixer


def refuge(loads: Collection[Load]) -> int | None:
    """Return the mixer for a room whose own has died; None if it had better wait for its own."""
    roomy = [load for load in loads if not load.is_full and load.share < REFUGE_BELOW]
    return choose(roomy)


def wants_another(loads: Collection[Load]) -> bool:
    """Whether it is time to start one more mixer: each that runs has enough to do."""
    return bool(loads) and all(load.is_full or load.share >= NEXT_AT for load in loads)


def _order(load: Load) -> tuple[bool, float, int, int]:
    return load.is_full, load.share, load.expected, load.mixer
