"""Paths that mean another thing to somebody else."""

import pytest

from tests.server.security.conftest import Port

FOUL = [
    "/static/..%2f..%2fpyproject.toml",
    "/static/%2e%2e/%2e%2e/pyproject.toml",
    "/static/../../pyproject.toml",
    "/static/js/../../server/config.py",
    "/static/./js/join.js",
    "/static/js/join.js%00",
    "/static/js%5cjoin.js",
    "/static/js\\join.js",
    "/static/js%2Fjoin.js",
    "/static/js/join%0d%0aX-A:1.js",
    "/static/js/join.js%7f",
    "/static/%252e%252e/secrets.json",
    "/static/\xe9.js",
    "/static//etc/passwd",
    "//etc/passwd",
    "/static/" + "a" * 3000 + ".js",
    "/static/" + "a/" * 1000 + "b.js",
    "/hls/demo/..%2f..%2fsecrets.json",
    "/hls/demo/%2e%2e%2fsecrets.json",
    "/hls/rooms/demo/..%2fenc.key",
    "/join/..%2fdemo",
    "/api/rooms/demo/..",
    "/api/rooms/%00",
    "/api/./rooms",
    "*",
    "health",
]


@pytest.mark.parametrize("path", FOUL)
async def test_foul_paths(port: Port, path: str) -> None:
    """Dot segments, escaped separators, control characters and endless paths lead nowhere."""
    await port.new_room()
    answer = await port.ask(path, **port.admin)
    assert answer.status in {400, 404}, answer
    assert await port.is_well()


@pytest.mark.parametrize("name", ["secrets.json", "admin.key", "state.db"])
async def test_state_is_not_served(port: Port, name: str) -> None:
    """No detour leads to the state folder."""
    assert (port.node.folder / "admin.key").exists()
    up = port.node.folder
    for detour in (str(up), "../" * 12 + str(up), "%2e%2e%2f" * 12 + str(up)):
        assert (await port.ask(f"/static/{detour}/{name}")).status in {400, 404}


async def test_queries_are_free(port: Port) -> None:
    """What is foul in a path is none of our business in a query."""
    answer = await port.ask("/health?next=..%2f..%2f&x=%00")
    assert answer.status == 200
