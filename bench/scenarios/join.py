"""Join time: from an offer to the first mixed packet."""

import asyncio
import time

from bench.errors import BenchMistake
from bench.figures import Section
from bench.plan import Part, Store, make_plan
from bench.run import Run
from bench.session import Session, session

PATIENCE_S = 10.0
PAUSE_S = 0.1


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return run.settings.measure.rounds * len(run.makers)


async def measure(run: Run) -> Section:
    """Join one after the other a room where somebody speaks."""
    section = Section(
        "join",
        "Join: offer received to first mixed packet",
        {"join": "ms"},
        main="join",
        note="The client's own half of the DTLS handshake is in it.",
        show_percentiles=True,
    )
    for turn, name, make in run.rounds():
        run.said(f"joins, round {turn + 1}: {name}")
        joins = run.settings.sizes.joins
        async with session(make, joins + 1, run.settings) as held:
            speaker = await held.join("room")
            speech = run.clip("speech")
            plan = make_plan(
                Store.of([speech]), [Part(speaker.index, speech, joins * 50 * 11, run.phase_s())]
            )
            talking = asyncio.create_task(held.crowd.play(plan), name="the speaker")
            try:
                section.row("one by one", held.rival.name).add(
                    join=[await _join(held) for _ in range(joins)]
                )
            finally:
                talking.cancel()  # ends with the first joins done, long before its plan
                await asyncio.gather(talking, return_exceptions=True)
    return section


async def _join(held: Session) -> float:
    """Return milliseconds."""
    asked_s = time.monotonic()
    client = await held.join("room")
    try:
        async with asyncio.timeout(PATIENCE_S):
            while client.index not in held.crowd.first_packet_s:
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise BenchMistake(
            f"{held.rival.name} sent nothing within {PATIENCE_S:.0f} s of a join."
        ) from None
    took_s = held.crowd.first_packet_s[client.index] - asked_s
    await asyncio.sleep(PAUSE_S)
    return 1000 * took_s
