"""OpenTelemetry: what a real exporter sends to an HTTP server of our own."""

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.contextvars import bound_contextvars
from structlog.testing import capture_logs

from mixer.types import Histogram as MixerHistogram
from mixer.types import PlaneStatistics
from server import telemetry
from server.compose import observe
from server.telemetry import note, span, traced
from tests.support.otel_collector import sinking


async def test_spans_and_numbers_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span has its name, its attributes and the bound room; a failed one says so."""
    registry = CollectorRegistry()
    Counter("roomtone_joins", "Joins", ["outcome"], registry=registry).labels("joined").inc(3)
    Gauge("roomtone_people", "People", registry=registry).set(7)
    Histogram("roomtone_offer_seconds", "Offers", registry=registry).observe(0.5)
    async with sinking(monkeypatch, registry) as (kept, _):
        with bound_contextvars(room="demo", peer="ann", pin="1234"):
            await joined()
        with pytest.raises(ValueError, match="no"), span("room.create", id="x"):
            raise ValueError("no")
    assert kept.service == "roomtone"
    assert kept.spans["join"] == {"room": "demo", "peer": "ann", "outcome": "answered"}
    assert kept.spans["room.create"]["id"] == "x"
    assert kept.failed == {"room.create"}
    assert kept.numbers["roomtone_joins"] == 3
    assert kept.numbers["roomtone_people"] == 7
    assert kept.numbers["roomtone_offer_seconds_count"] == 1
    assert kept.numbers["roomtone_offer_seconds_sum"] == 0.5


async def test_numbers_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of workers too, by process; a name that comes later is there, one that goes is not."""
    histogram = MixerHistogram((0.1,), (2, 3), 1.5)
    async with sinking(monkeypatch, CollectorRegistry()) as (kept, made):
        made.see({"mixer-0": PlaneStatistics({"late": 1, "gone": 1}, {"up": 1.0})})
        made.see(
            {
                "mixer-0": PlaneStatistics({"late": 2}, {"up": 1.0}, {"tick s": histogram}),
                "mixer-1": PlaneStatistics({"late": 5, "new": 7}),
            }
        )
    assert kept.by_process["roomtone_late"] == {"mixer-0": 2, "mixer-1": 5}
    assert kept.by_process["roomtone_new"] == {"mixer-1": 7}
    assert kept.by_process["roomtone_up"] == {"mixer-0": 1}
    assert kept.by_process["roomtone_tick_s_count"] == {"mixer-0": 5}
    assert kept.by_process["roomtone_tick_s_sum"] == {"mixer-0": 1.5}
    assert not kept.by_process.get("roomtone_gone")


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
