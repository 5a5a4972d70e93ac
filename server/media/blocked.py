"""Requests that wait for a part of a broadcast that is not there yet."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

from mixer.types import Spawn
from server.domain.reload import BLOCKED_S
from server.errors import BlockedTooLong, PlaneUnavailable, TooManyBlocked

MAX_BLOCKED: Final = 20_000  # of 2 kB each beside their connections; a listener has two at most

What = TypeVar("What", bound=Hashable)
Answer = TypeVar("Answer")
_Group = set[asyncio.Future[Answer | None]]


class Blocked(Generic[What, Answer]):
    """A future for each request, by room, part and what is asked for: one wake-up each, no poll.

    When a part is complete `work` runs once for each thing that was asked for, and everybody who
    waits is given the same answer. While `work` finds the plane away they go on waiting.

    Args:
        spawn: runs the work.
        work: makes the answer for a room.
        most: requests that may wait at once.
        longest_s: how long each may.
    """

    def __init__(
        self,
        spawn: Spawn,
        work: Callable[[str, What], Coroutine[Any, Any, Answer | None]],
        *,
        most: int = MAX_BLOCKED,
        longest_s: float = BLOCKED_S,
    ) -> None:
        self.wakeups = 0
        self.refused = 0
        self.expired = 0
        self._spawn = spawn
        self._work = work
        self._most = most
        self._longest_s = longest_s
        self._count = 0
        self._rooms: dict[str, dict[tuple[int, What], _Group[Answer]]] = {}
        self._working: dict[tuple[str, What], int] = {}  # with the position it is to reach

    def __len__(self) -> int:
        return self._count

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms that somebody waits for."""
        return tuple(self._rooms)

    def count(self, room: str) -> int:
        """Return how many wait for a room."""
        return sum(len(group) for group in self._rooms.get(room, {}).values())

    async def wait(self, room: str, part: int, what: What) -> Answer | None:
        """Wait until the part is complete; return what `work` made, None if the room is over.

        Whoever is cancelled frees their place. Raises TooManyBlocked at once, BlockedTooLong when
        the time is over, and what `work` raises.
        """
        if self._count >= self._most:
            self.refused += 1
            raise TooManyBlocked
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[Answer | None] = loop.create_future()
        groups = self._rooms.setdefault(room, {})
        group = groups.setdefault((part, what), set())
        group.add(mine)
        self._count += 1
        timer = loop.call_later(self._longest_s, self._expire, mine)
        try:
            return await mine
        finally:
            timer.cancel()
            self._count -= 1
            group.discard(mine)
            if not group and groups.get((part, what)) is group:
                del groups[part, what]
            if not groups and self._rooms.get(room) is groups:
                del self._rooms[room]

    def reached(self, room: str, position: int) -> None:
        """Answer everybody who waits for a part before `position`, the first that is to come."""
        for what in {what for part, what in self._rooms.get(room, {}) if part < position}:
            is_under_way = (room, what) in self._working
            self._working[room, what] = position
            if not is_under_way:
                self._spawn(self._answer(room, what), name="blocked")

    def end(self, room: str) -> None:
        """Answer everybody who waits for a room that is over."""
        for group in self._rooms.pop(room, {}).values():
            self._wake(group, None)

    async def _answer(self, room: str, what: What) -> None:
        try:
            position = -1
            while (newest := self._working[room, what]) > position:
                position = newest
                await self._answer_until(room, what, position)
        except PlaneUnavailable:
            pass  # they are still there when it is back
        finally:
            del self._working[room, what]

    async def _answer_until(self, room: str, what: What, position: int) -> None:
        try:
            answer = await self._work(room, what)
        except PlaneUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it is the callers' to deal with
            for group in self._due(room, what, position):
                self._fail(group, error)
        else:
            for group in self._due(room, what, position):
                self._wake(group, answer)

    def _due(self, room: str, what: What, position: int) -> list[_Group[Answer]]:
        groups = self._rooms.get(room, {})
        due = [key for key in groups if key[1] == what and key[0] < position]
        return [groups.pop(key) for key in due]

    def _wake(self, group: _Group[Answer], answer: Answer | None) -> None:
        for one in group:
            if not one.done():
                self.wakeups += 1
                one.set_result(answer)

    def _fail(self, group: _Group[Answer], error: Exception) -> None:
        for one in group:
            if not one.done():
                self.wakeups += 1
                one.set_exception(error)

    def _expire(self, one: asyncio.Future[Answer | None]) -> None:
        if not one.done():
            self.expired += 1
            one.set_exception(BlockedTooLong())
