"""Marks of modules, row by row of the system we replace."""

import json

import pytest

from tests.server.edge.conftest import Edge

MARK = "/api/modules/mixers/mixer1/mark"


async def test_put_and_delete(edge: Edge) -> None:
    """A mark is stored where those who place rooms look, and taken away as often as one likes."""
    status, answer = await edge.as_admin("PUT", MARK, {"label": "cordon"})
    module = {"type": "mixers", "id": "mixer1", "label": "cordon", "ttl": 0}
    assert (status, answer) == (
        200,
        {"success": True, "message": "Module mark set successfully", "module": module},
    )
    record = await edge.node.store.get("/mixers/mixer1/mark")
    assert record is not None
    assert json.loads(record.value) == {"label": "cordon"}
    for _ in range(2):
        status, answer = await edge.as_admin("DELETE", MARK)
        assert (status, answer["message"]) == (200, "Module mark deleted successfully")
        assert answer["module"] == {"type": "mixers", "id": "mixer1"}
    assert await edge.node.store.get("/mixers/mixer1/mark") is None


@pytest.mark.parametrize("label", ["ready", "cordon", "draining", "drained", "unready"])
async def test_labels(edge: Edge, label: str) -> None:
    """Every label, for a time."""
    _, answer = await edge.as_admin("PUT", MARK, {"label": label, "ttl": 86_400})
    assert (answer["module"]["label"], answer["module"]["ttl"]) == (label, 86_400)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/modules/nodes/mixer1/mark", {"label": "ready"}, "ModuleType"),
        ("/api/modules/mixers/mixer-1/mark", {"label": "ready"}, "ModuleID"),
        ("/api/modules/mixers/ab/mark", {"label": "ready"}, "ModuleID"),
        (MARK, {}, "Label"),
        (MARK, {"label": "healthy"}, "Label"),
        (MARK, {"label": "ready", "ttl": 86_401}, "TTL"),
        (MARK, {"label": "ready", "ttl": -1}, "TTL"),
        ("/api/modules/nodes/x/mark", {"label": "healthy"}, "ModuleType"),
    ],
)
async def test_mistakes(edge: Edge, path: str, body: object, field: str) -> None:
    """The address is looked at before the body; fields have the reference's names."""
    status, answer = await edge.as_admin("PUT", path, body)
    assert (status, answer["details"][0]["field"]) == (400, field)


async def test_rights(edge: Edge) -> None:
    """Not for strangers."""
    assert (await edge.ask("PUT", MARK, {"label": "ready"}))[0] == 401
    assert (await edge.ask("DELETE", MARK))[0] == 401
