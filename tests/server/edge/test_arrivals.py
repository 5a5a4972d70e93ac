"""REST of recordings of arrivals: rights, shapes, files."""

from pathlib import Path

import pytest

from tests.server.edge.conftest import Edge, Serve

AT = "/api/rooms/demo/arrivals"
NAME = "demo-1700000000123"
CALLS: list[tuple[str, str, object]] = [
    ("POST", AT, {}),
    ("GET", AT, None),
    ("DELETE", AT, None),
    ("GET", f"{AT}/{NAME}", None),
    ("DELETE", f"{AT}/{NAME}", None),
]


@pytest.fixture
async def edge(serve: Serve) -> Edge:
    """A server with a room."""
    made = await serve()
    await made.new_room()
    return made


def put(edge: Edge, name: str, content: bytes = b"arrivals") -> Path:
    folder = edge.node.folder / "arrivals"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.arrivals"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_admin_only(edge: Edge, method: str, path: str, body: object) -> None:
    """They are everybody's voice."""
    put(edge, NAME)
    assert (await edge.ask(method, path, body))[0] == 401
    token = {"Authorization": f"Bearer {await edge.join_token()}"}
    assert (await edge.ask(method, path, body, headers=token))[0] == 403


async def test_a_recording_is_begun_and_ended(edge: Edge) -> None:
    """Until when and how large; by itself ten minutes and the size of the settings."""
    status, answer = await edge.as_admin("POST", AT, {})
    assert status == 201
    assert answer["recording"] == {"until": "2023-11-14T22:23:20Z", "limitMb": 256}
    _, answer = await edge.as_admin("POST", AT, {"seconds": 5, "limitMb": 2})
    wish = answer["recording"]
    assert wish == {"until": "2023-11-14T22:13:25Z", "limitMb": 2}
    assert (await edge.as_admin("GET", AT))[1]["recording"] == wish
    assert await edge.as_admin("DELETE", AT) == (200, {"success": True})
    assert (await edge.as_admin("GET", AT))[1]["recording"] is None
    assert (await edge.as_admin("DELETE", AT))[0] == 404


@pytest.mark.parametrize("body", [{"seconds": 0}, {"seconds": 86_401}, {"limitMb": 0}])
async def test_limits_have_limits(edge: Edge, body: object) -> None:
    """A day at most."""
    assert (await edge.as_admin("POST", AT, body))[0] == 400


async def test_where_all_is_recorded(serve: Serve, tmp_path: Path) -> None:
    """There is nothing to ask for."""
    edge = await serve(record_arrivals=tmp_path / "all")
    await edge.new_room()
    status, answer = await edge.as_admin("POST", AT, {})
    assert (status, answer["code"]) == (409, "already_recorded")


async def test_files_are_listed_fetched_and_removed(edge: Edge) -> None:
    """The room's own, oldest first; a room that is gone has them still."""
    later = "demo-1700000100000"
    for name in (later, NAME, "demo2-1700000000000", "demo-x"):
        put(edge, name)
    await edge.as_admin("DELETE", "/api/rooms/demo")
    _, answer = await edge.as_admin("GET", AT)
    assert answer["recording"] is None
    assert answer["recordings"][0] == {
        "name": NAME,
        "bytes": 8,
        "beganAt": "2023-11-14T22:13:20.123000Z",
    }
    assert [one["name"] for one in answer["recordings"]] == [NAME, later]
    async with edge.http.get(f"{AT}/{NAME}", headers=edge.admin) as file:
        assert (file.status, await file.read()) == (200, b"arrivals")
        assert f'filename="{NAME}.arrivals"' in file.headers["Content-Disposition"]
        assert file.headers["Cache-Control"] == "no-store"
    assert await edge.as_admin("DELETE", f"{AT}/{NAME}") == (200, {"success": True})
    assert (await edge.as_admin("DELETE", f"{AT}/{NAME}"))[0] == 404
    async with edge.http.get(f"{AT}/{NAME}", headers=edge.admin) as file:
        assert file.status == 404


@pytest.mark.parametrize("name", ["demo2-1700000000000", "..%2Fadmin.key", "demo-x", "demo-1"])
async def test_other_files_are_nobodys(edge: Edge, name: str) -> None:
    """Another room's, another folder's, what is none."""
    put(edge, "demo2-1700000000000")
    put(edge, "demo-x")
    (edge.node.folder / "arrivals" / "demo-1.arrivals").symlink_to(edge.node.folder / "admin.key")
    async with edge.http.get(f"{AT}/{name}", headers=edge.admin) as file:
        assert file.status == 404
