"""Whether OpenTelemetry is wanted, and whether it is there."""

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry

from mixer.types import PlaneStatistics
from server.telemetry import Sink

log = structlog.get_logger(__name__)

SERVICE: Final = "roomtone"
FEED_S: Final = 10.0  # the SDK exports every minute unless told otherwise
_WANTED_BY: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_PACKAGE: Final = "opentelemetry.exporter"


class ClosableSink(Sink, Protocol):
    """A sink that is told the processes' numbers, and has something left to say at the end."""

    def see(self, processes: Mapping[str, PlaneStatistics]) -> None:
        """Take the newest numbers; never waits."""

    def close(self) -> None:
        """Say it; may wait for the network."""


async def feed(
    sink: ClosableSink, gather: Callable[[], Awaitable[Mapping[str, PlaneStatistics]]]
) -> None:
    """Show the sink how every process is, for ever."""
    while True:
        sink.see(await gather())
        await asyncio.sleep(FEED_S)


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
