"""OpenTelemetry: spans and the control process's numbers by OTLP, where the extra is installed.

Imported only if an OTEL_ variable asks for it; what these variables mean is the SDK's business.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, Metric

from server.compose.version import VERSION
from server.telemetry import Value

_BOUND: Final = ("room", "peer")


class Otel:
    """A Sink that exports what it gets, and what the registry holds, until it is closed."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        resource = Resource.create({SERVICE_NAME: service, SERVICE_VERSION: VERSION})
        self._traces = TracerProvider(resource=resource)
        self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._traces.get_tracer("roomtone", VERSION)
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self._metrics = MeterProvider([reader], resource=resource)
        _bridge(self._metrics.get_meter("roomtone", VERSION), registry)

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
