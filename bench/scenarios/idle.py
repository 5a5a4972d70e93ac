"""Rooms with nobody in them. Of Roomtone the whole server is measured, rooms made by REST."""

import asyncio

from bench.children import cpu_seconds
from bench.figures import Section
from bench.run import Run
from bench.session import session
from bench.whole_server import WholeServer

SETTLE_S = 3.0
TIMES_AS_LONG = 4  # a hundredth of a core is told in hundredths of a second


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return run.settings.measure.rounds * len(run.makers)


async def measure(run: Run) -> Section:
    """Open rooms, let nobody in and count the CPU."""
    section = Section(
        "idle",
        "Idle rooms: on air, nobody in, nobody listening",
        {"cpu": "% of a core", "per_room": "% of a core per 1,000 rooms", "rss": "kB per room"},
        main="per_room",
        note="Roomtone: the control process, a mixer and the broadcast; its own idling is in it.",
    )
    sizes = run.settings.sizes
    for turn, name, make in run.rounds():
        count = sizes.idle_rooms if name == "roomtone" else sizes.idle_rooms_rival
        run.said(f"{count} idle rooms, round {turn + 1}: {name}")
        whole = WholeServer if name == "roomtone" else make
        async with session(whole, 1, run.settings) as held:
            empty = held.rss()
            await held.rival.idle_rooms(count)
            await asyncio.sleep(SETTLE_S)
            before = cpu_seconds(held.rival.pids())
            seconds = TIMES_AS_LONG * run.settings.measure.seconds
            await asyncio.sleep(seconds)
            spent = cpu_seconds(held.rival.pids()) - before
            percent = 100 * spent / seconds
            row = section.row(f"{count} rooms", held.rival.name)
            row.add(
                cpu=percent,
                per_room=percent / count * 1000,
                rss=(held.rss() - empty) / count / 1e3,
            )
    return section
