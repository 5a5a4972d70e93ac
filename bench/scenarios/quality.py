"""Speech quality over networks that lose and delay, on the way in and on the way out."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from bench.crowd import PAYLOAD_TYPE
from bench.ear import Ear, hear
from bench.figures import Section
from bench.material import Pcm, encoder, make_clip, speech, with_red
from bench.plan import Part, Road, Store, make_plan
from bench.run import Run
from bench.session import Session, session
from bench.speech_score import Score, score
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S
from tests.support.netem import Network

T = TypeVar("T")

SPEECH_S = 7.5  # ends in a pause: a word cut in two costs half a point of PESQ
# Six seconds of speech before what is scored: buffers and encoders settle, and what a server sends
# follows the reports, which come once a second.
RUN_UP_TICKS = 300
PATIENCE_S = 0.08  # of the ear on jittery ways out: what a browser's buffer comes to at 40 ms
TAIL_TICKS = 25  # what is said last comes out later
BURST_PACKETS = 3  # mean length
MAX_EXPECTED_LOSS = 20  # percent; what browsers tell their encoder at most
PACKETS = 5000  # how far a loss pattern on the way out is thrown


@dataclass(frozen=True, slots=True)
class Jitter:
    """A road behind which each packet is late by up to `spread_s`, all delays alike."""

    road: Road
    spread_s: float
    seed: int

    def carry(self, sent: Iterable[tuple[float, T]]) -> Iterator[tuple[float, T]]:
        """See Road."""
        random = Random(self.seed)
        late = [
            (when + random.random() * self.spread_s, item) for when, item in self.road.carry(sent)
        ]
        yield from sorted(late, key=lambda pair: pair[0])


@dataclass(frozen=True, slots=True)
class Cell:
    """One network condition; a row of the table for each server."""

    name: str
    loss: float = 0.0
    bursty: bool = False
    jitter_s: float = 0.0
    drift_ppm: float = 0.0
    red: bool = False  # the clients take it, and send it where the server does

    def road(self, seed: int) -> Road:
        """Return this condition's network for a seed."""
        network = Network(seed=seed, delay_s=0.0, drift_ppm=self.drift_ppm)
        if self.bursty:
            enter = self.loss / (1 - self.loss) / BURST_PACKETS
            network = dataclasses.replace(network, burst_enter=enter, burst_leave=1 / BURST_PACKETS)
        else:
            network = dataclasses.replace(network, loss=self.loss)
        return Jitter(network, self.jitter_s, seed) if self.jitter_s else network


CELLS = (
    Cell("no loss"),
    *(Cell(f"{percent} % random", percent / 100) for percent in (1, 5, 10, 20)),
    *(Cell(f"{percent} % bursty", percent / 100, bursty=True) for percent in (1, 5, 10, 20)),
    *(Cell(f"{percent} % random, RED", percent / 100, red=True) for percent in (5, 10, 20)),
    Cell("10 % bursty, RED", 0.1, bursty=True, red=True),
    Cell("40 ms jitter", jitter_s=0.04),
    Cell("5 % random, 40 ms jitter", 0.05, jitter_s=0.04),
    Cell("5 % random, 40 ms jitter, RED", 0.05, jitter_s=0.04, red=True),
    Cell("drift +300 ppm", drift_ppm=300),
)
QUICK_CELLS = (CELLS[0], CELLS[2], CELLS[10])


@dataclass(frozen=True, slots=True)
class Recording:
    """What one ear heard of what one person said from `said_s` on (monotonic)."""

    direction: str
    packets: list[tuple[float, bytes]]
    said_s: float
    patience_s: float | None = None


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return 2 * len(_cells(run)) * len(run.makers)


def _cells(run: Run) -> tuple[Cell, ...]:
    return CELLS if run.settings.measure.seeds > 3 else QUICK_CELLS


