"""People come and go for a long time: nothing piles up.

A quarter of a minute by default; `SOAK_S=1800 make test ARGS="-k soak"` takes half an hour.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.program import Program, children_of, running
from tests.support.room_client import connect, person
from tests.support.webrtc_client import tone

SOAK_S = float(os.environ.get("SOAK_S", "12"))
TOGETHER = 6
# What the allocator keeps, after a thousand joins as after ten thousand: half an hour shows a leak
# of one KiB a join, some seconds one of a connection.
MOST_GROWTH_BYTES = 12 << 20

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120 + 2 * SOAK_S)]


@dataclass(frozen=True, slots=True)
class Weight:
    """What the server holds."""

    rss_bytes: int
    descriptors: int
    threads: int
    tasks: float


def weigh(pid: int, tasks: float) -> Weight:
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    return Weight(
        pages * os.sysconf("SC_PAGE_SIZE"),
        len(list((process / "fd").iterdir())),
        len(list((process / "task").iterdir())),
        tasks,
    )


async def people(program: Program) -> float:
    return await program.metric("roomtone_peers_live") + await program.metric("roomtone_anchors")


async def weigh_all(program: Program) -> dict[str, Weight]:
    """Return the weight of every process once nobody is there any more."""
    async with asyncio.timeout(30):
        while await people(program):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)  # sleep: the server gives a person up after 15 s
    tasks = await program.metric("roomtone_mixer_tasks")
    pids = {"control": program.pid, **children_of(program.pid)}
    return {kind: weigh(pid, tasks if kind == "mixer" else 0) for kind, pid in pids.items()}


async def visit(program: Program, room: str, number: int) -> None:
    """Join, talk, and go: by saying so, or by closing the socket alone."""
    async with person(program, room, f"P{number}", tone(300.0 + number)) as (signalling, made):
        await connect(signalling, made, await made.offer())
        await made.hear(0.2)
        if number % 2:
            await signalling.call("leave")


async def come_and_go(program: Program, room: str, seconds: float) -> int:
    """Let people come, a few at a time, and return how many came."""
    came = 0
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        numbers = range(came, came + TOGETHER)
        await asyncio.gather(*(visit(program, room, number) for number in numbers))
        came += TOGETHER
    return came


async def test_soak_piles_nothing_up(tmp_path: Path) -> None:
    """Memory, descriptors, threads and tasks after many joins are those after a few."""
    async with running(tmp_path / "state") as program:
        room = (await program.new_room(name="Pigeonry"))["roomId"]
        await come_and_go(program, room, SOAK_S / 4)
        before = await weigh_all(program)
        came = await come_and_go(program, room, SOAK_S)
        after = await weigh_all(program)
        assert "Traceback" not in program.output
    assert came >= 2 * TOGETHER
    for kind, weight in after.items():
        assert weight.rss_bytes - before[kind].rss_bytes < MOST_GROWTH_BYTES, kind
        assert weight.descriptors <= before[kind].descriptors, kind
        assert weight.threads <= before[kind].threads, kind
        assert weight.tasks <= before[kind].tasks, kind
