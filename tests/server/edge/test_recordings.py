"""REST and signalling of recordings: rights, shapes, files."""

import io
import zipfile
from pathlib import Path

import pytest

from mixer.types import RoomId
from tests.server.edge.conftest import Edge, Serve
from tests.server.edge.test_participants import member

AT = "/api/rooms/demo/recordings"
NAME = "2023-11-14_22-13-20"
ONE = f"{AT}/{NAME}"
CALLS: list[tuple[str, str, object]] = [
    ("POST", AT, {}),
    ("GET", AT, None),
    ("GET", "/api/recordings", None),
    ("GET", ONE, None),
    ("PATCH", ONE, {"action": "stop"}),
    ("DELETE", ONE, None),
    ("GET", f"{ONE}/files.zip", None),
    ("GET", f"{ONE}/files/mix.ogg", None),
]
DEMO = RoomId("demo")
NOBODY = "cccccccc-0000-4000-8000-000000000003"


@pytest.fixture
async def edge(serve: Serve) -> Edge:
    """A server with a room."""
    made = await serve()
    await made.new_room()
    return made


def put(edge: Edge, file: str, content: bytes, name: str = NAME) -> Path:
    path = edge.node.folder / "recordings" / "demo" / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def finish(edge: Edge, name: str = NAME) -> None:
    await edge.node.services.context.recorder.finished(DEMO, name)


async def done(edge: Edge) -> None:
    """A recording that is over, with files."""
    await edge.as_admin("POST", AT, {})
    put(edge, "mix.ogg", b"OggS-mix")
    put(edge, "tracks/1-Ada.ogg", b"OggS-track")
    put(edge, "manifest.json", b'{"format": "roomtone-recording"}')
    await edge.as_admin("PATCH", ONE, {"action": "stop"})
    await finish(edge)


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_admin_only(edge: Edge, method: str, path: str, body: object) -> None:
    """They are everybody's voice."""
    await done(edge)
    assert (await edge.ask(method, path, body))[0] == 401
    token = {"Authorization": f"Bearer {await edge.join_token()}"}
    assert (await edge.ask(method, path, body, headers=token))[0] == 403


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_the_scope_of_keys(edge: Edge, method: str, path: str, body: object) -> None:
    """`recordings`, and no other."""
    other = {"Authorization": f"Bearer {await _key(edge, 'rooms:write')}"}
    assert (await edge.ask(method, path, body, headers=other))[0] == 403
    await done(edge)
    right = {"Authorization": f"Bearer {await _key(edge, 'recordings')}"}
    data = None if body is None else b'{"action": "stop"}'
    async with edge.http.request(method, path, data=data, headers=right) as answer:
        assert answer.status not in {401, 403}


async def _key(edge: Edge, scope: str) -> str:
    _, answer = await edge.as_admin("POST", "/api/keys", {"name": "k", "scopes": [scope]})
    key: str = answer["key"]["secret"]
    return key


async def test_a_recording_from_beginning_to_end(edge: Edge) -> None:
    """What was asked for, by whom, and how long it is."""
    status, answer = await edge.as_admin("POST", AT, {"mix": "flac", "exact": True})
    assert status == 201
    assert answer["recording"] == {
        "roomId": "demo",
        "name": NAME,
        "state": "recording",
        "mix": "flac",
        "tracks": True,
        "exact": True,
        "by": "api",
        "beganAt": "2023-11-14T22:13:20Z",
        "endedAt": None,
        "endedBy": "",
        "seconds": 0.0,
        "reason": "",
        "upload": None,
    }
    edge.node.advance(2)
    for action, state in (("pause", "paused"), ("resume", "recording"), ("stop", "stopping")):
        status, answer = await edge.as_admin("PATCH", ONE, {"action": action})
        assert (status, answer["recording"]["state"]) == (200, state)
    await finish(edge)
    _, answer = await edge.as_admin("GET", ONE)
    shape = answer["recording"]
    assert (shape["state"], shape["seconds"], shape["endedBy"]) == ("done", 2.0, "api")
    assert (shape["bytes"], shape["files"], shape["manifest"]) == (0, [], None)


