"""Which people are mixed when only the loudest are: a choice that holds still."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

MARGIN_DB = 3.0  # a challenger less clearly louder would swap back at the next syllable
PATIENCE_TICKS = 5  # 100 ms: a cough is shorter, a word longer
RISE = 0.4  # of the way per tick: a word counts with its first syllable (40 ms)
FALL = 0.04  # half a second: pauses between words cost nobody their place

Key = TypeVar("Key", bound=Hashable)


class Loudest(Generic[Key]):
    """Chooses up to `count` people (at least 1) by smoothed level.

    A free place is taken at once. An occupied one only by somebody who has been louder than its
    holder, the softest of the chosen, by a margin for a while; one place a tick.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._levels: dict[Key, float] = {}
        self._chosen: set[Key] = set()
        self._louder_for: dict[Key, int] = {}  # ticks in a row

    def choose(self, levels_dbov: Mapping[Key, float]) -> frozenset[Key]:
        """Return who is mixed in this tick, of those who are awake and their present levels."""
        smoothed = {}
        for key, level in levels_dbov.items():
            before = self._levels.get(key, level)
            smoothed[key] = before + (level - before) * (RISE if level > before else FALL)
        self._levels = smoothed
        ranking = sorted(smoothed, key=smoothed.__getitem__, reverse=True)  # stable
        chosen = [key for key in ranking if key in self._chosen][: self.count]
        others = [key for key in ranking if key not in chosen]
        free = self.count - len(chosen)
        chosen += others[:free]
        others = others[max(0, free) :]
        if free <= 0:
            self._challenge(chosen, others)
        self._chosen = set(chosen)
        return frozenset(chosen)

    def _challenge(self, chosen: list[Key], others: list[Key]) -> None:
        """Let the loudest of the others who has waited take the place of the softest."""
        holder = chosen[-1]
        bar = self._levels[holder] + MARGIN_DB
        self._louder_for = {
            key: self._louder_for.get(key, 0) + 1 for key in others if self._levels[key] >= bar
        }
        if others and self._louder_for.get(others[0], 0) >= PATIENCE_TICKS:
            chosen[-1] = others[0]
            del self._louder_for[others[0]]
