"""Who hears whom, and how loud: buses and personal gains as one factor per voice and ear."""

from dataclasses import dataclass

from mixer.core.gain import factor
from mixer.types import FLOOR, AnchorSpec, PeerId

EVERYBODY = ""
"""The bus that everybody hears at unity; no bus of a spec has an empty name."""


@dataclass(frozen=True, slots=True)
class Ear:
    """What one person hears of every bus and of every other person; equal for equal hearing."""

    buses: frozenset[tuple[str, float]] = frozenset({(FLOOR, 1.0)})
    """Names with factors."""
    for_me: frozenset[tuple[PeerId, float]] = frozenset()

    def gain_of(self, speaker: PeerId | None, buses: frozenset[str]) -> float:
        """Return the factor of a voice that speaks to `buses`: as on the loudest it is heard on."""
        if EVERYBODY in buses:
            return 1.0
        heard = max((gain for bus, gain in self.buses if bus in buses), default=0.0)
        for peer, gain in self.for_me:
            if peer == speaker:
                return heard * gain
        return heard


PLAIN = Ear()


def ear_of(spec: AnchorSpec) -> Ear:
    """Return the ear that a spec describes; for most people the same object, `PLAIN`."""
    ear = Ear(
        frozenset((bus, factor(gain_db)) for bus, gain_db in spec.hears.items()),
        frozenset(
            (peer, 0.0 if gain_db is None else factor(gain_db))
            for peer, gain_db in spec.for_me.items()
        ),
    )
    return PLAIN if ear == PLAIN else ear
