"""For those who run the server: health, readiness, metrics."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric

from mixer.types import PlaneStatistics
from server.edge.context import CONTEXT, Context, Statistics
from server.edge.rights import require_admin
from server.edge.signalling import OPEN_SOCKETS
from server.errors import ServerError

ASK_S: Final = 1.0  # a plane that needs longer to say how it is is not well
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]")


class PlaneCollector:
    """Turns one scrape's plane statistics into metrics."""

    def __init__(self, planes: Mapping[str, PlaneStatistics]) -> None:
        self._planes = planes

    def collect(self) -> Iterator[Metric]:
        """Yield every counter and gauge of every plane."""
        for plane, statistics in self._planes.items():
            for name, count in statistics.counters.items():
                yield CounterMetricFamily(_name(plane, name), f"{plane}: {name}", value=count)
            for name, value in statistics.gauges.items():
                yield GaugeMetricFamily(_name(plane, name), f"{plane}: {name}", value=value)


async def health(request: web.Request) -> web.Response:
    """`GET /health`: the process is alive."""
    now = int(request.app[CONTEXT].clock.unix())
    return web.json_response({"status": "ok", "service": "roomtone", "timestamp": now})


async def ready(request: web.Request) -> web.Response:
    """`GET /ready`: everything a call needs answers."""
    context = request.app[CONTEXT]
    reasons = [name for name, well in (await _probe(context)).items() if not well]
    if reasons:
        return web.json_response({"ready": False, "reasons": reasons}, status=503)
    return web.json_response({"ready": True})


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: Prometheus text; off loopback for the admin only."""
    context = request.app[CONTEXT]
    if not context.settings.is_loopback:
        require_admin(request)
    planes = {
        name: statistics
        for name, ask in _planes(context).items()
        if (statistics := await _ask(ask)) is not None
    }
    scrape = CollectorRegistry()
    scrape.register(PlaneCollector(planes))
    scrape.register(PlaneCollector({"": _own(request)}))
    text = generate_latest(context.registry) + generate_latest(scrape)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _own(request: web.Request) -> PlaneStatistics:
    context = request.app[CONTEXT]
    return PlaneStatistics(
        gauges={
            "rooms": len(context.rooms),
            "anchors": context.presence.total,
            "sockets": len(request.app[OPEN_SOCKETS]),
        }
    )


def _planes(context: Context) -> dict[str, Statistics]:
    return {"mixer": context.mixer.statistics, "broadcast": context.broadcast.statistics}


async def _probe(context: Context) -> dict[str, bool]:
    well = {name: await _ask(ask) is not None for name, ask in _planes(context).items()}
    try:
        async with asyncio.timeout(ASK_S):
            await context.store.get("/")
    except (ServerError, TimeoutError):
        return {**well, "store": False}
    return {**well, "store": True}


async def _ask(ask: Statistics) -> PlaneStatistics | None:
    try:
        async with asyncio.timeout(ASK_S):
            return await ask()
    except (ServerError, TimeoutError):
        return None


def _name(plane: str, name: str) -> str:
    parts = ("roomtone", plane, name) if plane else ("roomtone", name)
    return _NOT_IN_A_NAME.sub("_", "_".join(parts))
