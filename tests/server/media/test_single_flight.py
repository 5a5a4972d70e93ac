import asyncio

import pytest

from server.media.single_flight import SingleFlight
from server.supervise import Supervisor


class Work:
    """Counts its runs, and ends when released."""

    def __init__(self) -> None:
        self.runs = 0
        self.release = asyncio.Event()

    async def run(self) -> int:
        """Return the number of this run."""
        self.runs += 1
        run = self.runs
        await self.release.wait()
        return run

    async def fail(self) -> int:
        """Fail."""
        self.runs += 1
        await self.release.wait()
        raise ValueError("broken")


async def test_callers_at_once_share_one_run() -> None:
    """Same key, one run; another key, another run; later, a new run."""
    work = Work()
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        flight = SingleFlight[str, int](supervisor.spawn, name="work")
        same = [group.create_task(flight.do("a", work.run)) for _ in range(3)]
        other = group.create_task(flight.do("b", work.run))
        await asyncio.sleep(0)
        work.release.set()
        assert await asyncio.gather(*same, other) == [1, 1, 1, 2]
        assert await flight.do("a", work.run) == 3


async def test_all_callers_see_the_failure() -> None:
    """Work that raises raises for everybody, and is tried anew."""
    work = Work()
    async with Supervisor() as supervisor:
        flight = SingleFlight[str, int](supervisor.spawn, name="work")
        calls = [flight.do("a", work.fail) for _ in range(2)]
        work.release.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(result) for result in results] == ["broken", "broken"]
        with pytest.raises(ValueError, match="broken"):
            await flight.do("a", work.fail)
        assert work.runs == 2


async def test_a_caller_who_leaves_takes_nothing_along() -> None:
    """The one who asked first goes; the other still gets the answer."""
    work = Work()
    async with Supervisor() as supervisor, asyncio.TaskGroup() as group:
        flight = SingleFlight[str, int](supervisor.spawn, name="work")
        first = group.create_task(flight.do("a", work.run))
        second = group.create_task(flight.do("a", work.run))
        await asyncio.sleep(0)
        first.cancel()
        work.release.set()
        assert await second == 1


async def test_closing_ends_the_callers() -> None:
    """When the owner of the work closes, nobody waits for ever."""
    work = Work()
    async with asyncio.TaskGroup() as group:
        async with Supervisor() as supervisor:
            flight = SingleFlight[str, int](supervisor.spawn, name="work")
            call = group.create_task(flight.do("a", work.run))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.wait([call])
        assert call.cancelled()
