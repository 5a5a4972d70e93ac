"""`roomtone keys` and `roomtone tls`, used well and badly."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from server.compose import cli
from server.compose.certificate import self_signed
from server.compose.mistakes import EXIT_MISTAKE
from server.compose.tls_command import steps
from server.domain.api_key import Scope

KEY = {
    "keyId": "0123456789ab",
    "name": "Grafana",
    "scopes": ["metrics"],
    "createdAt": "2026-01-02T03:04:05Z",
    "expiresAt": None,
    "usedAt": None,
}
ASKED: list[tuple[str, str, str, Any]] = []


class Api(BaseHTTPRequestHandler):
    """What the server says to the command line."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers["Authorization"]
        ASKED.append((self.command, self.path, key, json.loads(body) if body else None))
        said: object = {"success": True, "keys": [KEY], "key": KEY | {"secret": "rt_x"}}
        status = 200
        if key != "Bearer good":
            status, said = 403, {"error": "This needs the admin"}
        if self.path.endswith("/nonsense"):
            said = "nonsense"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the same
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    ASKED.clear()
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def keys(folder: Path, url: str, *arguments: str, key: str = "good") -> Result:
    (folder / "admin.key").write_text(key)
    options = ("--state-dir", str(folder), "--url", url)
    return CliRunner().invoke(cli, ["keys", *arguments, *options])


def test_create(tmp_path: Path, url: str) -> None:
    """A key is printed alone on standard output, so that it can be piped."""
    done = keys(tmp_path, url, "create", "Grafana", "--scope", "metrics", "--expires-in", "90d")
    assert (done.exit_code, done.stdout) == (0, "rt_x\n")
    body = {"name": "Grafana", "scopes": ["metrics"], "expiresIn": 90 * 86_400}
    assert [("POST", "/api/keys", "Bearer good", body)] == ASKED


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("list",), "GET /api/keys"),
        (("revoke", "0123456789ab"), "DELETE /api/keys/0123456789ab"),
        (("rotate",), "POST /api/keys/rotate"),
        (("create", "x", "--scope", "keys", "--scope", "people"), "POST /api/keys"),
    ],
)
def test_json(tmp_path: Path, url: str, arguments: tuple[str, ...], asked: str) -> None:
    """With --json every verb prints one JSON document; without, something for people."""
    done = keys(tmp_path, url, *arguments, "--json")
    assert json.loads(done.stdout)
    assert [" ".join(one[:2]) for one in ASKED] == [asked]
    plain = keys(tmp_path, url, *arguments)
    assert plain.exit_code == 0
    assert plain.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "x"), "--scope"),
        (("create", "x", "--scope", "root"), "root"),
        (("create", "x", "--scope", "keys", "--expires-in", "soon"), "90d"),
        (("create", "x", "--scope", "keys", "--expires-in", "-5d"), "90d"),
        (("revoke",), "ID"),
        (("revoke", "../rooms"), "keys list"),
        (("list", "extra"), "extra"),
    ],
)
def test_mistakes(tmp_path: Path, url: str, arguments: tuple[str, ...], sentence: str) -> None:
    """A mistake ends with status 2, says what is wrong, and asks the server nothing."""
    done = keys(tmp_path, url, *arguments)
    assert done.exit_code == EXIT_MISTAKE
    assert sentence in done.output
    assert ASKED == []


def test_refused(tmp_path: Path, url: str) -> None:
    """The server's own sentence is shown, and not the key."""
    done = keys(tmp_path, url, "list", key="wrong-key")
    assert done.exit_code == EXIT_MISTAKE
    assert "says: This needs the admin" in done.output
    assert "wrong-key" not in done.output


def test_no_server(tmp_path: Path) -> None:
    """A server that is not there is named, with what to do."""
    done = keys(tmp_path, "http://127.0.0.1:9", "list")
    assert done.exit_code == EXIT_MISTAKE
    assert "No server answers at http://127.0.0.1:9" in done.output


def test_not_ours(tmp_path: Path, url: str) -> None:
    """Another program at the address is told apart."""
    done = keys(tmp_path, url, "revoke", "nonsense")
    assert done.exit_code == EXIT_MISTAKE


def test_no_key(tmp_path: Path) -> None:
    """Without a key the command says where it looked."""
    done = CliRunner().invoke(cli, ["keys", "list", "--state-dir", str(tmp_path)])
    assert done.exit_code == EXIT_MISTAKE
    assert f"There is no key in {tmp_path / 'admin.key'}" in done.output


def test_every_scope_is_in_the_help() -> None:
    """`create --help` names every scope."""
    text = CliRunner().invoke(cli, ["keys", "create", "--help"]).output.replace("\n", "")
    assert [scope for scope in Scope if scope.value not in text.replace(" ", "")] == []


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    self_signed(tmp_path, (), datetime.now(UTC))
    return tmp_path


def tls(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["tls", *arguments, "--state-dir", str(folder)])


def test_ca(authority: Path) -> None:
    """`tls ca` prints the certificate and nothing else."""
    assert tls(authority, "ca").stdout == (authority / "ca.crt").read_text()


@pytest.mark.parametrize("verb", ["ca", "trust"])
def test_no_authority(tmp_path: Path, verb: str) -> None:
    """Where there is none, the command says how to get one."""
    done = tls(tmp_path, verb)
    assert done.exit_code == EXIT_MISTAKE
    assert "--tls self-signed" in done.output


def test_trust_changes_nothing(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tls trust` prints commands and runs none of them."""
    monkeypatch.setattr("subprocess.run", None)
    done = tls(authority, "trust")
    assert done.exit_code == 0
    assert str(authority / "ca.crt") in done.stdout
    assert "SHA-256" in done.stdout


class Ran:
    """What was run, and how it ended."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.commands: list[tuple[str, ...]] = []

    def __call__(self, command: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        return subprocess.CompletedProcess(command, self.status)


@pytest.mark.parametrize(("user", "count"), [(0, 4), (1000, 2)])
def test_trust_does(
    authority: Path, monkeypatch: pytest.MonkeyPatch, user: int, count: int
) -> None:
    """With --do they are run, but for what needs root where one is not."""
    ran = Ran(0)
    monkeypatch.setattr("subprocess.run", ran)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr("sys.platform", "linux")
    assert tls(authority, "trust", "--do").exit_code == 0
    assert len(ran.commands) == count


@pytest.mark.parametrize(("found", "sentence"), [(None, "not installed"), ("/bin/x", "failed")])
def test_trust_fails(
    authority: Path, monkeypatch: pytest.MonkeyPatch, found: str | None, sentence: str
) -> None:
    """A command that is missing or fails ends it, and is named."""
    monkeypatch.setattr("subprocess.run", Ran(1))
    monkeypatch.setattr("shutil.which", lambda _: found)
    done = tls(authority, "trust", "--do")
    assert done.exit_code == EXIT_MISTAKE
    assert sentence in done.output


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_steps(platform: str) -> None:
    """Every system's commands name the certificate."""
    found = steps(platform, Path("/state/ca.crt"), Path("/home/ada"))
    assert any("/state/ca.crt" in part for step in found for part in step.command)
