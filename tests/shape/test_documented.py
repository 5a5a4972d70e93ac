"""Whatever can be set or called is documented."""

import re
from pathlib import Path

import pytest

from server.config import Settings, option, variable
from server.edge.app import ROUTES
from server.edge.signalling import methods
from server.edge.socket import CLOSE_CODES
from server.edge.subscriptions import EVENTS

PROTOCOL = Path("docs/protocol.md").read_text(encoding="utf-8")
CONFIGURATION = Path("docs/configuration.md").read_text(encoding="utf-8")
# Pages are described where people look for pages; OPTIONS is a courtesy to browsers.
ELSEWHERE = {"/static/{path}", "/hls/{path}"}
# Every one that a service makes; what processes say to each other is no part of the protocol.
NOTIFICATIONS = {
    name
    for path in Path("server/services").glob("*.py")
    for name in re.findall(r'Notification\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
}


def shown(path: str) -> str:
    """Write a route as the documents do."""
    path = re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)
    if path.startswith("/api/"):
        return path.replace("{room}", "{id}").replace("{user}", "{userId}")
    return path


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_routes(route: object) -> None:
    """Every route is in the protocol."""
    method, path = str(getattr(route, "method")), shown(str(getattr(route, "path")))  # noqa: B009
    if path in ELSEWHERE:
        return
    expected = f"`{method} {path}" if path.startswith("/api/") else path
    expected = "/hls/{room}/….m4s" if path == "/hls/{room}/{name}" else expected
    assert expected in PROTOCOL


@pytest.mark.parametrize("method", sorted(methods(None, None).methods))  # type: ignore[arg-type]
def test_methods(method: str) -> None:
    """Every JSON-RPC method is in the protocol."""
    assert f"`{method}`" in PROTOCOL


def test_events() -> None:
    """What clients can subscribe to is what there is."""
    assert EVENTS == NOTIFICATIONS


@pytest.mark.parametrize("code", sorted({*CLOSE_CODES.values()}))
def test_close_codes(code: int) -> None:
    """Every close code is in the protocol, with what to do about it."""
    assert f"| `{code}` |" in PROTOCOL


@pytest.mark.parametrize("name", sorted(NOTIFICATIONS))
def test_notifications(name: str) -> None:
    """Every notification is in the protocol."""
    assert f"| `{name}` |" in PROTOCOL


@pytest.mark.parametrize("key", Settings.model_fields)
def test_settings(key: str) -> None:
    """Every setting has a row with its option, its variable and its own words."""
    row = next(
        (line for line in CONFIGURATION.splitlines() if line.startswith(f"| `{option(key)}`")), ""
    )
    assert f"`{variable(key)}`" in row
    assert str(Settings.model_fields[key].description) in row
