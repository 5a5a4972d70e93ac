"""The command line."""

import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.compose import cli
from server.compose.logs import configure
from server.compose.mistakes import EXIT_MISTAKE
from server.compose.welcome import Serving, urls, welcome
from server.config import Settings, option, variable
from server.services.keyring import Keyring

SERVING = Serving(
    8080,
    range(10_000, 10_004),
    range(10_100, 10_104),
    ("192.0.2.5", "2001:db8::5", "127.0.0.1"),
    "AB:CD",
)


def test_version() -> None:
    """`version` prints one line."""
    result = CliRunner().invoke(cli, ["version"])
    assert (result.exit_code, result.output.split()[0]) == (0, "roomtone")


@pytest.mark.parametrize("key", Settings.model_fields)
def test_every_setting_is_in_the_help(key: str) -> None:
    """Every setting has its option and variable in `serve --help`."""
    text = CliRunner().invoke(cli, ["serve", "--help"]).output
    assert option(key) in text
    assert variable(key) in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "70000"], "--port"),
        (["--nonsense"], "--nonsense"),
        (["--api-open", "--host", "0.0.0.0"], "use it with host=127.0.0.1 only"),
        (["--signing-url", "http://192.0.2.1:8090"], "it must be https"),
        (["--signing-url", "https://user@sign.example"], "--signing-url"),
        (["--signing-url", "https://sign.example/path"], "--signing-url"),
        (["--role", "signing", "--signing-url", "http://localhost:1"], "leave signing_url away"),
        (["--role", "king"], "--role"),
        (["--host", "not an address"], "choose another with --host (or ROOMTONE_HOST)"),
        (["--port", "0", "--state-dir", "/proc/nowhere"], "choose another with --state-dir"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str) -> None:
    """A mistake ends with status 2 and one sentence that says what to change."""
    result = CliRunner().invoke(cli, ["serve", *arguments])
    assert result.exit_code == EXIT_MISTAKE
    assert sentence in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--signing-url", "http://127.0.0.1:9"], "copy the file signing.key"),
        (["--shared-join-secret", "{}/short"], "32 characters or more"),
        (["--shared-listen-secret", "{}/nowhere"], "32 characters or more"),
        (["--role", "signing", "--tls-cert", "{}/no", "--tls-key", "{}/no"], "cannot be used"),
    ],
)
def test_mistakes_with_files(tmp_path: Path, options: list[str], sentence: str) -> None:
    """A file that is missing or holds too little ends the start before anything runs."""
    (tmp_path / "short").write_text("anothersecret\n")
    arguments = [one.format(tmp_path) for one in options]
    state = ["--state-dir", str(tmp_path / "state"), "--port", "0"]
    result = CliRunner().invoke(cli, ["serve", *state, *arguments])
    assert result.exit_code == EXIT_MISTAKE
    assert sentence in result.output
    assert "anothersecret" not in result.output


def test_unknown_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown variable ends the start."""
    monkeypatch.setenv("ROOMTONE_PROT", "1")
    result = CliRunner().invoke(cli, ["serve"])
    assert result.exit_code == EXIT_MISTAKE
    assert "did you mean ROOMTONE_PORT?" in result.output


def test_port_in_use(tmp_path: Path) -> None:
    """A port in use is named, with the option to choose another, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ["serve", "--port", str(port), "--state-dir", str(tmp_path / "state")]
        result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == EXIT_MISTAKE
    assert f"Port {port} is in use by another program: choose another with --port" in result.output
    assert not (tmp_path / "state").exists()


def test_no_folder_of_announcements(tmp_path: Path) -> None:
    """A folder that cannot be read is named at the start, not when somebody plays from it."""
    folders = [
        "--state-dir",
        str(tmp_path / "state"),
        "--announcements-dir",
        str(tmp_path / "gone"),
    ]
    result = CliRunner().invoke(cli, ["serve", "--port", "0", *folders])
    assert result.exit_code == EXIT_MISTAKE
    assert "gone cannot be read (No such file or directory)" in result.output
    assert "--announcements-dir (or ROOMTONE_ANNOUNCEMENTS_DIR)" in result.output


@pytest.mark.parametrize(
    ("kind", "key"), [(socket.SOCK_DGRAM, "udp_port"), (socket.SOCK_STREAM, "tcp_port")]
)
def test_a_later_mixers_port_in_use(tmp_path: Path, kind: socket.SocketKind, key: str) -> None:
    """A port that only a later mixer would take is known at the start."""
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        if kind is socket.SOCK_STREAM:
            taken.listen()
        udp = ["--udp-port", str(port - 2)]
        arguments = ["--port", "0", *udp, option(key), str(port - 2), "--mixers", "3"]
        result = CliRunner().invoke(cli, ["serve", *arguments, "--state-dir", str(tmp_path)])
    assert result.exit_code == EXIT_MISTAKE
    assert f"{port} is in use by another program, and 3 mixers take {port - 2} to {port}" in (
        result.output
    )
    assert f"{option(key)} (or {variable(key)}), or fewer with --mixers (or ROOMTONE_MIXERS)" in (
        result.output
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["http://127.0.0.1:8080"]),
        ({"host": "::1"}, ["http://[::1]:8080"]),
        ({"tls": "self-signed"}, ["https://192.0.2.5:8080", "https://127.0.0.1:8080"]),
        (
            {"public_url": "https://a.example", "host": "10.0.0.1"},
            ["https://a.example", "http://10.0.0.1:8080"],
        ),
    ],
)
def test_urls(options: dict[str, str], expected: list[str]) -> None:
    """The addresses to open are those the server can be reached at, LAN before loopback."""
    assert list(urls(Settings.model_validate(options), SERVING)) == expected


def test_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal the first start shows link, key, ports and folder; the next one no key."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    settings = Settings(state_dir=tmp_path)
    keyring = Keyring.open(tmp_path)
    welcome(settings, keyring, SERVING)
    first = capsys.readouterr().out
    welcome(settings, Keyring.open(tmp_path), SERVING)
    second = capsys.readouterr().out
    assert f"http://127.0.0.1:8080/#admin={keyring.first_run}" in first
    for expected in (
        "8080/tcp",
        "10000-10003/udp",
        "10100-10103/tcp",
        str(tmp_path),
        "AB:CD",
    ):
        assert expected in first
    assert keyring.admin_key in first
    assert keyring.admin_key not in second


def test_not_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere no secret is written, but where it is kept."""
    settings, keyring = Settings(state_dir=tmp_path), Keyring.open(tmp_path)
    configure(settings)
    welcome(settings, keyring, SERVING)
    text = "".join(capsys.readouterr())
    assert str(keyring.admin_key_path) in text
    assert keyring.admin_key not in text
    assert str(keyring.first_run) not in text
