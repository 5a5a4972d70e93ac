"""The verbs that speak with a server, against a real edge."""

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from mixer.types import RoomId
from server.client.errors import Exit
from server.compose import cli
from server.compose.address import forget_address, note_address, noted_address
from server.compose.commands.table import table
from server.compose.commands.target import find
from server.compose.welcome import Serving
from server.config import Settings
from tests.server.compose.conftest import Here


async def test_rooms(here: Here) -> None:
    """A room is created, listed, shown and ended, as people or programs read it."""
    result = await here.run("room", "create", "--id", "demo", "--name", "A hall", "--pin", "")
    assert result.exit_code == 0, result.output
    assert "/join/demo#invite=" in result.output
    (listed,) = await here.told("room", "list")
    assert (listed["roomId"], listed["anchors"]) == ("demo", 0)
    shown = await here.told("room", "show", "demo")
    assert "/listen/demo#invite=" in shown["links"]["listen"]
    assert "demo" in (await here.run("room", "list")).output
    assert (await here.run("room", "delete", "demo")).output == "Ended demo\n"
    assert "There is no room" in (await here.run("room", "list")).output


async def test_looks(here: Here) -> None:
    """`never` and `any` are no end and no limit; what is not named is the server's default."""
    made = await here.told("room", "create", "--expires-in", "never", "--max-anchors", "any")
    room = here.node.rooms.get(made["roomId"])
    assert (room.expires_in_s, room.max_anchors) == (None, None)
    made = await here.told("room", "create", "--expires-in", "2h")
    room = here.node.rooms.get(made["roomId"])
    assert (room.expires_in_s, room.max_anchors, room.air.hold) == (7200, 3, None)
    for word, upload in (("--no-upload", False), ("--upload", True)):
        await here.told("room", "set", room.id, word)
        assert here.node.rooms.get(room.id).upload is upload
    for music, hold in (("", ""), ("default", None)):
        await here.told("room", "set", room.id, "--hold-music", music)
        assert here.node.rooms.get(room.id).air.hold == hold


async def test_tokens(here: Here) -> None:
    """Tokens come with the address that `join` and `listen` take."""
    await here.told("room", "create", "--id", "demo")
    join = await here.told("token", "join", "demo", "--role", "host", "--name", "Ann")
    assert join["url"] == f"{here.url.replace('http', 'ws')}/ws?token={join['token']}"
    assert here.node.access.joining(join["token"]).display_name == "Ann"
    listen = await here.told("token", "listen", "demo")
    assert listen["url"] == f"{here.url}/hls/demo/stream.m3u8?token={listen['token']}"


async def test_recordings(here: Here, tmp_path: Path) -> None:
    """Begun, paused, ended, listed, fetched whole and by file, and removed."""
    await here.told("room", "create", "--id", "demo")
    began = await here.told("room", "record", "demo", "start", "--mix", "flac", "--no-tracks")
    name = began["name"]
    assert (began["state"], began["mix"], began["tracks"]) == ("recording", "flac", False)
    assert "paused" in (await here.run("room", "record", "demo", "pause")).output
    assert (await here.told("room", "record", "demo", "resume"))["state"] == "recording"
    assert (await here.told("room", "record", "demo", "stop"))["state"] == "stopping"
    recorder = here.node.services.context.recorder
    await recorder.finished(RoomId("demo"), name)
    place = recorder.storage.archive.place(RoomId("demo"), name)
    place.mkdir(parents=True)
    (place / "mix.flac").write_bytes(b"fLaC")
    for words in (("room", "record", "demo", "list"), ("recordings", "list")):
        assert [one["name"] for one in await here.told(*words)] == [name]
        assert "MB are left on the disk" in (await here.run(*words)).output
    out = tmp_path / "out.zip"
    fetched = await here.told("recordings", "get", "demo", name, "--out", str(out))
    assert fetched == {"file": str(out), "bytes": out.stat().st_size}
    assert zipfile.ZipFile(out).read(f"{name}/mix.flac") == b"fLaC"
    one = tmp_path / "one.flac"
    again = ("recordings", "get", "demo", name, "--file", "mix.flac", "--out", str(one))
    assert (await here.run(*again)).exit_code == 0
    assert one.read_bytes() == b"fLaC"
    result = await here.run(*again)
    assert (result.exit_code, "is there already" in result.output) == (Exit.MISTAKE, True)
    recorder.is_needed = lambda _: True
    assert (await here.run("recordings", "rm", "demo", name)).exit_code == Exit.NOT_NOW
    assert "Removed" in (await here.run("recordings", "rm", "demo", name, "--force")).output
    assert "There is no recording." in (await here.run("recordings", "list")).output


