"""REST of announcements."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.errors import SoundRefused
from tests.server.edge.conftest import Edge, Serve

PATH = "/api/rooms/demo/announcements"


@pytest.fixture
async def desk(edge: Edge) -> Edge:
    """An edge with a room that can play."""
    await edge.new_room()
    await edge.node.settle()
    return edge


async def send(edge: Edge, data: Any, query: str = "", **headers: str) -> tuple[int, Any]:
    """POST a body as it is."""
    headers = edge.admin | headers
    async with edge.http.post(PATH + query, data=data, headers=headers) as answer:
        return answer.status, await answer.json()


async def send_json(edge: Edge, body: dict[str, Any]) -> tuple[int, Any]:
    """POST JSON."""
    async with edge.http.post(PATH, json=body, headers=edge.admin) as answer:
        return answer.status, await answer.json()


def form(*parts: tuple[str, str], file: object = b"RIFF") -> aiohttp.FormData:
    """Return a form with its file in the middle."""
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in parts[:1]:
        made.add_field(name, value)
    if file is not None:
        made.add_field("file", file, filename="gong.wav")
    for name, value in parts[1:]:
        made.add_field(name, value)
    return made


async def test_a_form(desk: Edge) -> None:
    """Fields before and behind the file count; its name is what it is called."""
    status, answer = await send(desk, form(("gainDb", "-3"), ("loop", "true")))
    assert status == 201, answer
    one = answer["announcement"]
    name = one.pop("announcementId")
    assert one == {
        "name": "gong.wav",
        "to": "everybody",
        "gainDb": -3.0,
        "loop": True,
        "state": "playing",
        "position": 0.0,
        "length": 1.0,
        "reason": "",
    }
    assert desk.node.decoder.read == [b"RIFF"]
    assert (await desk.as_admin("GET", PATH))[1]["announcements"] == [
        {"announcementId": name} | one
    ]
    rooms = (await desk.as_admin("GET", "/api/rooms"))[1]["rooms"]
    assert rooms[0]["announcements"] == 1


async def test_the_file_alone(desk: Edge) -> None:
    """The fields stand in the query."""
    status, answer = await send(
        desk, b"RIFF", "?gainDb=6&name=Gong", **{"Content-Type": "audio/wav"}
    )
    assert status == 201, answer
    assert (answer["announcement"]["name"], answer["announcement"]["gainDb"]) == ("Gong", 6.0)


async def test_volume_and_stop(desk: Edge) -> None:
    """Both reach the mixer; a wrong gain does not."""
    name = (await send(desk, form()))[1]["announcement"]["announcementId"]
    status, answer = await desk.as_admin("PATCH", f"{PATH}/{name}", {"gainDb": -12})
    assert (status, answer["announcement"]["gainDb"]) == (200, -12)
    assert desk.node.mixer.gains == {name: -12}
    for wrong in ({}, {"gainDb": 99}, {"gainDb": "loud"}):
        assert (await desk.as_admin("PATCH", f"{PATH}/{name}", wrong))[0] == 400
    assert (await desk.as_admin("DELETE", f"{PATH}/{name}"))[0] == 200
    assert desk.node.mixer.stopped == [name]
    _, answer = await desk.as_admin("GET", PATH)
    assert answer["announcements"][0]["state"] == "stopping"
    for method in ("PATCH", "DELETE"):
        status, answer = await desk.as_admin(method, f"{PATH}/nothing", {"gainDb": 0})
        assert (status, answer["code"]) == (404, "not_found")


@pytest.mark.parametrize("query", ["?gainDb=99", "?gainDb=nan", "?to=", "?loop=maybe", "?name=%07"])
async def test_wrong_fields(desk: Edge, query: str) -> None:
    """They are refused by name before the file is read, in a form too."""
    key, _, value = query[1:].partition("=")
    status, answer = await send(desk, b"RIFF", query)
    assert (status, answer["code"], len(answer["details"])) == (400, "bad_params", 1)
    status, answer = await send(desk, form((key, "\x07" if key == "name" else value)))
    assert (status, answer["code"]) == (400, "bad_params")
    assert desk.node.decoder.opened == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "audio/wav"),
        (("gainDb", "1"), ""),
        (b"no form at all", "multipart/form-data; boundary=x"),
        (b"no form at all", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"[", "application/json"),
    ],
)
async def test_no_file(desk: Edge, body: Any, kind: str) -> None:
    """A request without one, or a form that is none, is the caller's mistake."""
    data = form(body, file=None) if isinstance(body, tuple) else body
    status, answer = await send(desk, data, **({"Content-Type": kind} if kind else {}))
    assert (status, answer["code"]) == (400, "bad_params")


