"""The Dockerfile, held against the project: no engine is needed to see these mistakes."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from server.config import MOST_MIXERS, Settings, variable
from server.sources import load

ROOT = Path(__file__).resolve().parents[2]


def _instructions() -> list[tuple[str, str]]:
    """Return (name, arguments) of each instruction, continuation lines joined."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = text.replace("\\\n", "")
    found = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, arguments.strip()) for name, _, arguments in found]


def _all(name: str) -> list[str]:
    return [arguments for found, arguments in _instructions() if found == name]


def _environment() -> dict[str, str]:
    pairs = (pair.partition("=") for env in _all("ENV") for pair in shlex.split(env))
    return {name: value for name, _, value in pairs}


COPIED = [
    source for copy in _all("COPY") if not copy.startswith("--from") for source in copy.split()[:-1]
]


@pytest.mark.parametrize("source", COPIED)
def test_copied(source: str) -> None:
    """What the image copies exists and passes .dockerignore."""
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    }
    assert (ROOT / source).exists()
    assert Path(source).parts[0] in kept


def test_ignored() -> None:
    """Only what the image copies is sent to the engine, and nothing that is made there anew."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule[0] == "!"} == {Path(s).parts[0] for s in COPIED}
    assert {"static/vendor", "**/__pycache__"} <= set(rules)


def test_ports() -> None:
    """The image exposes the ports the server takes by default, on a machine with many cores."""
    fields = Settings.model_fields
    first = fields["udp_port"].default
    ports = f"{first}-{first + MOST_MIXERS - 1}"
    assert fields["tcp_port"].default is None, "the numbers of the UDP ports"
    assert _all("EXPOSE") == [f"{fields['port'].default}/tcp {ports}/udp {ports}/tcp"]
    for protocol in ("udp", "tcp"):
        on_both_sides = f"-p {ports}:{ports}/{protocol}"
        assert on_both_sides in (ROOT / "Dockerfile").read_text()
        assert on_both_sides in (ROOT / "README.md").read_text()


def test_user() -> None:
    """The image's last user is a number other than 0: engines can see that it is not root."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", _all("USER")[-1])


def test_state() -> None:
    """The state folder is a volume."""
    assert _all("VOLUME") == [_environment()[variable("state_dir")]]


def test_variables() -> None:
    """The image's ROOMTONE_ variables are settings; with them the server can be reached."""
    given = {name: value for name, value in _environment().items() if name.startswith("ROOMTONE_")}
    known = {variable(key): key for key in Settings.model_fields}
    settings = load({known[name]: value for name, value in given.items()}, given)
    assert not settings.is_loopback


def test_entry() -> None:
    """The image starts the command that the wheel installs, and serves."""
    assert [json.loads(text) for text in _all("ENTRYPOINT") + _all("CMD")] == [
        ["roomtone"],
        ["serve"],
    ]


def test_health_path() -> None:
    """The health check asks a path that the server routes."""
    path = re.search(r"'GET', '(/\w+)'", " ".join(_health_check()))
    assert path is not None
    routes = (ROOT / "server" / "edge" / "app.py").read_text()
    constants = {
        node.value for node in ast.walk(ast.parse(routes)) if isinstance(node, ast.Constant)
    }
    assert path[1] in constants


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (302, 1)])
def test_health_check(status: int, code: int) -> None:
    """The health check is content with 200 from /ready alone."""
    with _server(status) as (port, asked):
        assert _check({"ROOMTONE_PORT": str(port)}) == code
    assert asked == ["/ready"]


def test_health_check_dead() -> None:
    """The health check fails while nobody listens."""
    with _server(200) as (port, _):
        pass
    assert _check({"ROOMTONE_PORT": str(port)}) != 0


def test_health_check_tls() -> None:
    """The health check speaks TLS where the server does: a plain answer is none."""
    with _server(200) as (port, asked):
        assert _check({"ROOMTONE_PORT": str(port), "ROOMTONE_TLS": "self-signed"}) != 0
    assert asked == []


def test_python() -> None:
    """The image's Python is one that the project supports."""
    found = re.search(r"PYTHON=3\.(\d+)", " ".join(_all("ARG")))
    assert found is not None
    minor = int(found[1])
    lowest = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert lowest is not None
    assert minor >= int(lowest[1])


def _health_check() -> list[str]:
    (text,) = _all("HEALTHCHECK")
    command: list[str] = json.loads(text.partition("CMD")[2])
    return command


def _check(environment: dict[str, str]) -> int:
    """Run the image's own health check command and return its status."""
    command = [sys.executable, *_health_check()[1:]]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=10)
    return done.returncode


@contextmanager
def _server(status: int) -> Iterator[tuple[int, list[str]]]:
    """An HTTP server that answers everything with `status`: its port, and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()