async def measure(run: Run) -> Section:
    """Measure all cells, the servers in turns, then score what was heard."""
    section = Section(
        "quality",
        "Speech quality",
        {"pesq": "PESQ-WB", "stoi": "STOI", "delay": "ms added delay"},
        main="pesq",
        note="Medians over loss seeds, the same for every server. The delay is that of the whole "
        "way without the network's own: encoders, buffers, mixing.",
    )
    said = speech()[: int(SPEECH_S * SAMPLE_RATE)]
    recordings: list[tuple[str, str, Recording]] = []
    for cell in _cells(run):
        for name, make in run.makers.items():
            run.said(f"quality, {cell.name}: {name}")
            people = (2 * run.settings.measure.seeds) + 1 + run.settings.measure.seeds
            async with session(make, people, run.settings) as held:
                found = await _record(run, held, cell, said)
            recordings += [(cell.name, held.rival.name, recording) for recording in found]
    await _score_all(run, section, said, recordings)
    return section


async def _record(run: Run, held: Session, cell: Cell, said: Pcm) -> list[Recording]:
    """A room for each seed on the way in; one with an ear for each seed on the way out."""
    # Where each packet carries the frame before browsers need no FEC.
    expected = 0 if cell.red else min(MAX_EXPECTED_LOSS, round(100 * cell.loss))
    lossy = make_clip(said, encoder(run.settings.uplink, expected_loss=expected))
    clean = make_clip(said, encoder(run.settings.uplink))
    packed = with_red(lossy, PAYLOAD_TYPE)
    store = Store.of([lossy, clean, packed])
    ticks = RUN_UP_TICKS + len(lossy.packets) + TAIL_TICKS
    at = len(lossy.packets) - RUN_UP_TICKS
    parts, listening = [], []
    for seed in range(run.settings.measure.seeds):
        speaker = await held.join(f"in-{seed}", red=cell.red)
        ear = Ear()
        held.crowd.listen(await held.join(f"in-{seed}", "recvonly"), ear)
        said_by = packed if speaker.may_send_red else lossy
        part = Part(speaker.index, said_by, ticks, run.phase_s(), at, cell.road(seed))
        parts.append(part)
        listening.append(("in", ear, part))
    speaker = await held.join("out")
    part = Part(speaker.index, clean, ticks, run.phase_s(), at)
    parts.append(part)
    for seed in range(run.settings.measure.seeds):
        ear = Ear(_way_out(cell, seed))
        held.crowd.listen(await held.join("out", "recvonly", red=cell.red), ear)
        listening.append(("out", ear, part))
    start_s = await held.crowd.play(make_plan(store, parts))
    return [
        Recording(
            direction,
            ear.packets,
            start_s + part.phase_s + RUN_UP_TICKS * TICK_S,
            PATIENCE_S if cell.jitter_s and direction == "out" else None,
        )
        for direction, ear, part in listening
    ]


def _way_out(cell: Cell, seed: int) -> dict[int, float]:
    """Return the packets that arrive by number, and how much later than without this network."""
    numbers = ((number * TICK_S, number) for number in range(PACKETS))
    return {
        number: arrival_s - number * TICK_S for arrival_s, number in cell.road(seed).carry(numbers)
    }


def judge(said: Pcm, recording: Recording) -> tuple[Score, list[float]] | None:
    """Score a recording; also its delays in milliseconds. None: nothing arrived."""
    if not recording.packets:
        return None
    heard = hear(recording.packets, patience_s=recording.patience_s)
    expected = round((recording.said_s - heard.origin_s) * SAMPLE_RATE)
    found = score(said, heard.pcm, expected)
    return found, [1000 * (lag - expected) / SAMPLE_RATE for lag in found.lags]


async def _score_all(
    run: Run, section: Section, said: Pcm, recordings: list[tuple[str, str, Recording]]
) -> None:
    loop = asyncio.get_running_loop()
    said = said[: len(said) // FRAME_SAMPLES * FRAME_SAMPLES]
    pool = ProcessPoolExecutor(len(os.sched_getaffinity(0)), initializer=_ignore_interrupts)
    try:
        waiting = [
            loop.run_in_executor(pool, judge, said, recording) for *_, recording in recordings
        ]
        last = ""
        for (cell, server, recording), result in zip(recordings, waiting, strict=True):
            if f"{cell} {server}" != last:
                last = f"{cell} {server}"
                run.said(f"scoring, {cell}: {server}")
            judged = await result
            row = section.row(f"{recording.direction}: {cell}", server)
            if judged is None:
                row.note = "some heard nothing"
                continue
            found, delays = judged
            row.add(pesq=found.pesq, stoi=found.stoi, delay=delays)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