async def test_a_download_that_is_refused_leaves_no_file(here: Here, tmp_path: Path) -> None:
    """With the server's own sentence; nor does one that cannot be written."""
    await here.told("room", "create", "--id", "demo")
    name = (await here.told("room", "record", "demo", "start"))["name"]
    out = tmp_path / "out.zip"
    result = await here.run("recordings", "get", "demo", name, "--out", str(out))
    assert (result.exit_code, out.exists()) == (Exit.NOT_FOUND, False)
    assert "nothing in this recording yet" in result.output
    result = await here.run("room", "record", "demo", "start")
    assert (result.exit_code, "is being recorded already" in result.output) == (Exit.NOT_NOW, True)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ("room show nope", Exit.NOT_FOUND, "`roomtone room list` shows"),
        ("room create --id demo", Exit.NOT_NOW, "choose another --id"),
        ("room create --id !", Exit.MISTAKE, "RoomID"),
        ("room create --expires-in soon", Exit.MISTAKE, "it looks like 90, 45m"),
        ("room create --max-anchors 0", Exit.MISTAKE, "1 and up, or any"),
        ("room create --pin 12", Exit.MISTAKE, "six letters or digits"),
        ("room set demo --hold-music a.wav", Exit.MISTAKE, "start the server with announcements"),
        ("room set demo", Exit.MISTAKE, "Nothing to change: name --name"),
        ("room list --key wrong", Exit.NOT_ALLOWED, "needs the admin"),
        ("room list --key-file /nope", Exit.MISTAKE, "No such file"),
        ("room list --url nonsense", Exit.MISTAKE, "it looks like http://"),
        ("room list --url http://127.0.0.1:1", Exit.UNREACHABLE, "start it with `roomtone serve`"),
        ("room list --ca /etc/hostname", Exit.MISTAKE, "holds no certificate"),
        ("room kick", Exit.MISTAKE, "Missing argument"),
        ("room frobnicate", Exit.MISTAKE, "No such command"),
        ("room record nope start", Exit.NOT_FOUND, "`roomtone room list` shows"),
        ("room record nope stop", Exit.NOT_FOUND, "`roomtone room list` shows"),
        ("room record demo start --mix mp3", Exit.MISTAKE, "'ogg', 'flac', 'wav'"),
        ("room record demo stop", Exit.NOT_FOUND, "is not being recorded"),
        ("room record demo frobnicate", Exit.MISTAKE, "'start', 'pause'"),
        ("room record demo stop --exact", Exit.MISTAKE, "are for start"),
        ("recordings get demo nope", Exit.NOT_FOUND, "no such recording"),
        ("recordings get demo nope --url http://127.0.0.1:1", Exit.UNREACHABLE, "roomtone serve"),
        ("recordings rm demo", Exit.MISTAKE, "Missing argument"),
        ("recordings rm demo nope", Exit.NOT_FOUND, "no such recording"),
        ("recordings rm demo ../..", Exit.NOT_FOUND, "nothing at this address"),
        ("token listen nope", Exit.NOT_FOUND, "`roomtone room list` shows"),
        ("join nonsense", Exit.MISTAKE, "is no link to a room"),
        ("join http://127.0.0.1:1/join/demo#invite=x", Exit.UNREACHABLE, "cannot be reached"),
        ("join {url}/join/demo", Exit.MISTAKE, "copy the whole of it"),
        ("join {url}/join/demo#invite=x", Exit.NOT_ALLOWED, "ask for a new link"),
        ("join {url}/ws?token=x", Exit.NOT_ALLOWED, "refuses this token"),
        ("join {url}/join/demo#invite=x --file /nope", Exit.MISTAKE, "no file /nope"),
        ("join {url}/join/demo#invite=x --file /etc/hostname", Exit.MISTAKE, "no sound file"),
        ("join {url}/join/demo#invite=x --record /nope/x.wav", Exit.MISTAKE, "cannot be written"),
        ("listen {url}/listen/demo", Exit.MISTAKE, "copy the whole of it"),
        ("listen {url}/listen/demo#invite=x", Exit.NOT_ALLOWED, "ask for a new link"),
        ("listen {url}/hls/demo/stream.m3u8?token=x", Exit.NOT_ALLOWED, "refuses this token"),
        ("listen {url}/hls/nope/stream.m3u8?token=x", Exit.NOT_FOUND, "no such room"),
    ],
)
async def test_mistakes(here: Here, arguments: str, status: Exit, sentence: str) -> None:
    """Whatever goes wrong ends with its status and a sentence that says what to do."""
    await here.told("room", "create", "--id", "demo", "--pin", "")
    result = await here.run(*arguments.format(url=here.url).split())
    assert (result.exit_code, result.stdout) == (status, "")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    ["room kick --json", "room --json", "room frobnicate --json", "room create --json --pin 1"],
)
async def test_mistakes_as_json(here: Here, words: str) -> None:
    """With --json a mistake in the command itself is one JSON value too."""
    result = await here.run(*words.split())
    told = json.loads(result.output)
    assert (told["success"], told["code"], result.exit_code) == (False, "mistake", Exit.MISTAKE)
    assert told["error"]


