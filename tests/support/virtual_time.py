"""An event loop whose time passes only by waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_TURN_S = 1e-6  # what a turn of the loop takes; a clock that stands still is no clock


class _Selector(selectors.SelectSelector):
    """Never waits: moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 5000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits for ever")
        self.now += _TURN_S if ready or timeout is None else max(timeout, _TURN_S)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual; `stall` is work that takes long and lets nobody else run."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def stall(self, seconds: float) -> None:
        self._virtual.now += seconds


def run_virtually(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run `main` to its end in virtual time."""
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()
