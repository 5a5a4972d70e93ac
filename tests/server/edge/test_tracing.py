"""Traces that come in with a call, and go on; numbers that go to the same place."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping

import pytest
from prometheus_client import CollectorRegistry

from mixer.types import PlaneStatistics
from server.compose import observe
from server.domain.webhook import Kind, Message, decode_message
from server.edge.operations import gather
from server.telemetry import continuing, trace_headers
from tests.server.edge.conftest import Edge
from tests.support.otel_collector import Collector, sinking

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=b", "baggage": "x=y"}


@pytest.fixture
async def kept(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with sinking(monkeypatch, CollectorRegistry()) as (made, _):
        yield made


async def create(edge: Edge, room: str, headers: Mapping[str, str]) -> None:
    status, _ = await edge.ask(
        "POST", "/api/rooms", {"roomId": room}, headers={**edge.admin, **headers}
    )
    assert status == 201


async def told(edge: Edge) -> dict[str, Message]:
    """Return what a webhook is to be told of rooms that were made."""
    stored = (await edge.node.store.scan("/webhooks/")).records
    messages = [decode_message(one.key, one.value) for one in stored if "/waiting/" in one.key]
    return {one.room: one for one in messages if one.kind is Kind.ROOM_CREATED}


async def test_a_trace_goes_on(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call makes happen belongs to its caller's trace, and webhooks are told of it."""
    posted: asyncio.Queue[Mapping[str, str]] = asyncio.Queue()

    async def post(_url: str, headers: Mapping[str, str], _body: bytes) -> int:
        posted.put_nowait(headers)
        return 500

    monkeypatch.setattr(edge.node.hook_sender, "post", post)
    events = frozenset({Kind.ROOM_CREATED})
    await edge.node.services.context.webhooks.add("https://a.example/", events)
    async with sinking(monkeypatch, CollectorRegistry()) as (kept, _):
        await create(edge, "demo", HEADERS)
        await create(edge, "other", {})
        traces = {room: one.trace for room, one in (await told(edge)).items()}
    assert (TRACE, PARENT) in kept.parents["room.create"]
    assert [trace for trace, _ in kept.parents["room.create"]].count(TRACE) == 1
    assert traces["demo"]["traceparent"].startswith(f"00-{TRACE}-")
    assert PARENT not in traces["demo"]["traceparent"]
    assert (traces["demo"]["tracestate"], len(traces["demo"])) == ("a=b", 2)
    assert TRACE not in traces["other"]["traceparent"]
    assert traces["demo"].items() <= (await posted.get()).items()


async def test_a_socket_goes_on_with_a_trace(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose upgrade brought one: the spans of its calls belong to it."""
    await edge.new_room()
    path = f"/ws?token={await edge.join_token()}"
    offer = {"type": "offer", "sdp": "v=0\r\n"}
    async with (
        sinking(monkeypatch, CollectorRegistry()) as (kept, _),
        edge.http.ws_connect(path, headers=HEADERS) as socket,
    ):
        for number, (method, params) in enumerate(
            [("join", {"clientId": str(uuid.uuid4())}), ("offer", {"sdp": offer})]
        ):
            asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            await socket.send_json(asked)
            while (await socket.receive_json()).get("id") != number:
                pass
    assert kept.parents["join"] == [(TRACE, PARENT)]


@pytest.mark.parametrize(
    "header", ["", "nonsense", "00-0-0-00", f"ff-{TRACE}-{PARENT}-01", "00-" + "0" * 32 + "-1-01"]
)
async def test_no_trace(edge: Edge, kept: Collector, header: str) -> None:
    """A header that is none changes nothing."""
    await create(edge, "demo", {"traceparent": header})


async def test_without_a_sink(edge: Edge) -> None:
    """Where nobody wants telemetry a caller's trace is not looked at."""
    await edge.node.services.context.webhooks.add("https://a.example/", frozenset())
    await create(edge, "demo", HEADERS)
    assert (await told(edge))["demo"].trace == {}


async def test_long_headers_are_not_kept(kept: Collector) -> None:
    """They would be stored with every message."""
    state = ",".join(f"k{n}=" + "v" * 200 for n in range(5))
    with continuing(HEADERS | {"tracestate": state}):
        assert trace_headers().keys() == {"traceparent"}
    assert trace_headers() == {}


async def test_feed(edge: Edge) -> None:
    """A sink is shown what `/metrics` shows."""
    seen: asyncio.Queue[Mapping[str, PlaneStatistics]] = asyncio.Queue()

    class Shown:
        see = staticmethod(seen.put_nowait)

    app = edge.http.app
    assert app is not None
    feeding = asyncio.create_task(observe.feed(Shown(), lambda: gather(app)))  # type: ignore[arg-type]
    processes = await seen.get()
    feeding.cancel()
    assert processes["control"].gauges["rooms"] == 0
    assert len(processes) > 1