async def test_errors_as_json(here: Here) -> None:
    """With --json an error is JSON too, and goes where the answer would."""
    result = await here.run("room", "show", "nope", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["success"], told["code"]) == (5, False, "room_not_found")
    assert result.stderr == ""


class Other:
    """A server that answers what a test wants, and notes what it was asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        place = f"{request.method} {request.path}"
        self.asked.append((place, body, request.headers.get("Authorization", "")))
        told = self.answers[place]
        return web.Response(text=told) if isinstance(told, str) else web.json_response(told)


async def other(answers: dict[str, Any], *arguments: str) -> tuple[Other, Result]:
    made = Other(answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app) as server:
        words = [*arguments, "--url", str(server.make_url("/"))]
        return made, await asyncio.to_thread(CliRunner().invoke, cli, words)


async def test_people() -> None:
    """People are listed with how their connections are; what is done to them is one call."""
    person = {"userId": "ann", "displayName": "Ann", "role": "host", "status": "onair"}
    answers = {
        "GET /api/rooms/demo/participants": {"participants": [person | {"selfMuted": True}]},
        "GET /api/rooms/demo/statistics": {
            "peers": [{"userId": "ann", "roundTripMs": 12.5, "lossIn": 0.01}]
        },
        "PATCH /api/rooms/demo/participants/ann": {"participant": person},
        "DELETE /api/rooms/demo/users/ann": {},
        "PATCH /api/rooms/demo": {"room": {"roomId": "demo", "name": "B"}},
    }
    _, result = await other(answers, "room", "people", "demo", "--key", "k")
    assert result.output.splitlines()[1].split() == [
        "ann", "Ann", "host", "onair", "yes", "12.5", "0.01"
    ]  # fmt: skip
    asked, _ = await other(answers, "room", "mute", "demo", "ann", "--off", "--key", "k")
    place = "PATCH /api/rooms/demo/participants/ann"
    assert asked.asked == [(place, {"muted": False}, "Bearer k")]
    asked, _ = await other(answers, "room", "kick", "demo", "ann")
    assert asked.asked[0][0] == "DELETE /api/rooms/demo/users/ann"
    asked, result = await other(answers, "room", "set", "demo", "--name", "B", "--pin", "")
    assert asked.asked[0][1] == {"name": "B", "pin": ""}
    assert "B" in result.output


async def test_no_roomtone() -> None:
    """A server that is none of ours is named as such."""
    _, result = await other({"GET /api/rooms": "<html>"}, "room", "list")
    assert result.exit_code == Exit.FAILED
    assert "is it a Roomtone server?" in result.stderr


async def test_the_key_stays_at_home(here: Here) -> None:
    """The key of this machine's server is shown to no other one."""
    key = here.node.keyring.admin_key
    assert find(here.node.folder, None, None, None).key == key
    assert find(here.node.folder, here.url + "/", None, None).key == key
    assert find(here.node.folder, "http://other.example", None, None).key == ""
    assert find(here.node.folder, "http://other.example", "given", None).key == "given"
    assert key not in repr(find(here.node.folder, None, None, None))


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "http://127.0.0.1:81"),
        ({"host": "::"}, "http://[::1]:81"),
        ({"tls": "self-signed"}, "https://127.0.0.1:81"),
        ({"host": "10.0.0.1"}, "http://10.0.0.1:81"),
    ],
)
def test_address(tmp_path: Path, options: dict[str, str], url: str) -> None:
    """A server notes where it is reached from its own machine, and takes that away at its end."""
    settings = Settings.model_validate(options | {"state_dir": tmp_path})
    note_address(settings, Serving(81, range(1), range(0), ()))
    assert noted_address(tmp_path) == url
    (tmp_path / "address.json").write_text("[]")
    assert noted_address(tmp_path) is None
    forget_address(tmp_path)
    forget_address(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shell gets a script, and what that asks for is answered."""
    result = CliRunner().invoke(cli, ["completion", shell], prog_name="roomtone")
    assert (result.exit_code, "_ROOMTONE_COMPLETE" in result.output) == (0, True)
    monkeypatch.setenv("_ROOMTONE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "roomtone room cr")
    monkeypatch.setenv("COMP_CWORD", "2")
    result = CliRunner().invoke(cli, [], prog_name="roomtone")
    assert "create" in result.output


def test_config(tmp_path: Path) -> None:
    """`config` prints, `check` judges, `show` tells who said what."""
    printed = CliRunner().invoke(cli, ["config"])
    path = tmp_path / "x.toml"
    path.write_text(printed.output + "\nport = 8090\n")
    result = CliRunner().invoke(cli, ["config", "check", str(path)])
    assert (result.exit_code, result.output) == (0, f"{path} is right: it sets 1 keys\n")
    shown = ["config", "show", "--config", str(path), "--resume-s", "5"]
    lines = CliRunner().invoke(cli, shown).output.splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    assert rows["port"][1] == "8090"
    assert rows["port"][2].startswith(f"{path}:")
    assert rows["resume_s"][1:] == ["5", "--resume-s"]
    path.write_text("prot = 1")
    for arguments in (["check", str(path)], ["show", "--config", str(path), "--json"]):
        result = CliRunner().invoke(cli, ["config", *arguments])
        assert result.exit_code == Exit.MISTAKE
        assert "did you mean port?" in result.output


def test_a_name_moves_no_cursor() -> None:
    """What somebody named a thing is shown without its control characters."""
    _, row = table(("name", "n"), [("A\x1b[31m\n", None)])
    assert row == "A\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}  -"


def test_version_as_json() -> None:
    """Even the version has --json."""
    result = CliRunner().invoke(cli, ["version", "--json"])
    assert set(json.loads(result.output)) == {"version"}