async def test_refusals(edge: Edge) -> None:
    """Each with its code."""
    await edge.as_admin("POST", AT, {})
    status, answer = await edge.as_admin("POST", AT, {})
    assert (status, answer["code"]) == (409, "already_recording")
    status, answer = await edge.as_admin("DELETE", ONE)
    assert (status, answer["code"]) == (409, "recording_busy")
    await edge.as_admin("PATCH", ONE, {"action": "stop"})
    status, answer = await edge.as_admin("PATCH", ONE, {"action": "pause"})
    assert (status, answer["code"]) == (409, "recording_over")
    assert (await edge.as_admin("PATCH", ONE, {"action": "burn"}))[0] == 400
    assert (await edge.as_admin("POST", AT, {"mix": "mp3"}))[0] == 400
    assert (await edge.as_admin("PATCH", f"{AT}/other", {"action": "stop"}))[0] == 404
    assert (await edge.as_admin("POST", "/api/rooms/nowhere/recordings", {}))[0] == 404


async def test_a_full_disk(serve: Serve) -> None:
    """507, and what to do about it."""
    edge = await serve(recordings_min_free_mb=1 << 30)
    await edge.new_room()
    status, answer = await edge.as_admin("POST", AT, {})
    assert (status, answer["code"], answer["retryable"]) == (507, "disk_full", False)


async def test_a_draining_server_begins_none(edge: Edge) -> None:
    """It is about to end."""
    edge.node.services.context.drain.is_on = True
    assert (await edge.as_admin("POST", AT, {}))[1]["code"] == "draining"


async def test_the_same_key_is_the_same_recording(edge: Edge) -> None:
    """A request that is sent again does not begin another."""
    again = edge.admin | {"Idempotency-Key": "once"}
    first = await edge.ask("POST", AT, {}, headers=again)
    assert await edge.ask("POST", AT, {}, headers=again) == first


async def test_lists(edge: Edge) -> None:
    """Of one room, of all, in pages; those of rooms that are gone are there still."""
    await done(edge)
    edge.node.advance(1)
    await edge.new_room("other")
    await edge.as_admin("POST", "/api/rooms/other/recordings", {})
    await edge.as_admin("DELETE", "/api/rooms/demo")
    _, answer = await edge.as_admin("GET", AT)
    assert [(one["name"], one["bytes"]) for one in answer["recordings"]] == [(NAME, 50)]
    assert answer["freeBytes"] > 0
    _, first = await edge.as_admin("GET", "/api/recordings?limit=1")
    assert [one["roomId"] for one in first["recordings"]] == ["demo"]
    _, rest = await edge.as_admin("GET", f"/api/recordings?limit=1&cursor={first['nextCursor']}")
    assert [one["roomId"] for one in rest["recordings"]] == ["other"]
    assert "nextCursor" not in rest


async def test_rooms_say_that_they_are_recorded(edge: Edge) -> None:
    """In the list and by themselves, also to those with a link or a token."""
    assert (await edge.as_admin("GET", "/api/rooms/demo"))[1]["room"]["recording"] is None
    await edge.as_admin("POST", AT, {})
    token = {"Authorization": f"Bearer {await edge.join_token()}"}
    _, seen = await edge.ask("GET", "/api/rooms/demo", headers=token)
    assert seen["room"]["recording"]["state"] == "recording"
    _, listed = await edge.as_admin("GET", "/api/rooms")
    assert listed["rooms"][0]["recording"]["name"] == NAME


async def test_a_rooms_own_wish(edge: Edge) -> None:
    """When it is made, and later."""
    room = await edge.new_room("own", record="when-occupied")
    assert room["record"] == "when-occupied"
    _, answer = await edge.as_admin("PATCH", "/api/rooms/own", {"record": None})
    assert answer["room"]["record"] is None
    assert (await edge.as_admin("PATCH", "/api/rooms/own", {"record": "always"}))[0] == 400


