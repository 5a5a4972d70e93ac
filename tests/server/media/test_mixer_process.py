"""What is particular to the mixer being a process of its own."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mixer.types import AnchorSpec, PeerId, PlaneSettings, RoomId, RoomSpec
from server.errors import PlaneUnavailable, SetupMistake
from server.media.mixer_plane import WorkerPlane
from server.ports import PlaneLost
from server.supervise import Supervisor

pytestmark = pytest.mark.slow  # starts real processes

ROOT = Path(__file__).parents[3]
THREADED = ROOT / "tests" / "support" / "threaded_mixer.py"
SETTINGS = PlaneSettings(udp_host="127.0.0.1", udp_port=0)
ROOM = RoomSpec(RoomId("room"), 1, (AnchorSpec(PeerId("ann")),))

ORPHAN = """
import asyncio
import structlog
from mixer.types import PlaneSettings
from server.media.mixer_plane import WorkerPlane
from server.supervise import Supervisor

structlog.configure(logger_factory=structlog.ReturnLoggerFactory())

async def main():
    async with Supervisor() as supervisor:
        plane = WorkerPlane(PlaneSettings("127.0.0.1", 0))
        await plane.start(supervisor)
        print(plane.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """Owner of the processes."""
    with capture_logs():
        async with Supervisor() as root:
            yield root


def threaded(moment: str) -> WorkerPlane:
    """A mixer with a busy second thread."""
    return WorkerPlane(SETTINGS, command=[sys.executable, str(THREADED), moment])


async def test_a_killed_mixer_is_an_event_and_comes_back(supervisor: Supervisor) -> None:
    """Kill -9: PlaneLost, calls fail fast, rooms are applied again; Ctrl-C does nothing."""
    plane = WorkerPlane(SETTINGS)
    await plane.start(supervisor)
    await plane.apply(ROOM)
    assert plane.pid is not None
    os.kill(plane.pid, signal.SIGINT)
    assert (await plane.statistics())["mixer"].gauges["rooms"] == 1
    os.kill(plane.pid, signal.SIGKILL)
    events = plane.events()
    assert isinstance(await anext(events), PlaneLost)
    with pytest.raises(PlaneUnavailable):
        await plane.accept_offer(ROOM.room, PeerId("ann"), "v=0\r\n")
    away = (await plane.statistics())["mixer"]
    assert (away.gauges["mixer_up"], away.counters["mixer_restarts"]) == (0, 0)
    await plane.wait_up()
    back = (await plane.statistics())["mixer"]
    assert (back.gauges["rooms"], back.counters["mixer_restarts"]) == (1, 1)
    await plane.close()
    assert [event async for event in events] == []


async def test_the_mixer_holds_one_thread_and_nothing_it_does_not_need(
    supervisor: Supervisor,
) -> None:
    """One Python thread; no library of PyAV (but its libopus), SQLite or aiohttp is mapped."""
    plane = WorkerPlane(SETTINGS)
    await plane.start(supervisor)
    await plane.apply(ROOM)
    gauges = (await plane.statistics())["mixer"].gauges
    assert (gauges["mixer_python_threads"], gauges["mixer_os_threads"]) == (1, 1)
    maps = Path(f"/proc/{plane.pid}/maps").read_text(encoding="utf-8")  # noqa: ASYNC240 - a test
    assert "numpy" in maps
    assert [name for name in ("/av/", "_sqlite3", "aiohttp") if name in maps] == []


def test_the_mixer_imports_nothing_it_does_not_need() -> None:
    """Neither PyAV nor SQLite nor aiohttp is in sys.modules."""
    program = (
        "import sys, server.media.mixer_worker as _;"
        "print(sorted({'av', 'sqlite3', 'aiohttp', 'server.compose'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"


async def test_a_second_thread_keeps_the_mixer_from_starting(supervisor: Supervisor) -> None:
    """A busy thread that is there from the beginning: the start fails and names it."""
    with pytest.raises(SetupMistake, match="2 Python threads instead of 1"):
        await threaded("at-start").start(supervisor)


async def test_a_second_thread_is_seen_while_the_mixer_runs(supervisor: Supervisor) -> None:
    """A busy thread that comes later shows in the statistics."""
    plane = threaded("at-apply")
    await plane.start(supervisor)
    await plane.apply(ROOM)
    statistics = (await plane.statistics())["mixer"]
    assert statistics.gauges["mixer_python_threads"] == 2
    assert statistics.counters["mixer_thread_violations"] >= 1


def test_no_orphan_survives_the_control_process() -> None:
    """Kill -9 of the parent: the mixer ends by itself."""
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as parent:
        assert parent.stdout is not None
        try:
            orphan = os.pidfd_open(int(parent.stdout.readline()))
        finally:
            parent.kill()
        assert select.select([orphan], [], [], 5.0)[0] == [orphan]
        os.close(orphan)


@pytest.mark.parametrize("arguments", [[], ["junk"]])
def test_a_worker_started_by_hand_says_what_to_do(arguments: list[str]) -> None:
    """A sentence and an exit code, no stack."""
    run = subprocess.run(
        [sys.executable, "-P", str(ROOT / "server" / "__main__.py"), "worker", "mixer", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert (run.returncode, run.stderr) == (
        1,
        "Workers are started by roomtone itself; try: roomtone serve\n",
    )
