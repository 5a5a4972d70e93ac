"""The load of a broadcast's delivery: that it asks, and tells what it was answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bench.audience import Audience, Played
from bench.errors import BenchMistake
from bench.nginx import Nginx
from bench.players import Player, at_rate

START = (
    b'#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=0.32\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="seg-7.5.m4s"\n'
)


@asynccontextmanager
async def stream(refuse_parts: bool = False) -> AsyncIterator[tuple[int, list[str]]]:  # noqa: FBT001, FBT002
    """A stream whose parts are there at once; yields its port and what was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        if request.path.endswith(".m4s"):
            return web.Response(body=b"part", status=404 if refuse_parts else 200)
        return web.Response(body=START)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1]), asked
    finally:
        await runner.cleanup()


async def test_an_audience() -> None:
    """Each player asks for a part and the playlist with it, over segments, and counts both."""
    async with stream() as (port, asked):
        audience = Audience(port, "/hls/demo", START)
        await asyncio.to_thread(audience.enter, 3)
        played = await asyncio.to_thread(audience.play, 0.3)
        audience.leave()
    assert played.parts >= 6
    assert (played.due > 0, played.share > 0, played.is_too_much) == (True, True, False)
    assert played.spread_ms >= 0
    for part in ("7.5", "8.0"):
        assert asked.count(f"/hls/demo/seg-{part}.m4s") == 3
    assert asked.count("/hls/demo/stream.m3u8?_HLS_msn=8&_HLS_part=0") == 3


async def test_who_is_late() -> None:
    """Whether everybody had every part, and whose fault it is if not, are told."""
    assert Played(parts=98, due=100.0, share=0.5).are_in_time
    late = Played(parts=90, due=100.0, share=0.95, spreads_ms=[3.0, 1.0, 2.0])
    assert (late.are_in_time, late.is_too_much, late.spread_ms) == (False, True, 2.0)
    assert Played().spread_ms == 0.0


async def test_a_player_that_is_refused() -> None:
    """A measurement of refusals is none."""
    async with stream(refuse_parts=True) as (port, _):
        audience = Audience(port, "/hls/demo", START)
        await asyncio.to_thread(audience.enter, 1)
        with pytest.raises(BenchMistake, match="404"):
            await asyncio.to_thread(audience.play, 5.0)
        audience.leave()
        media = Player(port)
        with pytest.raises(BenchMistake, match="404"):
            await at_rate([media], "/hls/demo/seg-7.0.m4s", 100, 1)
        media.leave()
    with pytest.raises(BenchMistake, match="hint"):
        Audience(port, "/hls/demo", b"#EXTM3U\n")


@pytest.mark.e2e
async def test_the_rival() -> None:
    """Nginx serves the very bytes, at the rate that is asked for."""
    rival = Nginx({"part": b"bytes"})
    try:
        await rival.start()
        player = Player(rival.port)
        assert await player.get("/part") == (200, b"bytes")
        served = await at_rate([player], "/part", 100, 0.3)
        assert served.count == len(served.late) == 30
        player.leave()
        assert len(rival.pids()) == 2
    finally:
        await rival.stop()