async def test_files_are_fetched(edge: Edge) -> None:
    """With their types, in ranges, and without the body."""
    await done(edge)
    _, answer = await edge.as_admin("GET", ONE)
    assert answer["recording"]["files"] == [
        {"name": "manifest.json", "bytes": 32, "type": "application/json"},
        {"name": "mix.ogg", "bytes": 8, "type": "audio/ogg"},
        {"name": "tracks/1-Ada.ogg", "bytes": 10, "type": "audio/ogg"},
    ]
    assert answer["recording"]["manifest"] == {"format": "roomtone-recording"}
    async with edge.http.get(f"{ONE}/files/tracks/1-Ada.ogg", headers=edge.admin) as file:
        assert (file.status, await file.read()) == (200, b"OggS-track")
        assert file.headers["Content-Type"] == "audio/ogg"
        assert file.headers["Content-Disposition"] == f'inline; filename="{NAME}-1-Ada.ogg"'
        assert file.headers["Cache-Control"] == "no-store"
        assert file.headers["X-Content-Type-Options"] == "nosniff"
    put(edge, "mix.pt-BR.vtt", b"WEBVTT\n\n")
    async with edge.http.get(f"{ONE}/files/mix.pt-BR.vtt", headers=edge.admin) as file:
        assert (file.status, await file.read()) == (200, b"WEBVTT\n\n")
        assert file.headers["Content-Type"] == "text/vtt; charset=utf-8"
        assert file.headers["Content-Disposition"].startswith("attachment")
    ranged = edge.admin | {"Range": "bytes=5-"}
    async with edge.http.get(f"{ONE}/files/mix.ogg", headers=ranged) as file:
        assert (file.status, await file.read()) == (206, b"mix")
    async with edge.http.get(
        f"{ONE}/files/mix.ogg", headers=edge.admin | {"Range": "bytes=99-"}
    ) as file:
        assert file.status == 416
    async with edge.http.head(f"{ONE}/files/mix.ogg", headers=edge.admin) as file:
        assert (file.status, file.headers["Content-Length"]) == (200, "8")


@pytest.mark.parametrize("name", ["page.html", "Ada.svg", "x", 'ä\u2028".ogg.exe'])
async def test_what_is_no_sound_is_only_saved(edge: Edge, name: str) -> None:
    """A display name is in the name of a file; no browser opens such a thing here."""
    await done(edge)
    put(edge, name, b"<script>")
    async with edge.http.get(f"{ONE}/files/{name}", headers=edge.admin) as file:
        assert (file.status, await file.read()) == (200, b"<script>")
        assert file.headers["Content-Type"] == "application/octet-stream"
        assert file.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "path",
    [
        f"{ONE}/files/..%2F..%2F..%2Fadmin.key",
        f"{ONE}/files/%2Fetc%2Fpasswd",
        f"{ONE}/files/tracks",
        f"{ONE}/files/link.ogg",
        f"{AT}/..%2F..%2F/files/admin.key",
        f"{AT}/other/files/mix.ogg",
        f"{AT}/other/files.zip",
        f"/api/rooms/other/recordings/{NAME}/files/mix.ogg",
    ],
)
async def test_other_files_are_nobodys(edge: Edge, path: str) -> None:
    """Another folder's, what is none, a link, another recording's, another room's."""
    await done(edge)
    put(edge, "mix.ogg", b"unknown", name="other")
    link = edge.node.folder / "recordings" / "demo" / NAME / "link.ogg"
    link.symlink_to(edge.node.folder / "admin.key")
    async with edge.http.get(path, headers=edge.admin) as file:
        assert file.status in {400, 404}


