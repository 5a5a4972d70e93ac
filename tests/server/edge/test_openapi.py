"""/openapi.json and the page that shows it."""

import re
from typing import Any

import pytest

from server.edge.answers import Problem
from server.edge.app import ROUTES
from server.edge.contract import OPERATIONS
from server.edge.errors import TABLE
from server.edge.openapi import document, shown_path
from tests.server.edge.conftest import Edge


def test_every_route() -> None:
    """Every route is in the document, and nothing that is no route."""
    routes = {(one.method, shown_path(one.path)) for one in ROUTES}
    assert set(OPERATIONS) == routes


@pytest.mark.parametrize("key", OPERATIONS, ids=" ".join)
def test_operations(key: tuple[str, str]) -> None:
    """Every operation says what it answers, who may call it, and how errors look."""
    method, path = key
    described = document()["paths"][path][method.lower()]
    assert described["summary"]
    assert described["security"]
    named = {one["name"] for one in described.get("parameters", ()) if one["in"] == "path"}
    assert named == set(re.findall(r"\{(\w+)\}", path))
    for code in OPERATIONS[key].codes(method, path):
        answer = described["responses"][str(TABLE[code].status)]
        if code not in answer["description"]:
            assert int(TABLE[code].status) in OPERATIONS[key].also
        elif not path.startswith(("/whip/", "/whep/")):
            assert answer["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/Problem"
            }


def test_names_are_unique() -> None:
    """An operationId is one operation's."""
    names = [one.name for one in OPERATIONS.values()]
    assert len(set(names)) == len(names)


def test_references() -> None:
    """Whatever is referred to is there."""
    whole = document()
    for reference in set(_references(whole)):
        assert reference.removeprefix("#/components/schemas/") in whole["components"]["schemas"]


def test_examples_fit() -> None:
    """Every example of a body is one that its model takes."""
    for operation in OPERATIONS.values():
        if operation.body is not None and operation.example is not None:
            operation.body.model_validate(operation.example)


async def test_served(edge: Edge) -> None:
    """It is served to everybody, and pages of other sites may read it."""
    async with edge.http.get("/openapi.json") as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert await answer.json() == document()


async def test_page(edge: Edge) -> None:
    """The page to try it is ours from first to last: nothing is fetched from elsewhere."""
    async with edge.http.get("/api") as answer:
        text = await answer.text()
    assert answer.status == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert addresses
    assert all(one.startswith(("/", "#")) for one in addresses)
    assert "<script>" not in text


def test_problem() -> None:
    """The shape of an error is that of the error table's answers."""
    Problem.model_validate(
        {
            "success": False,
            "error": "No",
            "code": "bad_params",
            "retryable": False,
            "retryAfterMs": None,
            "details": None,
        }
    )


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for value in part.values() for one in _references(value)]
    return [one for value in part for one in _references(value)] if isinstance(part, list) else []
