"""OpenTelemetry: what a real exporter sends to an HTTP server of our own."""

import asyncio
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.contextvars import bound_contextvars
from structlog.testing import capture_logs

from server import telemetry
from server.compose import observe
from server.telemetry import note, set_sink, span, traced


class Collector:
    """Keeps the protobuf it is sent."""

    def __init__(self) -> None:
        self.spans: dict[str, dict[str, object]] = {}
        self.failed: set[str] = set()
        self.numbers: dict[str, float] = {}
        self.service = ""

    async def traces(self, request: web.Request) -> web.Response:
        got = ExportTraceServiceRequest.FromString(await self._body(request))
        for resource in got.resource_spans:
            self.service = next(
                one.value.string_value
                for one in resource.resource.attributes
                if one.key == "service.name"
            )
            for scope in resource.scope_spans:
                for one in scope.spans:
                    about = {a.key: a.value.string_value for a in one.attributes}
                    self.spans[one.name] = dict(about)
                    if one.status.code == 2:
                        self.failed.add(one.name)
        return web.Response(content_type="application/x-protobuf")

    async def metrics(self, request: web.Request) -> web.Response:
        got = ExportMetricsServiceRequest.FromString(await self._body(request))
        for resource in got.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    assert kind is not None, "it has data"
                    points = getattr(metric, kind).data_points
                    self.numbers[metric.name] = sum(one.as_double for one in points)
        return web.Response(content_type="application/x-protobuf")

    @staticmethod
    async def _body(request: web.Request) -> bytes:
        body = await request.read()
        return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    made = Collector()
    app = web.Application()
    app.add_routes([web.post("/v1/traces", made.traces), web.post("/v1/metrics", made.metrics)])
    async with TestServer(app) as server:
        yield made, str(server.make_url("/")).rstrip("/")


async def test_spans_and_numbers_arrive(
    collector: tuple[Collector, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span has its name, its attributes and the bound room; a failed one says so."""
    kept, url = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    registry = CollectorRegistry()
    Counter("roomtone_joins", "Joins", ["outcome"], registry=registry).labels("joined").inc(3)
    Gauge("roomtone_people", "People", registry=registry).set(7)
    Histogram("roomtone_offer_seconds", "Offers", registry=registry).observe(0.5)
    sink = await asyncio.to_thread(
        observe.open_sink, {"OTEL_EXPORTER_OTLP_ENDPOINT": url}, registry
    )
    assert sink is not None
    set_sink(sink)
    try:
        with bound_contextvars(room="demo", peer="ann", pin="1234"):
            await joined()
        with pytest.raises(ValueError, match="no"), span("room.create", id="x"):
            raise ValueError("no")
    finally:
        set_sink(None)
        await asyncio.to_thread(sink.close)
    assert kept.service == "roomtone"
    assert kept.spans["join"] == {"room": "demo", "peer": "ann", "outcome": "answered"}
    assert kept.spans["room.create"]["id"] == "x"
    assert kept.failed == {"room.create"}
    assert kept.numbers["roomtone_joins"] == 3
    assert kept.numbers["roomtone_people"] == 7
    assert kept.numbers["roomtone_offer_seconds_count"] == 1
    assert kept.numbers["roomtone_offer_seconds_sum"] == 0.5


@traced("join")
async def joined() -> None:
    note(outcome="answered")


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
     {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}],
)  # fmt: skip
def test_off(environment: dict[str, str]) -> None:
    """Without an endpoint, or disabled, there is no sink."""
    assert observe.open_sink(environment, CollectorRegistry()) is None


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for it without the extra is told what to install; the server goes on."""
    monkeypatch.setattr(observe, "_PACKAGE", "opentelemetry_is_not_here.exporter")
    with capture_logs() as logs:
        made = observe.open_sink({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, CollectorRegistry())
    assert made is None
    assert "pip install" in logs[0]["do"]


def test_nothing_is_imported() -> None:
    """The command loads no OpenTelemetry, nor aiortc and PyAV, which `serve` never needs."""
    program = "import sys, server.compose; print([n for n in sys.modules if n.split('.')[0] in"
    program += " ('opentelemetry', 'aiortc', 'av')])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.strip() == b"[]"


async def test_without_a_sink() -> None:
    """Without a sink a span is nothing, and a note too."""
    assert not telemetry._sinks
    await joined()
