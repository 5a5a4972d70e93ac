"""The load of a broadcast's delivery: that it asks, and tells what it was answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bench.errors import BenchMistake
from bench.nginx import Nginx
from bench.players import Player, at_rate, follow


@asynccontextmanager
async def stream(refuse_parts: bool = False) -> AsyncIterator[tuple[int, list[str]]]:  # noqa: FBT001, FBT002
    """A stream whose parts are there at once; yields its port and what was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        if request.path.endswith(".m4s"):
            return web.Response(body=b"part", status=404 if refuse_parts else 200)
        part = int(request.query.get("_HLS_part", "-1")) + 1
        hint = f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="seg-7.{part}.m4s"\n'
        return web.Response(text="#EXTM3U\n" + hint)

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


async def test_a_player_follows_the_hints() -> None:
    """Each playlist with the part to come, and that part, in order."""
    async with stream() as (port, asked):
        playlist, media = Player(port, packed=False), Player(port)
        until = asyncio.get_running_loop().time() + 0.1
        parts = await follow(playlist, media, "/hls/demo", until)
        playlist.leave()
        media.leave()
    assert parts >= 1
    assert sorted(asked[1:3]) == [
        "/hls/demo/seg-7.0.m4s",
        "/hls/demo/stream.m3u8?_HLS_msn=7&_HLS_part=0",
    ]
    assert len(asked) == 1 + 2 * parts


async def test_a_player_that_is_refused() -> None:
    """A measurement of refusals is none."""
    async with stream(refuse_parts=True) as (port, _):
        playlist, media = Player(port, packed=False), Player(port)
        with pytest.raises(BenchMistake, match="404"):
            await follow(playlist, media, "/hls/demo", asyncio.get_running_loop().time() + 5)
        with pytest.raises(BenchMistake, match="404"):
            await at_rate([media], "/hls/demo/seg-7.0.m4s", 100, 1)
        playlist.leave()
        media.leave()


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
