"""OpenTelemetry: spans and every process's numbers by OTLP, where the extra is installed.

Imported only if an OTEL_ variable asks for it; what these variables mean is the SDK's business.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

import structlog
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Metric

from mixer.types import PlaneStatistics
from server.compose.version import VERSION
from server.edge.operations import metric_name
from server.telemetry import Value

_BOUND: Final = ("room", "peer")
Read = Callable[[PlaneStatistics], float | None]

_TRACE_CONTEXT: Final = TraceContextTextMapPropagator()  # and nothing of the baggage of strangers


class Otel:
    """A Sink that exports what it gets, and what the registry holds, until it is closed."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        resource = Resource.create({SERVICE_NAME: service, SERVICE_VERSION: VERSION})
        self._traces = TracerProvider(resource=resource)
        self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._traces.get_tracer("roomtone", VERSION)
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self._metrics = MeterProvider([reader], resource=resource)
        self._meter = self._metrics.get_meter("roomtone", VERSION)
        _bridge(self._meter, registry)
        self._processes: Mapping[str, PlaneStatistics] = {}
        self._known: set[str] = set()

    def span(
        self, name: str, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[trace.Span]:
        """See Sink."""
        bound = structlog.contextvars.get_contextvars()
        about = {key: str(bound[key]) for key in _BOUND if key in bound}
        return self._tracer.start_as_current_span(name, attributes=about | dict(attributes))

    def note(self, attributes: Mapping[str, Value]) -> None:
        """See Sink."""
        trace.get_current_span().set_attributes(attributes)

    def continued(self, headers: Mapping[str, str]) -> AbstractContextManager[object]:
        """See Sink."""
        return _attached(_TRACE_CONTEXT.extract(headers))

    def headers(self) -> Mapping[str, str]:
        """See Sink."""
        made: dict[str, str] = {}
        _TRACE_CONTEXT.inject(made)
        return made

    def see(self, processes: Mapping[str, PlaneStatistics]) -> None:
        """Take the newest numbers; each name has its instrument from then on."""
        self._processes = processes
        for one in processes.values():
            for name in one.counters.keys() - self._known:
                self._count(name, partial(_counter, name))
            for name in one.histograms.keys() - self._known:
                self._known.add(name)
                self._count(f"{name}_count", partial(_how_many, name))
                self._count(f"{name}_sum", partial(_total, name))
            for name in one.gauges.keys() - self._known:
                self._known.add(name)
                read = self._observe(partial(_gauge, name))
                self._meter.create_observable_gauge(metric_name(name), [read])

    def _count(self, name: str, read: Read) -> None:
        self._known.add(name)
        self._meter.create_observable_counter(metric_name(name), [self._observe(read)])

    def _observe(self, read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for process, statistics in self._processes.items():
                if (value := read(statistics)) is not None:
                    yield Observation(value, {"process": process})

        return observe

    def close(self) -> None:
        """Export what is left; this may wait for the collector, so not on the loop."""
        self._traces.shutdown()
        self._metrics.shutdown()


def _bridge(meter: Meter, registry: CollectorRegistry) -> None:
    """Make an instrument of every family in the registry: what Prometheus is told, as it is."""
    for family in registry.collect():
        if family.type == "counter":
            meter.create_observable_counter(
                family.name, [_read(registry, family.name, "_total")], description=_about(family)
            )
        elif family.type == "histogram":  # how many, and how long together: the mean at any time
            for suffix in ("_count", "_sum"):
                meter.create_observable_counter(
                    family.name + suffix,
                    [_read(registry, family.name, suffix)],
                    description=_about(family),
                )
        elif family.type == "gauge":
            meter.create_observable_gauge(
                family.name, [_read(registry, family.name, "")], description=_about(family)
            )


@contextmanager
def _attached(other: context.Context) -> Iterator[None]:
    token = context.attach(other)
    try:
        yield
    finally:
        context.detach(token)


def _counter(name: str, statistics: PlaneStatistics) -> float | None:
    return statistics.counters.get(name)


def _gauge(name: str, statistics: PlaneStatistics) -> float | None:
    return statistics.gauges.get(name)


def _how_many(name: str, statistics: PlaneStatistics) -> float | None:
    counted = statistics.histograms.get(name)
    return None if counted is None else float(sum(counted.counts))


def _total(name: str, statistics: PlaneStatistics) -> float | None:
    counted = statistics.histograms.get(name)
    return None if counted is None else counted.total


def _about(family: Metric) -> str:
    return str(family.documentation)


def _read(
    registry: CollectorRegistry, family: str, suffix: str
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    name = family + suffix

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for metric in registry.collect():
            if metric.name == family:
                yield from (
                    Observation(sample.value, dict(sample.labels))
                    for sample in metric.samples
                    if sample.name == name
                )

    return observe