async def test_all_files_in_one(edge: Edge) -> None:
    """A ZIP archive, of what is there."""
    await edge.as_admin("POST", AT, {})
    assert (await edge.as_admin("GET", f"{ONE}/files.zip"))[0] == 404
    await edge.as_admin("PATCH", ONE, {"action": "stop"})
    put(edge, "tracks/1-Ada.ogg", b"OggS-track")
    async with edge.http.get(f"{ONE}/files.zip", headers=edge.admin) as file:
        assert file.headers["Content-Type"] == "application/zip"
        assert f'filename="demo-{NAME}.zip"' in file.headers["Content-Disposition"]
        with zipfile.ZipFile(io.BytesIO(await file.read())) as archive:
            assert archive.read(f"{NAME}/tracks/1-Ada.ogg") == b"OggS-track"
    async with edge.http.head(f"{ONE}/files.zip", headers=edge.admin) as file:
        assert (file.status, await file.read()) == (200, b"")


async def test_a_removed_recording_is_gone(edge: Edge) -> None:
    """With its files."""
    await done(edge)
    assert await edge.as_admin("DELETE", ONE) == (200, {"success": True})
    assert (await edge.as_admin("GET", ONE))[0] == 404
    assert not (edge.node.folder / "recordings" / "demo").exists()


async def test_a_recording_that_waits_for_its_upload_can_be_removed(edge: Edge) -> None:
    """Only by saying so, for people have a right to it."""
    await done(edge)
    recorder = edge.node.services.context.recorder
    recorder.is_needed, recorder.why_needed = (lambda _: True), (lambda: "The bucket is away")
    status, answer = await edge.as_admin("DELETE", ONE)
    assert (status, answer["code"], answer["error"]) == (
        409,
        "recording_busy",
        "The bucket is away",
    )
    assert await edge.as_admin("DELETE", f"{ONE}?force=true") == (200, {"success": True})
    assert (await edge.as_admin("GET", ONE))[0] == 404


async def test_a_host_records_and_everybody_is_told(edge: Edge) -> None:
    """By the grant `record`, which hosts have; others are refused and told what happens."""
    async with member(edge, "host") as host, member(edge) as other:
        assert await other.call("startRecording") == "not_granted"
        began = await host.call("startRecording", mix="ogg", tracks=True)
        assert began == {"roomId": "demo", "name": NAME, "state": "recording", "seconds": 0.0}
        assert await host.call("startRecording") == "already_recording"
        for method in ("pauseRecording", "resumeRecording", "stopRecording"):
            assert await other.call(method) == "not_granted"
        assert (await host.call("pauseRecording"))["state"] == "paused"
        assert (await host.call("resumeRecording"))["state"] == "recording"
        assert (await host.call("stopRecording"))["state"] == "stopping"
        await finish(edge)
        assert await host.call("stopRecording") == "not_found"
        await other.call("keepalive")
        told = [one["params"]["state"] for one in other.told if one["method"] == "recording"]
        assert told == ["recording", "paused", "recording", "stopping", "done"]
        _, answer = await edge.as_admin("GET", ONE)
        assert (answer["recording"]["by"], answer["recording"]["endedBy"]) == (host.user,) * 2


async def test_those_outside_are_told_too(edge: Edge) -> None:
    """Who waits in the lobby learns of it before they are in."""
    await edge.as_admin("PATCH", "/api/rooms/demo", {"lobby": True})
    await edge.as_admin("POST", AT, {})
    async with edge.http.ws_connect(f"/ws?token={await edge.join_token()}") as socket:
        await socket.send_json(
            {"jsonrpc": "2.0", "id": 1, "method": "join", "params": {"clientId": NOBODY}}
        )
        answer = await socket.receive_json()
        while "result" not in answer:
            answer = await socket.receive_json()
        assert answer["result"]["place"] == "lobby"
        assert answer["result"]["recording"]["state"] == "recording"
        await edge.as_admin("PATCH", ONE, {"action": "pause"})
        told = await socket.receive_json()
        while told.get("method") != "recording":
            told = await socket.receive_json()
        assert told["params"]["state"] == "paused"
