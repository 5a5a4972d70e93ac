"""A gain-sharing automixer: all open microphones together are as loud as one.

Each voice's gain is its share of the power of all (Dugan, "Automatic microphone mixing", JAES 23,
1975): whoever speaks alone has all of it, two who speak at once half each, and ten who breathe add
up to the noise of one.
"""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

RISE = 0.5  # of the way per tick: a first syllable is up after 40 ms
FALL = 0.1  # 200 ms: a gap between words keeps the gain
FLOOR_POWER = 1.0  # of one step of 16 bits: digital silence has no share to quarrel over

Key = TypeVar("Key", bound=Hashable)


class Automix(Generic[Key]):
    """Shares one gain among voices; the shares move smoothly with their powers."""

    def __init__(self) -> None:
        self._powers: dict[Key, float] = {}

    def share(self, powers: Mapping[Key, float]) -> dict[Key, float]:
        """Return each voice's factor, 0 to 1; the factors of a tick sum to 1.

        `powers` are mean squares of the tick's samples of those who are heard in it.
        """
        smoothed = {}
        for key, power in powers.items():
            now = power + FLOOR_POWER
            before = self._powers.get(key, 0.0)
            smoothed[key] = before + (now - before) * (RISE if now > before else FALL)
        self._powers = smoothed
        total = sum(smoothed.values())
        return {key: power / total for key, power in smoothed.items()}
