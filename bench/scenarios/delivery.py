"""Delivery of the broadcast: CPU of a request beside nginx, memory and CPU of who waits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from bench.audience import Audience
from bench.children import cpu_seconds, rss_bytes
from bench.errors import BenchMistake
from bench.figures import Row, Section
from bench.nginx import Nginx, find_nginx
from bench.players import Player, at_rate
from bench.run import Run
from bench.scenarios.control import allow_files
from bench.whole_server import WholeServer

ROOM = "delivered"
FOLDER = f"/hls/{ROOM}"
CONNECTIONS = 20
SETTLE_S = 1.0
LATE_MS = 50.0
RATED_S = 3.0  # of one kind, however long the rest takes: some thousand requests say enough
KINDS = ("playlist", "part", "key")


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return 3 * run.settings.measure.rounds


async def measure(run: Run) -> Section:
    """Ask Roomtone and nginx for the same bytes in turns; then let a crowd wait and listen."""
    sizes = run.settings.sizes
    find_nginx()
    section = Section(
        "delivery",
        f"Delivery at {sizes.hls_rate} requests a second",
        {
            "cpu": "µs of CPU per request",
            "rss": "kB per waiting request",
            "share": "% of a core per 100 listeners",
            "held": "listeners a core holds",
            "spread": "ms from the first who has a part until 99 % have it",
            "asked": "% of a core the players took",
        },
        main="cpu",
        note="CPU and memory of the process that answers. nginx has the same bytes on disk."
        " A listener of low latency asks for a playlist and a part every 320 ms, before they are"
        " there.",
    )
    allow_files(2 * max(sizes.hls_blocked, sizes.hls_listeners))
    for turn in range(run.settings.measure.rounds):
        async with _server(run, f"round {turn + 1}: Roomtone") as (server, port, token):
            files = await _requests(section, server, port, token, run)
            run.said(f"round {turn + 1}: nginx")
            await _files(section, files, run)
            run.said(f"round {turn + 1}: a crowd")
            waiting = section.row(f"{sizes.hls_blocked:,} wait", server.name)
            await _blocked(waiting, server, port, run)
            crowd = section.row(f"{sizes.hls_listeners:,} listen", server.name)
            await _listeners(crowd, server, port, run)
    return section


@contextlib.asynccontextmanager
async def _server(run: Run, said: str) -> AsyncIterator[tuple[WholeServer, int, str]]:
    run.said(said)
    server = WholeServer()
    try:
        await server.start()
        await server.new_room(ROOM)
        token = await server.listen_token(ROOM)
        yield server, server.port, token
    finally:
        await asyncio.shield(server.stop())


async def _requests(
    section: Section, server: WholeServer, port: int, token: str, run: Run
) -> dict[str, bytes]:
    """Measure each kind of request; return the bytes of each."""
    paths = await _paths(port)
    files = {}
    for kind in KINDS:
        async with _players(port, token) as players:
            _, files[kind] = await players[0].get(paths[kind])
            row = section.row(kind, server.name)
            await _measure(row, players, paths[kind], server.pids()[:1], run)
    return files


async def _files(section: Section, files: dict[str, bytes], run: Run) -> None:
    rival = Nginx(files)
    try:
        await rival.start()
        for kind in KINDS:
            async with _players(rival.port) as players:
                row = section.row(kind, rival.name)
                await _measure(row, players, f"/{kind}", rival.pids(), run)
    finally:
        await asyncio.shield(rival.stop())


async def _measure(row: Row, players: list[Player], path: str, pids: list[int], run: Run) -> None:
    rate, measured = run.settings.sizes.hls_rate, run.settings.measure
    await at_rate(players, path, rate, measured.warm_up_s)
    before = cpu_seconds(pids)
    served = await at_rate(players, path, rate, min(measured.seconds, RATED_S))
    row.add(cpu=1e6 * (cpu_seconds(pids) - before) / served.count)
    late = sorted(served.late)[len(served.late) // 2]
    if late > LATE_MS:
        raise BenchMistake(
            f"Half of the requests were sent more than {late:.0f} ms late: this machine cannot"
            " send so many. Lower hls_rate in a settings file."
        )


async def _blocked(row: Row, server: WholeServer, port: int, run: Run) -> None:
    """Let many wait for the same part: what each weighs, with its connection."""
    count = run.settings.sizes.hls_blocked
    pids = server.pids()[:1]
    players = [Player(port) for _ in range(count)]
    try:
        await asyncio.sleep(SETTLE_S)
        before = rss_bytes(pids)
        last = await _last_that_may_be_asked_for(port)
        for player in players:
            await player.ask(f"{FOLDER}/stream.m3u8?_HLS_msn={last}")
        if await server.blocked() < count:
            raise BenchMistake(
                f"{count} requests could not be sent in time: lower hls_blocked in a settings file."
            )
        row.add(rss=(rss_bytes(pids) - before) / 1e3 / count)
        statuses = {(await player.answer())[0] for player in players}
        if statuses != {200}:
            raise BenchMistake(f"Who waited was answered with {sorted(statuses)}.")
    finally:
        for player in players:
            player.leave()


async def _listeners(row: Row, server: WholeServer, port: int, run: Run) -> None:
    """Let many play at low latency: the CPU of each, and how much later the last ones are."""
    count, measured = run.settings.sizes.hls_listeners, run.settings.measure
    pids = server.pids()[:1]
    audience = Audience(port, FOLDER, (await _text(port, f"{FOLDER}/stream.m3u8")).encode())
    try:
        await asyncio.to_thread(audience.enter, count)
        await asyncio.to_thread(audience.play, measured.warm_up_s)
        before, began = cpu_seconds(pids), time.monotonic()
        played = await asyncio.to_thread(audience.play, measured.seconds)
        share = (cpu_seconds(pids) - before) / (time.monotonic() - began)
        row.add(share=100 * share * 100 / count, held=count / share if share else 0.0)
        row.add(spread=played.spread_ms, asked=100 * played.share)
        if not played.are_in_time:
            late = "the players themselves took a whole core" if played.is_too_much else "too slow"
            row.note = f"{100 * played.parts / played.due:.0f} % of the parts in time: {late}"
    finally:
        audience.leave()


@contextlib.asynccontextmanager
async def _players(port: int, token: str = "") -> AsyncIterator[list[Player]]:
    players = [Player(port, token) for _ in range(CONNECTIONS)]
    try:
        yield players
    finally:
        for player in players:
            player.leave()


async def _text(port: int, path: str) -> str:
    player = Player(port, packed=False)
    try:
        _, body = await player.get(path)
        return body.decode()
    finally:
        player.leave()


async def _paths(port: int) -> dict[str, str]:
    """Return an address of each kind, of media that stay there during the measurement."""
    text = await _text(port, f"{FOLDER}/stream.m3u8")
    lines = [line for line in text.splitlines() if line.startswith("#EXT-X-PART:")]
    parts = [line.partition('URI="')[2].partition('"')[0] for line in lines]
    if not parts:
        raise BenchMistake("The playlist has no parts.")
    return {
        "playlist": f"{FOLDER}/stream.m3u8",
        "part": f"{FOLDER}/{parts[-1]}",
        "key": f"/hls/rooms/{ROOM}/enc.key",
    }


async def _last_that_may_be_asked_for(port: int) -> int:
    text = await _text(port, f"{FOLDER}/classic.m3u8")
    names = [line for line in text.splitlines() if line.startswith("seg-")]
    return int(names[-1].rpartition("-")[2].removesuffix(".m4s")) + 2
