import asyncio
from collections.abc import Coroutine, Iterator
from itertools import repeat
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.supervise import Supervisor


async def forever() -> None:
    """Run until cancelled."""
    await asyncio.Event().wait()


async def fail() -> None:
    """Fail at once."""
    raise ValueError("broken")


def no_wait() -> Iterator[float]:
    """Delays of nothing."""
    return repeat(0.0)


def record_end(name: str, ends: list[str]) -> Coroutine[Any, Any, None]:
    """Run until cancelled, then leave the name in `ends`."""

    async def run() -> None:
        try:
            await forever()
        finally:
            ends.append(name)

    return run()


async def test_a_failure_ends_nobody_else() -> None:
    """A child that raises is logged with its name and counted; its sibling runs on."""
    with capture_logs() as logs:
        async with Supervisor() as supervisor:
            sibling = supervisor.spawn(forever(), name="sibling")
            await asyncio.wait([supervisor.spawn(fail(), name="broken one")])
            await asyncio.sleep(0)
            assert not sibling.done()
            assert supervisor.failures == 1
    assert [(line["event"], line["task"]) for line in logs] == [("task_failed", "broken one")]


async def test_closing_ends_children_in_reverse_order_of_birth() -> None:
    """The last born ends first, whether task or scope."""
    ends: list[str] = []
    async with Supervisor() as supervisor:
        _ = supervisor.spawn(record_end("first", ends), name="first")
        _ = supervisor.scope("inner").spawn(record_end("second", ends), name="second")
        _ = supervisor.spawn(record_end("third", ends), name="third")
        await asyncio.sleep(0)
    assert ends == ["third", "second", "first"]


async def test_a_scope_ends_alone() -> None:
    """Closing a scope ends its children and nobody else's."""
    async with Supervisor() as supervisor:
        outer = supervisor.spawn(forever(), name="outer")
        async with supervisor.scope("inner") as scope:
            inner = scope.spawn(forever(), name="inner")
        assert inner.cancelled()
        assert not outer.done()


async def test_a_failure_in_a_scope_counts_for_its_parent() -> None:
    """`failures` of the root is the sum over all scopes."""
    async with Supervisor() as supervisor, supervisor.scope("inner") as scope:
        await asyncio.wait([scope.spawn(fail(), name="broken")])
        await asyncio.sleep(0)
        assert supervisor.failures == 1


async def test_a_child_that_will_not_end_is_left_behind() -> None:
    """Closing is bounded: what swallows its cancellation is named in the log."""
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    supervisor = Supervisor(grace_s=0.0)
    task = supervisor.spawn(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await supervisor.close()
    assert [line["task"] for line in logs] == ["stubborn"]
    release.set()
    await task


async def test_nothing_is_born_after_closing() -> None:
    """A closed supervisor refuses tasks and scopes, and leaves no coroutine unawaited."""
    supervisor = Supervisor()
    await supervisor.close()
    with pytest.raises(RuntimeError, match="closing"):
        _ = supervisor.spawn(forever(), name="late")
    with pytest.raises(RuntimeError, match="closing"):
        supervisor.scope("late")


async def test_a_child_may_close_its_supervisor() -> None:
    """Closing from within a child waits for the others only."""
    supervisor = Supervisor()
    other = supervisor.spawn(forever(), name="other")
    await supervisor.spawn(supervisor.close(), name="closer")
    assert other.cancelled()


async def test_keep_running_runs_again_after_failure_and_return() -> None:
    """Whether it raised or returned, the coroutine is made and run anew."""
    runs = 0
    enough = asyncio.Event()

    async def flaky() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            enough.set()
        if runs % 2:
            raise ValueError("broken")

    with capture_logs() as logs:
        async with Supervisor() as supervisor:
            _ = supervisor.keep_running(flaky, name="flaky", delays=no_wait)
            await enough.wait()
            await asyncio.sleep(0)
    assert {(line["event"], line["task"]) for line in logs} == {("task_failed", "flaky")}
    assert supervisor.failures == len(logs) == (runs + 1) // 2
