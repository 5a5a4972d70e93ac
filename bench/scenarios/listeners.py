"""People who only listen over WebRTC: what one more of them costs."""

from dataclasses import replace

from bench.ear import Ear
from bench.figures import Section, slope
from bench.plan import Part, Store, make_plan
from bench.run import Run
from bench.session import session

SPEAKERS = 3
DECRYPT_EVERY = 100


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return run.settings.measure.rounds * len(run.makers)


async def measure(run: Run) -> Section:
    """Measure the CPU with few and with many sinks, and take the slope."""
    section = Section(
        "listeners",
        "Listeners of one mix",
        {
            "per_core": "listeners per core",
            "packets_core": "packets/s per core",
            "percent": "% of a core per listener",
            "packets": "packets/s to each",
            "heard": "packets/s decrypted of one in a hundred",
        },
        main="per_core",
        note="The slope between the two sizes: what the room costs without listeners is left out.",
    )
    sizes = run.settings.sizes
    for turn, name, make in run.rounds():
        few, many = _two(sizes.listeners if name == "roomtone" else sizes.listeners_rival)
        run.said(f"{few} and {many} listeners, round {turn + 1}: {name}")
        points = []
        async with session(make, many + SPEAKERS, run.settings) as held:
            for _ in range(SPEAKERS):
                await held.join("room")
            speech = run.clip("speech")
            store = Store.of([speech])
            seconds = run.settings.measure.seconds
            ears: list[Ear] = []
            packets = heard = 0.0
            for size in (few, many):
                while len(held.crowd.clients) < size + SPEAKERS:
                    client = await held.join("room", "recvonly")
                    if client.index % DECRYPT_EVERY == SPEAKERS:
                        ears.append(Ear())
                        held.crowd.listen(client, ears[-1])
                parts = [
                    Part(index, speech, int(seconds * 50), run.phase_s(), at=100 * index)
                    for index in range(SPEAKERS)
                ]
                warm = int(run.settings.measure.warm_up_s * 50)
                await held.crowd.play(
                    make_plan(store, [replace(part, ticks=warm) for part in parts])
                )
                received = int(held.crowd.received[SPEAKERS:].sum())
                already = sum(len(ear.packets) for ear in ears)
                spent, took = await held.measure(make_plan(store, parts))
                points.append((float(size), spent / took))
                packets = (int(held.crowd.received[SPEAKERS:].sum()) - received) / took / size
                heard = (sum(len(ear.packets) for ear in ears) - already) / took / len(ears)
            each = slope(points[0], points[1])
            row = section.row(f"{few} to {many}", held.rival.name)
            if each <= 0:  # noise is larger than so few listeners
                row.note = "too few listeners, or too short, for a slope"
                continue
            row.add(
                per_core=1 / each,
                packets_core=packets / each,
                percent=100 * each,
                packets=packets,
                heard=heard,
            )
    return section


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    return min(sizes), max(sizes)
