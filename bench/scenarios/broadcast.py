"""What a broadcast costs beyond its mix: CPU and memory of a room on air, beside FFmpeg."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bench.children import cpu_seconds
from bench.errors import BenchMistake
from bench.figures import Section
from bench.material import Pcm, speech
from bench.run import Run
from bench.stations import FfmpegStation, OurStation, Station, Tick
from mixer.types import FRAME_SAMPLES, tick_at

TIMES_AS_LONG = 2  # some segments, and a change of the key
LATE_TICKS = 25  # half a second: what is fed so late is no broadcast in real time
SPEECH, LISTENED, SILENT = "speech, nobody listens", "speech, one listens", "nobody speaks"
CODERS = ("fast", "twoloop")

Kind = TypeVar("Kind", bound=Station)


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return run.settings.measure.rounds * (2 + len(CODERS))


async def measure(run: Run) -> Section:
    """Put rooms on air, ours and FFmpeg's in turns, and count their CPU and memory."""
    rooms = run.settings.sizes.broadcast_rooms
    section = Section(
        "broadcast",
        f"{rooms} rooms on air, two bit rates each",
        {"cpu": "ms of CPU per room and second", "rss": "MB per room"},
        main="cpu",
        note="Beyond the mix. Of Roomtone the broadcast process, without HTTP; low latency is in it"
        " (parts of 320 ms), in FFmpeg's not. FFmpeg has our setting of the encoder, then its own."
        " Memory is what no other process shares.",
    )
    spoken = _ticks(speech())
    for turn in range(run.settings.measure.rounds):
        for coder in ("", *CODERS):
            make = (lambda coder=coder: FfmpegStation(coder)) if coder else OurStation
            await _round(section, run, turn, make, spoken)
    return section


async def _round(
    section: Section, run: Run, turn: int, make: Callable[[], Station], spoken: Sequence[Tick]
) -> None:
    async with _on_air(make, run.settings.sizes.broadcast_rooms) as (station, empty):
        run.said(f"round {turn + 1}: {station.name}")
        feed = _Feed(station, run.settings.sizes.broadcast_rooms)
        for what, ticks in ((SPEECH, spoken), (SILENT, ())):
            await _count(section, run, feed, (what, ticks, empty))
        if isinstance(station, OurStation):
            run.said(f"round {turn + 1}: {station.name} with listeners")
            await _listened(section, run, feed, (LISTENED, spoken, empty), station)


async def _listened(
    section: Section,
    run: Run,
    feed: "_Feed",
    wanted: tuple[str, Sequence[Tick], int],
    station: OurStation,
) -> None:
    measured = run.settings.measure
    until = time.monotonic() + measured.warm_up_s + TIMES_AS_LONG * measured.seconds
    rooms = range(run.settings.sizes.broadcast_rooms)
    listeners = asyncio.gather(*(station.listen(room, until) for room in rooms))
    await _count(section, run, feed, wanted)
    await listeners


async def _count(
    section: Section, run: Run, feed: "_Feed", wanted: tuple[str, Sequence[Tick], int]
) -> None:
    """Feed the rooms, and add a value to the row."""
    measured = run.settings.measure
    what, ticks, empty = wanted
    await feed.go_on(ticks, measured.warm_up_s)
    station = feed.station
    before, began = cpu_seconds(station.pids()), time.monotonic()
    await feed.go_on(ticks, TIMES_AS_LONG * measured.seconds)
    spent, took = cpu_seconds(station.pids()) - before, time.monotonic() - began
    section.row(what, station.name).add(
        cpu=1e3 * spent / took / feed.rooms,
        rss=(_own_bytes(station.pids()) - empty) / 1e6 / feed.rooms,
    )


class _Feed:
    """Gives a station the ticks of all its rooms as time goes on."""

    def __init__(self, station: Station, rooms: int) -> None:
        self.station = station
        self.rooms = rooms
        self._next = tick_at(time.monotonic())

    async def go_on(self, spoken: Sequence[Tick], seconds: float) -> None:
        """Feed for so long; the rooms are apart by a second of what is said."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if tick_at(now) - self._next > LATE_TICKS:
                raise BenchMistake(
                    f"{self.station.name}: the rooms could not be fed in time. Lower"
                    " broadcast_rooms in a settings file, or let nothing else run."
                )
            while self._next <= tick_at(now):
                for room in range(self.rooms):
                    at = self._next + 50 * room
                    pcm = spoken[at % len(spoken)] if spoken else None
                    self.station.write(room, self._next, pcm)
                self._next += 1
            await asyncio.sleep(self._next / 50 - time.monotonic())


@contextlib.asynccontextmanager
async def _on_air(make: Callable[[], Kind], rooms: int) -> AsyncIterator[tuple[Kind, int]]:
    """Yield a station with its rooms, and the bytes it has without any."""
    station = make()
    try:
        await station.start(0)
        empty = _own_bytes(station.pids())
        await station.stop()
        station = make()
        await station.start(rooms)
        yield station, empty
    finally:
        await asyncio.shield(station.stop())


def _own_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of processes that is of no file and shared with nobody."""
    total = 0
    for pid in pids:
        found = Path(f"/proc/{pid}/smaps_rollup").read_text()
        lines = (line.split() for line in found.splitlines())
        total += sum(1024 * int(words[1]) for words in lines if words[0].startswith("Private_"))
    return total


def _ticks(pcm: Pcm) -> list[Tick]:
    return list(pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES))
