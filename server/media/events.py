"""A plane's events on their way to the one who reads them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from mixer.types import PeerChanged, PlaneEvent, Played, RoomId, Talking
from server.ports import PlaneLost

MAX_EVENTS = 4096  # a reader that far behind has stalled; 40 in a room make 10 events a second


def room_of(event: PlaneEvent | PlaneLost) -> RoomId | None:
    """Return the room an event is about, None if it is about no single one."""
    return event.room if isinstance(event, PeerChanged | Talking | Played) else None


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

    def put_lost(self, rooms: frozenset[RoomId] | None = None) -> None:
        """Say that every connection in `rooms` (None: in all) is gone.

        Earlier events of these rooms tell of nothing that still exists, and go.
        """
        kept = [] if rooms is None else [one for one in self._events if room_of(one) not in rooms]
        self._events.clear()
        self._events.extend(kept)
        self.dropped += len(self._events) == self._events.maxlen
        self._events.append(PlaneLost(rooms))
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
