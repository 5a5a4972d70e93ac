"""CPU and memory per anchor: people in rooms, some of them speaking."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bench.errors import BenchMistake
from bench.figures import Row, Section
from bench.plan import Part, Plan, Store, make_plan
from bench.rivals import Rival
from bench.run import Run
from bench.session import Session, session

ENOUGH_PACKETS_S = 49.5
STRETCH = 1.03  # of the plan's length: then the clients were starved
SHRINK = 0.75
LEAST_ANCHORS = 6
SILENT = {"noise": "", "dtx": " (others in DTX)", "muted": " (others muted)"}


@dataclass(frozen=True, slots=True)
class Size:
    """Rooms of `people`, of whom `speaking` speak."""

    people: int
    speaking: int
    rooms: int = 1

    @property
    def anchors(self) -> int:
        """Everybody."""
        return self.rooms * self.people

    def __str__(self) -> str:
        prefix = f"{self.rooms}x" if self.rooms > 1 else ""
        return f"{prefix}{self.people}/{self.speaking}"

    def smaller(self) -> "Size | None":
        """Return three quarters of it, None below what is worth measuring."""
        if self.anchors * SHRINK < LEAST_ANCHORS:
            return None
        if self.rooms > 1:
            return replace(self, rooms=max(1, int(self.rooms * SHRINK)))
        people = int(self.people * SHRINK)
        speaking = people if self.speaking == self.people else min(self.speaking, people)
        return replace(self, people=people, speaking=speaking)


def parse_size(text: str) -> Size:
    """Read `people/speaking` or `ROOMSxpeople/speaking`.

    Raises:
        BenchMistake: it is neither.
    """
    match = re.fullmatch(r"(?:(\d+)x)?(\d+)/(\d+)", text)
    if match is None or int(match[3]) > int(match[2]) or int(match[2]) < 1 or match[1] == "0":
        raise BenchMistake(f"{text!r} is no size. Write 40/3 (40 people, 3 speaking) or 20x3/1.")
    return Size(int(match[2]), int(match[3]), int(match[1] or 1))


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return len(run.settings.sizes.cpu) * run.settings.measure.rounds * len(run.makers)


async def measure(run: Run) -> Section:
    """Measure all sizes in turns."""
    section = Section(
        "cpu",
        "CPU per anchor",
        {
            "cpu": "% of a core per anchor",
            "packets": "packets/s to each hearer",
            "rss": "MB per anchor",
            "client": "% of a core, the clients",
        },
        main="cpu",
        note="People/speaking, or rooms x people/speaking. A rival that delivers fewer than "
        f"{ENOUGH_PACKETS_S} packets/s, or leaves the clients too little of the machine, is "
        "measured at the largest size where it does not. DTX and muted: the first round alone.",
    )
    for text in run.settings.sizes.cpu:
        sizes = dict.fromkeys(run.makers, parse_size(text))
        for turn, name, make in run.rounds():
            run.said(f"CPU {text}, round {turn + 1}: {name}")
            kinds = tuple(SILENT) if turn == 0 else ("noise",)
            sizes[name] = await _round(run, section, (text, sizes[name], kinds), make)
    return section


async def _round(
    run: Run,
    section: Section,
    asked: tuple[str, Size, tuple[str, ...]],
    make: Callable[[], Rival],
) -> Size:
    """Measure one server once; shrink until it keeps up; return the size that was measured."""
    text, size, kinds = asked
    if size.speaking == size.people or size.rooms > 1:
        kinds = ("noise",)
    while True:
        async with session(make, size.anchors, run.settings) as held:
            found = await _measure(run, held, size, kinds)
            name = held.rival.name
        figures = found["noise"].figures
        keeps_up = figures["packets"][0] >= ENOUGH_PACKETS_S and figures["stretch"][0] < STRETCH
        smaller = size.smaller()
        # Roomtone sends nothing in the pauses of a lone speaker: fewer packets are no sign there.
        if keeps_up or smaller is None or name == "Roomtone":
            break
        size = smaller
    for kind, measured in found.items():
        row = section.row(text + SILENT[kind], name)
        row.add(**{key: values[0] for key, values in measured.figures.items()})
        row.note = "" if f"{size}" == text else f"at {size}"
    return size


async def _measure(run: Run, held: Session, size: Size, kinds: tuple[str, ...]) -> dict[str, Row]:
    empty = held.rss()
    for room in range(size.rooms):
        for _ in range(size.people):
            await held.join(f"room-{room}")
    clips = [run.clip("speech"), *(run.clip(kind) for kind in kinds)]
    store = Store.of(clips)
    found = {}
    hearers = _hearers(size)
    phases = [run.phase_s() for _ in range(size.anchors)]
    for kind in kinds:

        def plan(seconds: float, kind: str = kind) -> Plan:
            return plan_of(run, store, size, (kind, phases), seconds)

        await held.crowd.play(plan(run.settings.measure.warm_up_s))
        received, own = held.crowd.received.copy(), _own_cpu()
        measured = plan(run.settings.measure.seconds)
        spent, seconds = await held.measure(measured)
        came = (held.crowd.received - received)[hearers]
        row = found[kind] = Row("", "")
        row.add(
            cpu=100 * spent / seconds / size.anchors,
            packets=float(came.sum()) / seconds / max(1, len(hearers)),
            rss=(held.rss() - empty) / size.anchors / 1e6,
            client=100 * (_own_cpu() - own) / seconds,
            stretch=seconds / measured.seconds,
        )
    return found


def _own_cpu() -> float:
    return time.process_time()


def _hearers(size: Size) -> np.ndarray:
    """Return the clients who have somebody else to hear."""
    seats = np.arange(size.anchors) % size.people
    others = size.speaking - (seats < size.speaking)
    return np.flatnonzero(others > 0)


def plan_of(
    run: Run, store: Store, size: Size, silent: tuple[str, list[float]], seconds: float
) -> Plan:
    """Return what everybody sends: some speak, the others send the kind of silence asked for."""
    kind, phases = silent
    ticks = int(seconds * 50)
    return make_plan(
        store,
        [
            Part(
                client,
                run.clip("speech" if client % size.people < size.speaking else kind),
                ticks,
                phases[client],
                at=int(run.random.integers(1000)),
            )
            for client in range(size.anchors)
        ],
    )
