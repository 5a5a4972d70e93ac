"""Every JSON answer of a test held against the contract."""

import re
from functools import cache

from server.edge.answers import Problem
from server.edge.contract import OPERATIONS, Operation
from server.edge.errors import TABLE


def check_answer(method: str, path: str, status: int, body: object) -> None:
    """Raise AssertionError or ValidationError unless the contract has such an answer."""
    found = _operation(method, path.partition("?")[0])
    if found is None:
        Problem.model_validate(body)
        return
    template, operation = found
    if status == operation.status or status in operation.also:
        if isinstance(operation.answer, type):
            operation.answer.model_validate(body, strict=False)
        return
    if template.startswith(("/whip/", "/whep/")):  # RFC 9457, tested where they are
        return
    problem = Problem.model_validate(body)
    allowed = operation.codes(method, template) | {"internal"}
    assert problem.code in allowed, f"{method} {template} does not say that it answers {body}"
    assert TABLE[problem.code].status == status


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], str, Operation]]:
    found = []
    for (method, template), operation in OPERATIONS.items():
        parts = re.split(r"(\{\w+\})", template)
        text = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
        found.append((method, re.compile(text), template, operation))
    return found


def _operation(method: str, path: str) -> tuple[str, Operation] | None:
    for known, pattern, template, operation in _patterns():
        if known == method and pattern.fullmatch(path):
            return template, operation
    return None
