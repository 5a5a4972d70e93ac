"""A collector of OpenTelemetry: an HTTP server of our own that keeps what it is sent."""

import asyncio
import gzip
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from server.compose import observe
from server.telemetry import set_sink


class Collector:
    """Keeps the protobuf it is sent."""

    def __init__(self) -> None:
        self.spans: dict[str, dict[str, object]] = {}
        self.failed: set[str] = set()
        self.numbers: dict[str, float] = {}
        self.by_process: dict[str, dict[str, float]] = {}
        self.parents: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
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
                    ids = (one.trace_id.hex(), one.parent_span_id.hex())
                    self.parents[one.name].append(ids)
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
                    self.by_process[metric.name] = {
                        label.value.string_value: one.as_double or one.as_int
                        for one in points
                        for label in one.attributes
                        if label.key == "process"
                    }
        return web.Response(content_type="application/x-protobuf")

    @staticmethod
    async def _body(request: web.Request) -> bytes:
        body = await request.read()
        return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """Serve a collector; also return its address."""
    made = Collector()
    app = web.Application()
    app.add_routes([web.post("/v1/traces", made.traces), web.post("/v1/metrics", made.metrics)])
    async with TestServer(app) as server:
        yield made, str(server.make_url("/")).rstrip("/")


@asynccontextmanager
async def sinking(
    monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> AsyncIterator[tuple[Collector, observe.ClosableSink]]:
    """Send this process's telemetry to a collector, which has all of it at the end."""
    async with collecting() as (kept, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        made = await asyncio.to_thread(observe.open_sink, environment, registry)
        assert made is not None
        set_sink(made)
        try:
            yield kept, made
        finally:
            set_sink(None)
            await asyncio.to_thread(made.close)
