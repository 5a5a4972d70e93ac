"""The control process under load: idle sockets and signalling joins, while a room talks."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Callable

import aiohttp

from bench.bare import BareServer
from bench.children import cpu_seconds, rss_bytes
from bench.errors import BenchMistake
from bench.figures import Section
from bench.hall import hall
from bench.run import Run
from bench.visitors import Door, Stayers, Waited, visits
from bench.whole_server import Ticks, WholeServer

TALKERS = 10
SETTLE_S = 2.0
FILES_BESIDE = 1000
DOORS: tuple[Callable[[], Door], ...] = (WholeServer, BareServer)
LATE_CALLER_MS = 50.0


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return run.settings.measure.rounds * len(DOORS)


async def measure(run: Run) -> Section:
    """Fill both servers with sockets and let more people come, in turns."""
    sizes = run.settings.sizes
    section = Section(
        "control",
        f"Control process: {sizes.sockets:,} idle sockets, {sizes.joins_a_second} joins a second",
        {
            "cpu_join": "ms of CPU per join and leave",
            "cpu_socket": "µs of CPU per idle socket and s",
            "rss": "kB per socket",
            "connect": "socket open, ms",
            "join": "join answered, ms",
            "ticks": "ticks later than 5 ms, %",
            "p99": "99 % of ticks within, ms",
        },
        main="cpu_join",
        note="CPU and memory of the one process that has the sockets. A visit is a socket, a join,"
        " a leave. Ticks are those of the mixer, in which ten people talk meanwhile.",
        show_percentiles=True,
    )
    allow_files(sizes.sockets)
    for turn in range(run.settings.measure.rounds):
        for make in DOORS:
            door = make()
            run.said(f"{sizes.sockets} sockets, round {turn + 1}: {door.name}")
            try:
                await door.start()
                async with _talk(door, run):
                    await _load(door, run, section)
            finally:
                await asyncio.shield(door.stop())
    return section


async def _load(door: Door, run: Run, section: Section) -> None:
    sizes, seconds = run.settings.sizes, run.settings.measure.seconds
    row = section.row(f"{sizes.sockets:,} sockets", door.name)
    staying = await door.visitors(sizes.sockets, sizes.people_a_room)
    # Each comes again after five seconds: on a busy machine a visit may take one.
    coming = await door.visitors(5 * sizes.joins_a_second, 10)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        warm_up_s = run.settings.measure.warm_up_s
        await visits(http, coming, sizes.joins_a_second / 2, warm_up_s)
        process = door.pids()[:1]
        empty = rss_bytes(process)
        stayers = Stayers(http)
        try:
            await stayers.come(staying)
            await asyncio.sleep(SETTLE_S)
            row.add(rss=(rss_bytes(process) - empty) / 1e3 / sizes.sockets)
            ticks, before = await _ticks(door), cpu_seconds(process)
            await asyncio.sleep(seconds)
            idle = (cpu_seconds(process) - before) / seconds
            row.add(cpu_socket=1e6 * idle / sizes.sockets)
            before = cpu_seconds(process)
            waited = await visits(http, coming, sizes.joins_a_second, seconds)
            spent = cpu_seconds(process) - before - idle * seconds
            stayers.check()
        finally:
            await stayers.go()
    check_caller(waited)
    row.add(
        cpu_join=1000 * spent / len(waited),
        connect=[one.connect for one in waited],
        join=[one.join for one in waited],
    )
    if ticks is not None and (after := await _ticks(door)) is not None:
        total, late, p99_s = after.since(ticks)
        row.add(ticks=100 * late / max(1, total), p99=1000 * p99_s)


@contextlib.asynccontextmanager
async def _talk(door: Door, run: Run) -> AsyncIterator[None]:
    """Let ten people talk in a room of the server, if it has rooms."""
    if not isinstance(door, WholeServer):
        yield
        return
    async with hall(door, TALKERS) as made:
        await door.new_room("hall")
        clients = [(await made.enter(await door.visitor("hall")))[0] for _ in range(TALKERS)]
        async with made.talk(clients, run):
            yield


async def _ticks(door: Door) -> Ticks | None:
    return await door.ticks() if isinstance(door, WholeServer) else None


def check_caller(waited: list[Waited]) -> None:
    """Raise BenchMistake if the visitors came too late for a rate to mean anything."""
    late = sorted(one.late for one in waited)[len(waited) // 2]
    if late > LATE_CALLER_MS:
        raise BenchMistake(
            f"Half of the visitors came more than {late:.0f} ms late: this machine cannot send so"
            " many. Lower joins_a_second in a settings file."
        )


def allow_files(sockets: int) -> None:
    """Let this process, and those it starts, have so many sockets. Raises BenchMistake."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchMistake(f"{wanted} open files are needed: raise `ulimit -Hn` from {hard}.")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
