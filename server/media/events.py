"""A plane's events on their way to the one who reads them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from mixer.types import PlaneEvent
from server.ports import PlaneLost

MAX_EVENTS = 4096  # a reader that far behind has stalled; 40 in a room make 10 events a second


class EventQueue:
    """Events in order, for one reader; when full the oldest goes, counted."""

    def __init__(self, *, max_events: int = MAX_EVENTS) -> None:
        self.dropped = 0
        self._events: deque[PlaneEvent | PlaneLost] = deque(maxlen=max_events)
        self._came = asyncio.Event()
        self._closed = False

    def put(self, event: PlaneEvent) -> None:
        """Add an event. Never blocks, never raises: a `mixer.types.Emit`."""
        self.dropped += len(self._events) == self._events.maxlen
        self._events.append(event)
        self._came.set()

    def put_lost(self) -> None:
        """Say that every connection is gone: earlier events tell of nothing that still exists."""
        self._events.clear()
        self._events.append(PlaneLost())
        self._came.set()

    def close(self) -> None:
        """End the reader once it has read what is there."""
        self._closed = True
        self._came.set()

    async def read(self) -> AsyncIterator[PlaneEvent | PlaneLost]:
        """Yield events as they come, until closed."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._came.clear()
            await self._came.wait()
