"""`roomtone tls`, used well and badly."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.compose import cli
from server.compose.certificate import self_signed
from server.compose.mistakes import EXIT_MISTAKE
from server.compose.tls_command import steps


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