async def test_a_form_of_many_parts(desk: Edge) -> None:
    """It is not read to its end."""
    status, answer = await send(desk, form(*[("x", "y")] * 20))
    assert (status, answer["error"]) == (400, "The form has more than 16 parts")


async def test_too_large(desk: Edge) -> None:
    """The sentence says what is allowed, whether the length is claimed or not."""
    desk.node.services.context.sounds.limit_bytes = 1_000_000

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield bytes(50_000)

    for body in (io.BytesIO(bytes(1_100_000)), endless(), form(file=io.BytesIO(bytes(1_100_000)))):
        status, answer = await send(desk, body)
        assert (status, answer["code"]) == (413, "too_large")
        assert "1 MB" in answer["error"]


async def test_what_cannot_be_decoded(desk: Edge) -> None:
    """The decoder's own sentence."""
    desk.node.decoder.refusal = SoundRefused("There is no sound in this file.")
    status, answer = await send(desk, form())
    assert (status, answer["code"]) == (400, "bad_sound")
    assert answer["error"] == "There is no sound in this file."


async def test_a_file_of_the_folder(serve: Serve, tmp_path: Path) -> None:
    """By its name, with the fields beside it; no other file."""
    folder = tmp_path / "jingles"
    folder.mkdir()
    (folder / "gong.wav").write_bytes(b"RIFX")
    desk = await serve(announcements_dir=folder)
    await desk.new_room()
    await desk.node.settle()
    status, answer = await send_json(desk, {"file": "gong.wav", "gainDb": -6, "loop": True})
    assert status == 201, answer
    one = answer["announcement"]
    assert (one["name"], one["gainDb"], one["loop"]) == ("gong.wav", -6.0, True)
    assert desk.node.decoder.read == [b"RIFX"]
    status, answer = await send_json(desk, {"file": "../state.db"})
    assert (status, answer["code"]) == (404, "not_found")


async def test_without_a_folder(desk: Edge) -> None:
    """The setting is named."""
    status, answer = await send_json(desk, {"file": "gong.wav"})
    assert (status, answer["code"]) == (409, "not_enabled")


async def test_somebody_who_is_not_there(desk: Edge) -> None:
    """A user id is a person of this room."""
    status, answer = await send(desk, form(), "?to=0f0e0d0c-0b0a-4909-8807-060504030201")
    assert (status, answer["code"]) == (404, "not_found")


async def test_rights(desk: Edge) -> None:
    """Only the admin; nothing is read of others."""
    token = await desk.join_token()
    for method, path in (
        ("POST", PATH),
        ("GET", PATH),
        ("PATCH", f"{PATH}/x"),
        ("DELETE", f"{PATH}/x"),
    ):
        assert (await desk.ask(method, path))[0] == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert (await desk.ask(method, path, headers=headers))[0] == 403


async def test_no_such_room(desk: Edge) -> None:
    """Before anything is received."""
    for method, path in (("POST", ""), ("GET", ""), ("PATCH", "/x"), ("DELETE", "/x")):
        _, answer = await desk.as_admin(method, f"/api/rooms/nowhere/announcements{path}")
        assert answer["code"] == "room_not_found"
