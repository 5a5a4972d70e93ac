"""`/openapi.json`: the contract as OpenAPI 3.1, made of the models that validate."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from server.domain.identity import ROOM_ID_PATTERN, USER_ID_PATTERN
from server.edge.answers import Problem
from server.edge.contract import JSON, OPERATIONS, USER, Needs, Operation
from server.edge.errors import TABLE

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"
_SECURITY: Final[Mapping[Needs, list[Json]]] = {
    Needs.NOTHING: [{}],
    Needs.SOMETHING: [{"key": []}, {"cookie": []}, {}],
    Needs.ADMIN: [{"key": []}, {"cookie": []}],
}
_SCHEMES: Final[Json] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "The admin key, or the token of the one person or listener it is about",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "roomtone_admin",
        "description": "The admin's session, from `POST /api/session`; for pages of this server",
    },
}
_ABOUT: Final = (
    "Live audio rooms. In prose: docs/protocol.md of the source. Below /api/ a POST with an"
    " Idempotency-Key is done once, a GET with If-None-Match is answered 304 where nothing changed,"
    " and a PATCH of a room with If-Match is refused (412) if it was changed since."
)
_NAME: Final[Json] = {"type": "string", "minLength": 1, "maxLength": 128}
PATH_PARAMETERS: Final[Mapping[str, tuple[Json, object]]] = {
    "room": ({"type": "string", "pattern": ROOM_ID_PATTERN}, "demo"),
    "user": ({"type": "string", "pattern": USER_ID_PATTERN}, USER),
    "moduleType": ({"type": "string", "enum": ["mixers", "januses"]}, "mixers"),
    "moduleId": ({"type": "string", "pattern": "^[A-Za-z0-9]{3,32}$"}, "mixer1"),
    "epoch": ({"type": "string", "pattern": "^[0-9]{1,9}$"}, "0"),
    "path": ({"type": "string", "minLength": 1}, "css/base.css"),
}
_PLACES: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")


def shown_path(path: str) -> str:
    """Return a route's path without the patterns of its places."""
    return _PLACES.sub(r"{\1}", path)


@cache
def document() -> Json:
    """Return the whole document; the same object each time, not to be changed."""
    schemas = _schemas()
    paths: defaultdict[str, Json] = defaultdict(dict)
    for (method, path), operation in OPERATIONS.items():
        paths[path][method.lower()] = _operation((method, path), operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Roomtone",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in OPERATIONS.values())],
        "paths": dict(paths),
        "components": {"schemas": schemas["definitions"], "securitySchemes": _SCHEMES},
    }


async def get_document(_request: web.Request) -> web.Response:
    """`GET /openapi.json`."""
    return web.json_response(document(), headers={"Access-Control-Allow-Origin": "*"})


def _models() -> Iterator[tuple[type[BaseModel], bool]]:
    """Yield every model of the contract, and whether it is an answer."""
    yield Problem, True
    for operation in OPERATIONS.values():
        if isinstance(operation.answer, type):
            yield operation.answer, True
        for model in (operation.body, operation.query):
            if model is not None:
                yield model, False


def _schemas() -> Json:
    """Return `definitions` by name, and `of`: the schema of each model."""
    asked = list(dict.fromkeys(_models()))
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "serialization" if is_answer else "validation") for model, is_answer in asked
    ]
    found, whole = models_json_schema(modes, ref_template=_REF)
    of = {key[0]: schema for key, schema in found.items()}
    return {"definitions": whole["$defs"], "of": of}


def _operation(where: tuple[str, str], operation: Operation, schemas: Json) -> Json:
    path = where[1]
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": _SECURITY[operation.needs],
        "responses": _responses(where, operation, schemas),
    }
    parameters = [*_path_parameters(path), *_query_parameters(operation, schemas)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None or operation.forms:
        described["requestBody"] = {"required": True, "content": _content(operation, schemas)}
    return described


def _content(operation: Operation, schemas: Json) -> Json:
    content: Json = {kind: {"schema": schema} for kind, schema in operation.forms.items()}
    if operation.body is not None:
        content[JSON] = {"schema": schemas["of"][operation.body]}
        if operation.example is not None:
            content[JSON]["example"] = operation.example
    return content


def _path_parameters(path: str) -> list[Json]:
    found = []
    for name in _PLACES.findall(path):
        schema, example = PATH_PARAMETERS.get(name, (_NAME, f"the-{name.lower()}"))
        found.append(
            {"name": name, "in": "path", "required": True, "schema": schema, "example": example}
        )
    return found


def _query_parameters(operation: Operation, schemas: Json) -> list[Json]:
    if operation.query is None:
        return []
    schema = schemas["of"][operation.query]
    shape = schemas["definitions"][schema["$ref"].rpartition("/")[2]]
    return [
        {"name": name, "in": "query", "required": False, "schema": one}
        for name, one in shape["properties"].items()
    ]


def _responses(where: tuple[str, str], operation: Operation, schemas: Json) -> Json:
    method, path = where
    answer = operation.answer
    responses: Json = {str(operation.status): {"description": operation.summary}}
    if isinstance(answer, type):
        schema = schemas["of"][answer]
        responses[str(operation.status)]["content"] = {JSON: {"schema": schema}}
    elif answer is not None:
        responses[str(operation.status)]["content"] = {answer: {}}
    if method == "GET" and path.startswith("/api/"):
        responses["304"] = {"description": "It is as If-None-Match says"}
    for status, why in operation.also.items():
        responses[str(status)] = {"description": why}
        if isinstance(answer, type):
            responses[str(status)]["content"] = {JSON: {"schema": schemas["of"][answer]}}
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in sorted(operation.codes(method, path)):
        by_status[TABLE[code].status].append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _refusal(codes, schemas)
        if path.startswith(("/whip/", "/whep/")):  # RFC 9457, with the same fields
            responses[str(status)]["content"] = {"application/problem+json": {}, JSON: {}}
    return responses


def _refusal(codes: list[str], schemas: Json) -> Json:
    described: Json = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {JSON: {"schema": schemas["of"][Problem]}},
    }
    if any(TABLE[code].retry_after_ms is not None for code in codes):
        described["headers"] = {
            "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}
        }
    return described
