"""The load of the control process: its arithmetic, and that it loads at all."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from bench.bare import BareServer
from bench.errors import BenchMistake
from bench.figures import Section
from bench.run import Run
from bench.scenarios import control, storm
from bench.scenarios.control import check_caller
from bench.settings import Measure, Settings, Sizes
from bench.visitors import Stayers, Visitor, Waited, answer_of, visits
from bench.whole_server import Ticks, no_limits
from server.config import Settings as ServerSettings


def test_ticks_since() -> None:
    """Ticks are those between two scrapes, and so is the bound of their 99th percentile."""
    before = Ticks(1, 0.03, {0.001: 100, 0.005: 101, float("inf"): 101})
    after = Ticks(3, 0.03, {0.001: 297, 0.005: 300, float("inf"): 301})
    assert after.since(before) == (200, 2, 0.005)
    assert after.since(after) == (0, 0, 0.0)


def test_the_worst_tick_bounds_the_percentile() -> None:
    """A bucket without an upper bound is as long as the worst tick."""
    none = Ticks(0, 0.0, {})
    assert Ticks(5, 0.3, {0.1: 0, float("inf"): 5}).since(none) == (5, 5, 0.3)


def test_a_late_caller_is_told() -> None:
    """A rate that this machine cannot send is no measurement."""
    check_caller([Waited(1, 1, late) for late in (0.0, 1.0, 900.0)])
    with pytest.raises(BenchMistake, match="60 ms late"):
        check_caller([Waited(1, 1, late) for late in (0.0, 60.0, 900.0)])


def test_limits_are_lifted_by_their_settings() -> None:
    """Every limit of the server there is, is set to none."""
    options = no_limits()
    names = {name for name in ServerSettings.model_fields if name.startswith("limit_")}
    assert {option[2:].replace("-", "_") for option in options[::2]} == names
    assert set(options[1::2]) <= {"0"}


def test_everybody_joins_under_an_id_of_their_own() -> None:
    """Two visitors differ in their clientId alone."""
    first, second = (json.loads(Visitor.at("http://there").greeting) for _ in range(2))
    assert first["params"].pop("clientId") != second["params"].pop("clientId")
    assert first == second


@pytest.mark.e2e
async def test_visits_to_the_bare_server() -> None:
    """So many a second come and are answered; who stays, stays."""
    server = BareServer()
    try:
        await server.start()
        visitors = await server.visitors(5, 1)
        async with aiohttp.ClientSession() as http:
            stayers = Stayers(http)
            await stayers.come(visitors)
            waited = await visits(http, visitors, 20, 0.5)
            stayers.check()
            await stayers.go()
            with pytest.raises(BenchMistake, match="5 of 5"):
                stayers.check()
    finally:
        await server.stop()
    assert len(waited) == 10
    assert all(one.connect > 0 and one.join > 0 for one in waited)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [('{"id": 1, "error": {"code": -32600}}', "was refused"), (None, r"was closed \(4001\)")],
)
async def test_a_refusal_ends_the_bench(said: str | None, sentence: str) -> None:
    """A visitor who is refused, or cut off, is not counted as served."""

    async def refuse(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if said is not None:
            await socket.send_str('{"method": "roomStatus", "params": []}')
            await socket.send_str(said)
        await socket.close(code=4001)
        return socket

    app = web.Application()
    app.router.add_get("/ws", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/ws") as socket,
        ):
            with pytest.raises(BenchMistake, match=sentence):
                await answer_of(socket, 1)
    finally:
        await runner.cleanup()


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_both_servers_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small load fills every cell: ours beside the bare server's, and joins with sound."""
    for scenario in (control, storm):  # the figures themselves are of no interest here
        monkeypatch.setattr(scenario, "SETTLE_S", 0.2)
    sizes = Sizes(sockets=8, joins_a_second=5, people_a_room=4, joins=2, storm=3)
    measure = Measure(rounds=1, seconds=1.0, warm_up_s=0.5)
    told: list[str] = []
    run = Run(Settings(measure, sizes=sizes), {}, told.append)
    loaded = await control.measure(run)
    joined = await storm.measure(run)
    assert len(told) == control.steps(run) + storm.steps(run)
    assert _filled(loaded) == {"Roomtone": set(loaded.labels), "bare aiohttp": _WITHOUT_ROOMS}
    assert all(row.figures.keys() == joined.labels.keys() for row in joined.rows)
    assert [len(row.figures["join"]) for row in joined.rows] == [2, 3]
    assert not [task for task in asyncio.all_tasks() if task.get_name() in {"stayer", "talk"}]


_WITHOUT_ROOMS = {"cpu_join", "cpu_socket", "rss", "connect", "join"}


def _filled(section: Section) -> dict[str, set[str]]:
    return {
        row.server: {key for key, values in row.figures.items() if values} for row in section.rows
    }
