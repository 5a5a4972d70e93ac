"""Whether OpenTelemetry is wanted, and whether it is there."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry

from server.telemetry import Sink

log = structlog.get_logger(__name__)

SERVICE: Final = "roomtone"
_WANTED_BY: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_PACKAGE: Final = "opentelemetry.exporter"


class ClosableSink(Sink, Protocol):
    """A sink that has something left to say at the end."""

    def close(self) -> None:
        """Say it; may wait for the network."""


def open_sink(environment: Mapping[str, str], registry: CollectorRegistry) -> ClosableSink | None:
    """Return where spans and numbers go, None unless an endpoint is named and the extra is there.

    Nothing of OpenTelemetry is imported without both.
    """
    wanted = any(environment.get(name) for name in _WANTED_BY)
    if not wanted or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if not _is_installed():
        log.warning(
            "telemetry_missing", wanted="an OTEL_ endpoint", do="pip install 'roomtone[otel]'"
        )
        return None
    made: ClosableSink = importlib.import_module("server.compose.otel").Otel(registry, SERVICE)
    return made


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec(_PACKAGE) is not None
    except ModuleNotFoundError:
        return False
