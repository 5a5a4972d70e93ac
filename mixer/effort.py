"""How hard the mixing is, and what quality there is time for."""

import logging
from dataclasses import replace

from mixer.core.headroom import Headroom
from mixer.core.overload import Overload
from mixer.core.strain import Strain, StrainMeter
from mixer.types import OverloadLevel, Quality

_log = logging.getLogger(__name__)


class Effort:
    """Measures the work of the ticks, and judges once a second what may be spent on it."""

    def __init__(self, now: float) -> None:
        self._strain = StrainMeter(now)
        self._overload = Overload()
        self._headroom = Headroom()

    @property
    def level(self) -> OverloadLevel:
        """How much is shed."""
        return self._overload.level

    @property
    def is_full(self) -> bool:
        """Nobody more can be served."""
        return self._overload.is_full

    @property
    def busy_share(self) -> float:
        """The part of the time that the work takes."""
        return self._strain.busy_share

    @property
    def quality(self) -> Quality:
        """What rooms may spend."""
        return replace(self._overload.quality, robust_complexity=self._headroom.complexity)

    def ticked(self, *, is_late: bool) -> None:
        """Count a tick."""
        self._strain.ticked(is_late=is_late)

    def worked(self, began: float, ended: float) -> None:
        """Count work, in seconds of the monotonic clock."""
        self._strain.worked(began, ended)

    def judge(self, now: float) -> tuple[bool, bool]:
        """Return whether there is another quality, and whether it is because of another level."""
        strain = self._strain.second(now)
        if strain is None:
            return False, False
        is_other_work, is_other_level = self._headroom.note(strain), self._overload.note(strain)
        if is_other_level:
            self._say(strain)
        return is_other_work or is_other_level, is_other_level

    def _say(self, strain: Strain) -> None:
        _log.warning(
            "overload level %d (%s): ticks took %.0f %% of the last second, %.0f %% were late",
            self.level,
            self.level.name.lower(),
            100 * strain.busy_share,
            100 * strain.late_share,
        )
