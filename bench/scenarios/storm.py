"""Joins with sound, DTLS included: one after the other in a row, and a hundred at once."""

import asyncio
import time

from bench.children import cpu_seconds
from bench.figures import Row, Section
from bench.hall import Hall, hall
from bench.run import Run
from bench.scenarios.control import TALKERS, allow_files
from bench.whole_server import WholeServer

AT_ONCE = 4
SETTLE_S = 2.0


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return run.settings.measure.rounds


async def measure(run: Run) -> Section:
    """Let people join a server in which others talk."""
    sizes = run.settings.sizes
    section = Section(
        "storm",
        "Joins with sound: socket, join, offer, ICE check, DTLS",
        {
            "join": "ms",
            "rate": "joins per s",
            "core": "joins per CPU-second of the server",
            "control": "of it the control process, ms per join",
            "ticks": "ticks later than 5 ms",
            "worst": "worst tick, ms",
        },
        main="core",
        note="The clients' half of every handshake takes this process's time.",
        show_percentiles=True,
    )
    allow_files(2 * sizes.storm)
    for turn in range(run.settings.measure.rounds):
        run.said(f"joins with sound, round {turn + 1}")
        server = WholeServer()
        try:
            await server.start()
            async with hall(server, TALKERS + sizes.joins + sizes.storm) as made:
                await server.new_room("hall")
                talkers = [
                    (await made.enter(await server.visitor("hall")))[0] for _ in range(TALKERS)
                ]
                async with made.talk(talkers, run):
                    await asyncio.sleep(SETTLE_S)
                    row = section.row(f"{AT_ONCE} at a time", server.name)
                    await _join(made, row, sizes.joins, AT_ONCE)
                    row = section.row(f"{sizes.storm} at once", server.name)
                    await _join(made, row, sizes.storm, sizes.storm)
        finally:
            await asyncio.shield(server.stop())
    return section


async def _join(made: Hall, row: Row, count: int, at_once: int) -> None:
    """Let `count` people join rooms of ten, so many at once, and note what that took."""
    server = made.server
    visitors = await server.visitors(count, 10)
    free = asyncio.Semaphore(at_once)

    async def join(number: int) -> float:
        async with free:
            return (await made.enter(visitors[number]))[1]

    before, pids = await server.ticks(), server.pids()
    control, cpu, began_s = cpu_seconds(pids[:1]), cpu_seconds(pids), time.monotonic()
    async with asyncio.TaskGroup() as group:
        joins = [group.create_task(join(number), name="join") for number in range(count)]
    took_s = time.monotonic() - began_s
    control, cpu = cpu_seconds(pids[:1]) - control, cpu_seconds(pids) - cpu
    await asyncio.sleep(SETTLE_S)
    after = await server.ticks()
    row.add(
        join=[task.result() for task in joins],
        rate=count / took_s,
        core=count / max(cpu, 0.01),
        control=1000 * control / count,
        ticks=after.since(before)[1],
        worst=1000 * after.worst_s,
    )
