"""Whatever can be set or called is documented."""

import re
from pathlib import Path

import pytest

from server.config import Settings, option, variable
from server.edge.app import ROUTES
from server.edge.signalling import methods

PROTOCOL = Path("docs/protocol.md").read_text(encoding="utf-8")
CONFIGURATION = Path("docs/configuration.md").read_text(encoding="utf-8")
# Pages are described where people look for pages; OPTIONS is a courtesy to browsers.
ELSEWHERE = {"/static/{path}", "/hls/{path}"}
NOTIFICATIONS = (
    *("roomStatus", "talking", "reconnect", "draining"),
    *("unmuteRequest", "roomChanged", "roomClosed"),
)


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


@pytest.mark.parametrize("name", NOTIFICATIONS)
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
