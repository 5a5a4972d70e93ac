"""Health, readiness and metrics."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mixer.types import OverloadLevel, PlaneStatistics
from tests.server.edge.conftest import Edge, Serve
from tests.support.node import NOON


async def samples(edge: Edge, **headers: str) -> dict[tuple[str, str], float]:
    async with edge.http.get("/metrics", headers=headers) as answer:
        families = text_string_to_metric_families(await answer.text())
    return {
        (sample.name, sample.labels.get("process") or sample.labels.get("route", "")): sample.value
        for family in families
        for sample in family.samples
    }


async def test_health(edge: Edge) -> None:
    """The process says that it is alive, in the reference's shape."""
    answer = await edge.ask("GET", "/health")
    assert answer == (200, {"status": "ok", "service": "roomtone", "timestamp": int(NOON)})


async def test_ready(edge: Edge) -> None:
    """With everything there the server is ready."""
    assert await edge.ask("GET", "/ready") == (200, {"ready": True})


async def test_not_ready(edge: Edge) -> None:
    """What is missing is named; the process is alive all the same."""
    edge.node.mixer.is_away = True
    await edge.node.store.close()
    answer = await edge.ask("GET", "/ready")
    assert answer == (503, {"ready": False, "reasons": ["mixer", "store"]})
    assert (await edge.ask("GET", "/health"))[0] == 200


async def test_not_ready_while_ticks_are_late(edge: Edge) -> None:
    """A mixer that cannot keep up is named, so that nobody sends it more people."""
    edge.node.mixer.late_share = 0.2
    assert await edge.ask("GET", "/ready") == (503, {"ready": False, "reasons": ["ticks"]})


async def test_not_ready_while_overloaded(edge: Edge) -> None:
    """A mixer that refuses people is named; one that only spends less is not."""
    edge.node.mixer.overload_level = OverloadLevel.FEW
    assert await edge.ask("GET", "/ready") == (200, {"ready": True})
    edge.node.mixer.overload_level = OverloadLevel.FULL
    assert await edge.ask("GET", "/ready") == (503, {"ready": False, "reasons": ["overload"]})


async def test_one_mixer_with_room_is_enough(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several, each with numbers of its own, only all together make the server full."""
    levels = {"mixer-0": 4.0, "mixer-1": 0.0}

    async def statistics() -> dict[str, PlaneStatistics]:
        told = {n: PlaneStatistics(gauges={"overload_level": at}) for n, at in levels.items()}
        return {**told, "mixer-2": PlaneStatistics(gauges={"mixer_up": 0.0})}

    monkeypatch.setattr(edge.node.mixer, "statistics", statistics)
    assert (await edge.ask("GET", "/ready"))[0] == 200
    found = await samples(edge)
    assert found["roomtone_overload_level", "mixer-0"] == 4
    assert found["roomtone_mixer_up", "mixer-2"] == 0
    levels["mixer-1"] = 4.0
    assert (await edge.ask("GET", "/ready"))[0] == 503


async def test_histograms(edge: Edge) -> None:
    """Counts are cumulative by upper bound, as Prometheus wants them."""
    async with edge.http.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    name = "roomtone_tick_lateness_seconds"
    assert [line for line in lines if line.startswith(name)] == [
        f'{name}_bucket{{le="0.001",process="mixer"}} 5.0',
        f'{name}_bucket{{le="0.01",process="mixer"}} 7.0',
        f'{name}_bucket{{le="+Inf",process="mixer"}} 8.0',
        f'{name}_count{{process="mixer"}} 8.0',
        f'{name}_sum{{process="mixer"}} 0.25',
    ]


async def test_metrics(edge: Edge) -> None:
    """The numbers of every process are there, under one name each."""
    await edge.new_room()
    await edge.node.settle()
    found = await samples(edge)
    assert found["roomtone_packets_total", "mixer"] == 7
    assert found["roomtone_segments_total", "broadcast"] == 3
    assert found["roomtone_rooms", "mixer"] == found["roomtone_rooms", "control"] == 1
    assert found["roomtone_http_requests_total", "/api/rooms"] == 1


async def test_metrics_without_mixer(edge: Edge) -> None:
    """A mixer that is away leaves the others' numbers."""
    edge.node.mixer.is_away = True
    found = await samples(edge)
    assert ("roomtone_packets_total", "mixer") not in found
    assert found["roomtone_segments_total", "broadcast"] == 3


async def test_labels_are_ours(edge: Edge) -> None:
    """Strangers cannot fill the metrics with names of their own."""
    for name in ("one", "two"):
        await edge.ask("GET", f"/made/up/{name}")
        async with edge.http.request(f"MADEUP-{name}", "/health"):
            pass
    routes = {route for name, route in await samples(edge) if name.startswith("roomtone_http")}
    assert routes <= {"unknown", "/health", ""}


async def test_metrics_are_private(serve: Serve) -> None:
    """Where others can reach the port, the numbers are the admin's."""
    edge = await serve(host="0.0.0.0")
    assert (await edge.ask("GET", "/metrics"))[0] == 401
    assert await samples(edge, **edge.admin)


async def test_a_mixer_is_missing(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others work a mixer that is down is named, and calls are taken all the same."""

    async def statistics() -> dict[str, PlaneStatistics]:
        up = {"mixer-0": 1.0, "mixer-1": 0.0}
        return {name: PlaneStatistics(gauges={"mixer_up": value}) for name, value in up.items()}

    monkeypatch.setattr(edge.node.mixer, "statistics", statistics)
    assert await edge.ask("GET", "/ready") == (200, {"ready": True, "degraded": ["mixer-1"]})
