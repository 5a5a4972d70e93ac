"""`roomtone tls`: the certificate of this machine's own authority, and how to trust it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from cryptography import x509

from server.compose.authority import certificate_path
from server.compose.certificate import fingerprint
from server.compose.mistakes import ending_well
from server.errors import SetupMistake
from server.sources import load

NAME: Final = "Roomtone CA"
_SYSTEM_FILE: Final = "/usr/local/share/ca-certificates/roomtone-ca.crt"


@dataclass(frozen=True, slots=True)
class Step:
    """One command; `why` says for which programs it is."""

    why: str
    command: tuple[str, ...]


STATE_DIR = click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="Folder of the server's state [ROOMTONE_STATE_DIR].",
)


@click.group()
def tls() -> None:
    """The certificate authority of `serve --tls self-signed`."""


@tls.command()
@STATE_DIR
@click.pass_context
def ca(context: click.Context, /, state_dir: Path | None) -> None:
    """Print the authority's certificate (PEM), to be trusted elsewhere."""
    with ending_well(context):
        click.echo(_find(state_dir).read_text("ascii"), nl=False)


@tls.command()
@STATE_DIR
@click.option("--do", "shall_do", is_flag=True, help="Run the commands instead of printing them.")
@click.pass_context
def trust(context: click.Context, /, state_dir: Path | None, *, shall_do: bool) -> None:
    """Print what makes programs here trust it.

    Without --do nothing is changed. What needs root is left out of --do unless you are.
    """
    with ending_well(context):
        path = _find(state_dir)
        shown = fingerprint(x509.load_pem_x509_certificate(path.read_bytes()))
        click.echo(f"# {path}\n# SHA-256 {shown}")
        for step in steps(sys.platform, path, Path.home()):
            line = " ".join(step.command)
            click.echo(f"# {step.why}\n{line}")
            if shall_do:
                _run(step)


def steps(platform: str, path: Path, home: Path) -> list[Step]:
    """Return what makes programs of such a system trust the certificate at `path`."""
    if platform == "darwin":
        keychain = str(home / "Library/Keychains/login.keychain-db")
        add = ("security", "add-trusted-cert", "-r", "trustRoot", "-k", keychain, str(path))
        return [Step("Safari, Chrome and others, for you", add)]
    if platform == "win32":
        command = ("certutil", "-user", "-addstore", "Root", str(path))
        return [Step("Edge, Chrome and others, for you", command)]
    database = home / ".pki" / "nssdb"
    nss = ("certutil", "-d", f"sql:{database}")
    return [
        Step("Chrome and Chromium, for you (certutil is in libnss3-tools)",
             ("mkdir", "-p", "-m", "700", str(database))),
        Step("the same", (*nss, "-A", "-t", "C,,", "-n", NAME, "-i", str(path))),
        Step("curl, Python and others, for everybody here (as root)",
             ("install", "-m", "644", str(path), _SYSTEM_FILE)),
        Step("the same (as root)", ("update-ca-certificates",)),
    ]  # fmt: skip


def _run(step: Step) -> None:
    if "as root" in step.why and os.geteuid() != 0:
        click.echo("# left out: you are not root", err=True)
        return
    program = shutil.which(step.command[0])
    if program is None:
        raise SetupMistake(f"{step.command[0]} is not installed here; nothing after it was done")
    done = subprocess.run((program, *step.command[1:]), check=False)  # noqa: S603 - our own list
    if done.returncode != 0:
        raise SetupMistake(f"{step.command[0]} failed; nothing after it was done")


def _find(state_dir: Path | None) -> Path:
    """Return where the certificate is. Raises SetupMistake."""
    settings = load({} if state_dir is None else {"state_dir": state_dir}, os.environ)
    path = certificate_path(settings.state_dir)
    if not path.is_file():
        raise SetupMistake(
            f"There is no {path}: start the server once with --tls self-signed,"
            " or name its folder with --state-dir"
        )
    return path
