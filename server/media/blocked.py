"""Requests that wait for a part of a broadcast that is not there yet."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

from mixer.types import Spawn
from server.domain.reload import BLOCKED_S
from server.errors import BlockedTooLong, PlaneUnavailable, TooManyBlocked

MAX_BLOCKED: Final = 20_000  # of 1 kB each beside their connections; a listener has two at most

What = TypeVar("What", bound=Hashable)
Answer = TypeVar("Answer")
Done = Callable[[Answer | None, Exception | None], None]


class Waiting(Generic[What, Answer]):
    """One request that waits; `done` is called once, with its answer or with what went wrong."""

    __slots__ = ("done", "part", "room", "until", "what")

    def __init__(self, room: str, part: int, what: What, done: Done[Answer]) -> None:
        self.room = room
        self.part = part
        self.what = what
        self.done: Done[Answer] | None = done  # None: it waits no more
        self.until = 0.0


_Group = set[Waiting[What, Answer]]


class Blocked(Generic[What, Answer]):
    """Requests by room, part and what is asked for: one call for each that is answered, no poll.

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
        self._rooms: dict[str, dict[tuple[int, What], _Group[What, Answer]]] = {}
        self._by_age: deque[Waiting[What, Answer]] = deque()  # also some that wait no more
        self._timer: asyncio.TimerHandle | None = None
        self._working: dict[tuple[str, What], int] = {}  # with the position it is to reach

    def __len__(self) -> int:
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether one more would be refused."""
        return self._count >= self._most

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
        mine: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

        def done(answer: Answer | None, error: Exception | None) -> None:
            if mine.done():
                return
            if error is None:
                mine.set_result(answer)
            else:
                mine.set_exception(error)

        waiting = self.park(room, part, what, done)
        try:
            return await mine
        finally:
            self.leave(waiting)

    def park(self, room: str, part: int, what: What, done: Done[Answer]) -> Waiting[What, Answer]:
        """Have `done` called as `wait` would return or raise. Raises TooManyBlocked at once.

        It must not raise. It is not called any more after `leave`.
        """
        if self.is_full:
            self.refused += 1
            raise TooManyBlocked
        loop = asyncio.get_running_loop()
        waiting: Waiting[What, Answer] = Waiting(room, part, what, done)
        waiting.until = loop.time() + self._longest_s
        self._rooms.setdefault(room, {}).setdefault((part, what), set()).add(waiting)
        self._count += 1
        while self._by_age and self._by_age[0].done is None:
            self._by_age.popleft()
        self._by_age.append(waiting)  # all wait equally long, so the oldest is the first to go
        if self._timer is None:
            self._timer = loop.call_at(waiting.until, self._expire)
        return waiting

    def leave(self, waiting: Waiting[What, Answer]) -> None:
        """Free a place, if it is still taken."""
        if waiting.done is None:
            return
        self._forget(waiting)
        key = (waiting.part, waiting.what)
        groups = self._rooms.get(waiting.room, {})
        group = groups.get(key, set())  # none while it is being told
        group.discard(waiting)
        if not group:
            groups.pop(key, None)
        if not groups:
            self._rooms.pop(waiting.room, None)

    def reached(self, room: str, position: int) -> None:
        """Answer everybody who waits for a part before `position`, the first that is to come."""
        for what in {what for part, what in self._rooms.get(room, {}) if part < position}:
            self.hurry(room, what, position)

    def hurry(self, room: str, what: What, position: int) -> None:
        """Answer those of them who wait for one thing."""
        is_under_way = (room, what) in self._working
        self._working[room, what] = position
        if not is_under_way:
            self._spawn(self._answer(room, what), name="blocked")

    def end(self, room: str) -> None:
        """Answer everybody who waits for a room that is over."""
        for group in self._rooms.pop(room, {}).values():
            self._tell(group, None, None)

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
                self._tell(group, None, error)
        else:
            for group in self._due(room, what, position):
                self._tell(group, answer, None)

    def _due(self, room: str, what: What, position: int) -> list[_Group[What, Answer]]:
        groups = self._rooms.get(room, {})
        due = [groups.pop(key) for key in list(groups) if key[1] == what and key[0] < position]
        if not groups:
            self._rooms.pop(room, None)
        return due

    def _tell(
        self, group: _Group[What, Answer], answer: Answer | None, error: Exception | None
    ) -> None:
        for one in group:
            done = one.done
            if done is not None:  # else what was told another made this one leave
                self._forget(one)
                self.wakeups += 1
                done(answer, error)

    def _forget(self, waiting: Waiting[What, Answer]) -> None:
        waiting.done = None
        self._count -= 1
        if not self._count:
            self._by_age.clear()

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        # The timer stays set meanwhile: who is told may park anew, and there is one for all.
        while self._by_age:
            oldest = self._by_age[0]
            if oldest.done is not None and oldest.until > loop.time():
                self._timer = loop.call_at(oldest.until, self._expire)
                return
            self._by_age.popleft()
            if (done := oldest.done) is not None:
                self.leave(oldest)
                self.expired += 1
                done(None, BlockedTooLong())
        self._timer = None
