"""Turns for work that may wait for another tick: one after another, a few milliseconds a tick."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol


class Waiting(Protocol):
    """Somebody who waits for a turn."""

    def release(self) -> bool:
        """Let the work begin soon; False if there is none any more."""


class Turns:
    """Gives out turns in the order in which they were asked for; one runs at a time.

    A turn comes only while the tick's budget lasts, the last one may pass it, and none shortly
    before the next tick: whoever runs then would make it late.
    """

    def __init__(self, clock: Callable[[], float], budget_s: float) -> None:
        self._clock = clock
        self._budget_s = budget_s
        self._waiting: dict[Waiting, None] = {}  # in order of arrival
        self._spent_s = 0.0
        self._is_held = False
        self._running: Waiting | None = None
        self._started = 0.0

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def new_tick(self) -> None:
        """Give out the next tick's budget."""
        self._spent_s, self._is_held = 0.0, False
        self.pump()

    def hold(self) -> None:
        """Let nobody begin before the next tick, which comes soon."""
        self._is_held = True

    def add(self, waiting: Waiting) -> None:
        """Queue somebody who has work to do."""
        self._waiting[waiting] = None

    def pump(self) -> None:
        """Let the next one run unless one is running or the budget is spent."""
        while (
            self._waiting
            and self._running is None
            and not self._is_held
            and self._spent_s < self._budget_s
        ):
            waiting = next(iter(self._waiting))
            del self._waiting[waiting]
            if waiting.release():
                self._running, self._started = waiting, self._clock()

    def done(self, waiting: Waiting) -> None:
        """Account the work of the one that ran, and let the next one run."""
        if self._running is waiting:
            self._spent_s += self._clock() - self._started
            self._running = None
            self.pump()

    def leave(self, waiting: Waiting) -> None:
        """Forget somebody who wants no turn any more."""
        self._waiting.pop(waiting, None)
        self.done(waiting)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn; it lasts as long as the context, in which nothing should be awaited."""
        one = _Turn()
        self.add(one)
        try:
            asyncio.get_running_loop().call_soon(self.pump)
            await one.has_come
            yield
        finally:
            self.leave(one)


class _Turn:
    """A turn of somebody who has nothing else to be woken by."""

    def __init__(self) -> None:
        self.has_come: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def release(self) -> bool:
        if self.has_come.done():  # cancelled
            return False
        self.has_come.set_result(None)
        return True
