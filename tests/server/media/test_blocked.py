import asyncio
from typing import Any

import pytest

from mixer.types import RoomId
from server.errors import BlockedTooLong, PlaneUnavailable, TooManyBlocked
from server.media.blocked import Blocked, Waiting
from server.supervise import Supervisor
from tests.support.virtual_time import VirtualLoop, run_virtually

ROOM = RoomId("demo")


class Kitchen:
    """Makes answers, counted; `error` is raised instead, `door` is waited for."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.error: Exception | None = None
        self.door = asyncio.Event()
        self.door.set()

    async def make(self, room: str, what: str) -> str | None:
        self.made.append(f"{room}/{what}")
        await self.door.wait()
        if self.error is not None:
            raise self.error
        return f"{what} {len(self.made)}"


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_piece_of_work_for_a_crowd() -> None:
    """Thousands who wait for the same get the very same answer, and each one wake-up."""
    kitchen = Kitchen()
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        blocked = Blocked(supervisor.spawn, kitchen.make)
        crowd = [group.create_task(blocked.wait(ROOM, 7, "text")) for _ in range(5000)]
        other = group.create_task(blocked.wait(ROOM, 7, "part"))
        await turns()
        before = len(asyncio.all_tasks())
        assert (len(blocked), blocked.count(ROOM), blocked.rooms) == (5001, 5001, (ROOM,))
        blocked.reached(ROOM, 7)  # 7 is the next, not yet complete
        blocked.reached("other", 100)
        await turns()
        assert kitchen.made == []
        blocked.reached(ROOM, 8)
        assert len(asyncio.all_tasks()) == before + 2  # the work, no task for each who waits
        answers = await asyncio.gather(*crowd)
        assert sorted(kitchen.made) == ["demo/part", "demo/text"]
        assert all(one is answers[0] for one in answers)
        assert (await other or "").startswith("part")
        assert (blocked.wakeups, len(blocked), blocked.rooms) == (5001, 0, ())


async def test_a_part_that_comes_while_work_is_under_way() -> None:
    """Who waits for it is not forgotten: the work is done once more."""
    kitchen = Kitchen()
    kitchen.door.clear()
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        blocked = Blocked(supervisor.spawn, kitchen.make)
        first = group.create_task(blocked.wait(ROOM, 7, "text"))
        second = group.create_task(blocked.wait(ROOM, 8, "text"))
        await turns()
        blocked.reached(ROOM, 8)
        await turns()
        blocked.reached(ROOM, 9)
        kitchen.door.set()
        assert await first == "text 1"
        assert await second == "text 2"


async def test_who_leaves_frees_their_place() -> None:
    """A place can be had again, and one too many is refused at once."""
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        blocked = Blocked(supervisor.spawn, Kitchen().make, most=2)
        waiting = [group.create_task(blocked.wait(ROOM, 7, "text")) for _ in range(2)]
        await turns()
        with pytest.raises(TooManyBlocked):
            await blocked.wait(ROOM, 7, "text")
        waiting[0].cancel()
        await turns()
        assert (len(blocked), blocked.refused) == (1, 1)
        third = group.create_task(blocked.wait(ROOM, 7, "text"))
        await turns()
        blocked.reached(ROOM, 8)
        assert await third == await waiting[1] == "text 1"
        assert blocked.wakeups == 2


async def test_while_the_plane_is_away() -> None:
    """They go on waiting, and are answered when it is back."""
    kitchen = Kitchen()
    kitchen.error = PlaneUnavailable()
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        blocked = Blocked(supervisor.spawn, kitchen.make)
        waiting = group.create_task(blocked.wait(ROOM, 7, "text"))
        await turns()
        blocked.reached(ROOM, 8)
        await turns()
        assert (len(blocked), len(kitchen.made)) == (1, 1)
        kitchen.error = None
        blocked.reached(ROOM, 8)
        assert await waiting == "text 2"


async def test_work_that_fails() -> None:
    """Everybody who waits for it is told; others are not disturbed."""
    kitchen = Kitchen()
    kitchen.error = ValueError("broken")
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        blocked = Blocked(supervisor.spawn, kitchen.make)
        failing = [
            group.create_task(_outcome(blocked.wait(ROOM, part, "text"))) for part in (6, 7, 8)
        ]
        await turns()
        blocked.reached(ROOM, 8)
        assert [await one for one in failing[:2]] == ["ValueError", "ValueError"]
        assert len(blocked) == 1
        blocked.end(ROOM)
        assert await failing[2] == "None"


async def _outcome(work: "asyncio.Future[str | None] | object") -> str:
    try:
        return repr(await work)  # type: ignore[misc]
    except ValueError as error:
        return type(error).__name__


async def test_a_room_that_is_over() -> None:
    """Everybody is told so at once, and nobody of another room; twice is as once."""
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        blocked = Blocked(supervisor.spawn, Kitchen().make)
        over = [group.create_task(blocked.wait(ROOM, part, "text")) for part in (7, 7, 8)]
        other = group.create_task(blocked.wait("other", 7, "text"))
        await turns()
        blocked.end(ROOM)
        blocked.end(ROOM)
        assert await asyncio.gather(*over) == [None, None, None]
        assert blocked.rooms == ("other",)
        blocked.reached("other", 8)
        assert await other == "text 1"


def test_no_longer_than_three_target_durations() -> None:
    """Who still waits after six seconds is told to ask again; the answer then disturbs nobody."""
    loop = VirtualLoop()
    kitchen = Kitchen()

    async def run() -> None:
        kitchen.door.clear()
        async with Supervisor() as supervisor:
            blocked = Blocked(supervisor.spawn, kitchen.make)
            began = loop.time()
            waiting = blocked.wait(ROOM, 7, "text")
            loop.call_later(5.9, blocked.reached, ROOM, 8)
            loop.call_later(6.1, kitchen.door.set)
            with pytest.raises(BlockedTooLong):
                await waiting
            assert loop.time() - began == pytest.approx(6.0, abs=0.001)
            await asyncio.sleep(1)  # sleep: in virtual time
            assert (len(blocked), blocked.expired, blocked.wakeups) == (0, 1, 0)

    run_virtually(run(), loop)


async def test_who_is_told_may_make_another_leave() -> None:
    """Whoever left meanwhile is not told any more, and nothing is counted twice."""
    async with Supervisor() as supervisor:
        blocked = Blocked(supervisor.spawn, Kitchen().make, most=2)
        told: list[str] = []
        waiting: list[Waiting[str, str]] = []

        def done(answer: str | None, error: Exception | None) -> None:
            told.append(f"{answer} {error}")
            for one in waiting:
                blocked.leave(one)

        waiting += [blocked.park(ROOM, 7, "text", done) for _ in range(2)]
        assert blocked.is_full
        blocked.reached(ROOM, 8)
        await turns()
        assert told == ["text 1 None"]
        assert (blocked.wakeups, len(blocked), blocked.rooms) == (1, 0, ())


def test_one_timer_for_all() -> None:
    """Each is told when its own time is over, whoever came before or left."""
    loop = VirtualLoop()

    async def main() -> None:
        async with Supervisor() as supervisor:
            blocked = Blocked(supervisor.spawn, Kitchen().make, longest_s=6.0)
            ends: list[tuple[str, float]] = []

            def park(name: str) -> Waiting[str, str]:
                def done(_: str | None, error: Exception | None) -> None:
                    assert isinstance(error, BlockedTooLong)
                    ends.append((name, loop.time() - began))

                return blocked.park(ROOM, 7, "text", done)

            began = loop.time()
            _, second = park("first"), park("second")
            await asyncio.sleep(2.0)  # sleep: on a virtual clock
            _ = park("third")
            blocked.leave(second)
            await asyncio.sleep(10.0)  # sleep: on a virtual clock
            assert [(name, round(at, 3)) for name, at in ends] == [("first", 6.0), ("third", 8.0)]
            assert (blocked.expired, len(blocked)) == (2, 0)

    run_virtually(main(), loop)


class CountingLoop(VirtualLoop):
    """Counts the timers that are set."""

    def __init__(self) -> None:
        self.timers = 0
        super().__init__()

    def call_at(  # type: ignore[override]  # its types are of no interest here
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def test_who_waits_again_at_once() -> None:
    """Whoever is told that it was too long may wait anew there and then: still by one timer."""
    loop = CountingLoop()

    async def main() -> None:
        async with Supervisor() as supervisor:
            blocked = Blocked(supervisor.spawn, Kitchen().make, longest_s=6.0)
            ends: list[float] = []

            def park(_answer: str | None = None, _error: Exception | None = None) -> None:
                ends.append(loop.time() - began)
                if len(ends) <= 20:
                    _ = blocked.park(ROOM, 7, "text", park)

            began, before = loop.time(), loop.timers
            park()
            await asyncio.sleep(200)  # sleep: on a virtual clock
            assert [round(end) for end in ends] == [6 * number for number in range(21)]
            assert (blocked.expired, len(blocked)) == (20, 0)
            assert loop.timers - before == 20 + 1  # and that of our sleep

    run_virtually(main(), loop)
