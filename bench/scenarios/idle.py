"""Rooms with nobody in them."""

import asyncio

from bench.children import cpu_seconds
from bench.figures import Section
from bench.run import Run
from bench.session import session

SETTLE_S = 1.0


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
    )
    sizes = run.settings.sizes
    for turn, name, make in run.rounds():
        count = sizes.idle_rooms if name == "roomtone" else sizes.idle_rooms_rival
        run.said(f"{count} idle rooms, round {turn + 1}: {name}")
        async with session(make, 1, run.settings) as held:
            empty = held.rss()
            await held.rival.idle_rooms(count)
            await asyncio.sleep(SETTLE_S)
            before = cpu_seconds(held.rival.pids())
            await asyncio.sleep(run.settings.measure.seconds)
            spent = cpu_seconds(held.rival.pids()) - before
            percent = 100 * spent / run.settings.measure.seconds
            row = section.row(f"{count} rooms", held.rival.name)
            row.add(
                cpu=percent,
                per_room=percent / count * 1000,
                rss=(held.rss() - empty) / count / 1e3,
            )
    return section
