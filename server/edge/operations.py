"""For those who run the server: health, readiness, metrics."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric

from mixer.types import Histogram, OverloadLevel, PlaneStatistics
from server.domain.api_key import Scope
from server.edge.context import CONTEXT, Context
from server.edge.rights import require
from server.edge.signalling import OPEN_SOCKETS
from server.errors import ServerError
from server.memory import resident_bytes
from server.services.outputs import OutputState
from server.services.radio import RadioFormat

ASK_S: Final = 1.0  # a plane that needs longer to say how it is is not well
MOST_LATE: Final = 0.1  # of the mixer's last 5 s of ticks: another call would be heard in all
Told = TypeVar("Told")

_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]")


class PlaneCollector:
    """Turns one scrape's statistics into metrics: one family a name, one sample a process."""

    def __init__(self, processes: Mapping[str, PlaneStatistics]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Yield every number of every process."""
        counters: dict[str, CounterMetricFamily] = {}
        gauges: dict[str, GaugeMetricFamily] = {}
        histograms: dict[str, HistogramMetricFamily] = {}
        for process, statistics in self._processes.items():
            for name, count in statistics.counters.items():
                counter = CounterMetricFamily(metric_name(name), name, labels=["process"])
                counters.setdefault(name, counter).add_metric([process], count)
            for name, value in statistics.gauges.items():
                gauge = GaugeMetricFamily(metric_name(name), name, labels=["process"])
                gauges.setdefault(name, gauge).add_metric([process], value)
            for name, counted in statistics.histograms.items():
                histogram = HistogramMetricFamily(metric_name(name), name, labels=["process"])
                histograms.setdefault(name, histogram).add_metric(
                    [process], _buckets(counted), counted.total
                )
        yield from (*counters.values(), *gauges.values(), *histograms.values())


async def health(request: web.Request) -> web.Response:
    """`GET /health`: the process is alive."""
    now = int(request.app[CONTEXT].clock.unix())
    return web.json_response({"status": "ok", "service": "roomtone", "timestamp": now})


async def ready(request: web.Request) -> web.Response:
    """`GET /ready`: everything a call needs answers."""
    context = request.app[CONTEXT]
    told = await _ask(context.mixer.statistics) or {}
    reasons = [name for name, well in (await _well(context, told)).items() if not well]
    if reasons:
        return web.json_response({"ready": False, "reasons": reasons}, status=503)
    # With others still up there is a place for a call, but somebody should look.
    degraded = [name for name, mixer in told.items() if mixer.gauges.get("mixer_up") == 0.0]
    return web.json_response({"ready": True} | ({"degraded": degraded} if degraded else {}))


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: Prometheus text; off loopback for the admin only."""
    context = request.app[CONTEXT]
    if not context.settings.is_loopback:
        require(request, Scope.METRICS)
    scrape = CollectorRegistry()
    scrape.register(PlaneCollector(await gather(request.app)))
    text = generate_latest(context.registry) + generate_latest(scrape)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def gather(app: web.Application) -> Mapping[str, PlaneStatistics]:
    """Return the numbers of every process that says them within a second."""
    context = app[CONTEXT]
    processes = {"control": _own(app), **(await _ask(context.mixer.statistics) or {})}
    if (broadcast := await _ask(context.broadcast.statistics)) is not None:
        processes["broadcast"] = broadcast
    upload = context.uploads.plane
    if upload is not None and (uploaded := await _ask(upload.statistics)) is not None:
        processes["upload"] = uploaded
    return processes


def metric_name(name: str) -> str:
    """Return what a process's number is called outside."""
    return _NOT_IN_A_NAME.sub("_", f"roomtone_{name}")


def _own(app: web.Application) -> PlaneStatistics:
    context = app[CONTEXT]
    return PlaneStatistics(
        gauges={
            "rooms": len(context.rooms),
            "anchors": context.presence.total,
            "broadcast_listeners": len(context.listening.listeners),
            "sockets": len(app[OPEN_SOCKETS]),
            "announcements": context.announcer.count,
            "radio_feeds": len(context.radio.feeds),
            **{f"radio_listeners_{one}": context.radio.listeners[one] for one in RadioFormat},
            **{f"outputs_{one}": context.outputs.states()[one] for one in OutputState},
            "recordings": context.recorder.count,
            "draining": float(context.drain.is_on),
            "resident_bytes": float(resident_bytes() or 0),
            **{f"people_{role}": count for role, count in context.presence.by_role().items()},
        },
        counters={
            **context.announcer.counters,
            **context.radio.counters,
            "radio_refused_total": context.radio.places.refused,
            **context.radio.feeds.counters,
            **context.outputs.counters,
            **context.listening.listeners.counters,
            **context.listening.keys.counters,
            **{f"refused_{limit.value}": count for limit, count in context.limits.refused.items()},
        },
    )


async def _well(context: Context, told: Mapping[str, PlaneStatistics]) -> dict[str, bool]:
    well = {name: is_up() for name, is_up in context.is_up.items()}
    if context.drain.is_on:
        well["draining"] = False
    mixers = [one.gauges for one in told.values()]
    if any(gauges.get("ticks_late_share", 0.0) > MOST_LATE for gauges in mixers):
        well["ticks"] = False
    levels = [gauges["overload_level"] for gauges in mixers if "overload_level" in gauges]
    if levels and min(levels) >= OverloadLevel.FULL:  # else another one takes who comes
        well["overload"] = False
    try:
        async with asyncio.timeout(ASK_S):
            await context.store.get("/")
    except (ServerError, TimeoutError):
        return {**well, "store": False}
    return {**well, "store": True}


async def _ask(ask: Callable[[], Awaitable[Told]]) -> Told | None:
    try:
        async with asyncio.timeout(ASK_S):
            return await ask()
    except (ServerError, TimeoutError):
        return None


def _buckets(counted: Histogram) -> list[tuple[str, float]]:
    """Return cumulative counts by upper bound, as Prometheus has them."""
    bounds = [*map(str, counted.bounds), "+Inf"]
    return list(zip(bounds, itertools.accumulate(map(float, counted.counts)), strict=True))
