"""Telling of each part of a broadcast as it is completed, while somebody wants to know."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from hls.types import Position
from mixer.types import TICK_S

FOLLOWED_S: Final = 10.0  # five segments: a player that asks for whole ones stays followed
_SOON_S: Final = TICK_S / 2  # when a timer came before the clock's next tick


class Parts(Protocol):
    """What knows how far each broadcast is; see hls.pipeline.Broadcaster."""

    def position(self, room: str, now_tick: int) -> Position | None:
        """Return the next part that is not complete, None if the room is not on air."""

    def due_tick(self, room: str) -> int | None:
        """Return the tick at which that part will be complete."""


@dataclass(slots=True)
class _Followed:
    until: float
    told: Position | None
    timer: asyncio.TimerHandle


class Progress:
    """A timer for each room that is followed; the others cost nothing.

    `tell` must not wait. `tick` returns the tick of now.
    """

    def __init__(
        self, parts: Parts, tell: Callable[[str, Position], None], tick: Callable[[], int]
    ) -> None:
        self._parts = parts
        self._tell = tell
        self._tick = tick
        self._followed: dict[str, _Followed] = {}

    def __len__(self) -> int:
        return len(self._followed)

    def follow(self, room: str) -> Position | None:
        """Tell of the room's parts for the next ten seconds; return how far it is.

        None, and nothing will be told, if it is not on air.
        """
        loop = asyncio.get_running_loop()
        position = self._parts.position(room, self._tick())
        known = self._followed.get(room)
        if position is None:
            self.drop(room)
        elif known is not None:
            known.until = loop.time() + FOLLOWED_S
        else:
            timer = self._arm(room)
            self._followed[room] = _Followed(loop.time() + FOLLOWED_S, position, timer)
        return position

    def drop(self, room: str) -> None:
        """Tell nothing more of a room."""
        known = self._followed.pop(room, None)
        if known is not None:
            known.timer.cancel()

    def close(self) -> None:
        """Tell nothing more."""
        for room in list(self._followed):
            self.drop(room)

    def _arm(self, room: str) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        due_tick = self._parts.due_tick(room)
        # Never at once: a timer that fires before its tick, or a part that is late, must not spin.
        at = loop.time() + _SOON_S
        if due_tick is not None:
            at = max(at, due_tick * TICK_S)
        return loop.call_at(at, self._due, room)

    def _due(self, room: str) -> None:
        known = self._followed[room]
        position = self._parts.position(room, self._tick())
        if position is None or asyncio.get_running_loop().time() >= known.until:
            del self._followed[room]
            return
        if position != known.told:
            known.told = position
            self._tell(room, position)
        known.timer = self._arm(room)
