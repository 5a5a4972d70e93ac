"""The clocks of this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mixer.types import tick_at

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` and `unix` return seconds; `boot` names the boot that `monotonic` counts from."""

    monotonic: Callable[[], float]
    unix: Callable[[], float]
    boot: str

    def now(self) -> datetime:
        """Return the wall clock as an aware time in UTC."""
        return datetime.fromtimestamp(self.unix(), UTC)

    def tick(self) -> int:
        """Return the number of the current media tick."""
        return tick_at(self.monotonic())


def system_clock() -> Clock:
    """Return the machine's own clocks."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""  # never equal to a stored one: the wall clock decides after every restart
    return Clock(time.monotonic, time.time, boot or f"unknown-{time.time_ns()}")  # noqa: TID251 - the one adapter
