"""Which server a command speaks with, how it answers, and how it ends."""

import asyncio
import functools
import json
import os
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from server.client.api import OWN_CERTIFICATES, Api, Target
from server.client.errors import ClientError, Exit
from server.compose.address import noted_address
from server.config import PREFIX, default_state_dir, variable

URL: Final = f"{PREFIX}URL"
KEY: Final = f"{PREFIX}KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Console:
    """How to answer: a person's lines, or one JSON value with `--json`."""

    is_json: bool

    def tell(self, value: object, lines: Iterable[str]) -> None:
        """Print the one or the other."""
        if self.is_json:
            click.echo(json.dumps(value, ensure_ascii=False))
        else:
            click.echo("\n".join(lines))

    def hint(self, line: str) -> None:
        """Say more to a person, beside what may be piped to a program."""
        if not self.is_json:
            click.echo(line, err=True)

    def fail(self, error: ClientError) -> NoReturn:
        """Say what is wrong and end with its status."""
        if self.is_json:
            told = {"success": False, "error": str(error), "code": error.code}
            click.echo(json.dumps(told, ensure_ascii=False))
        else:
            click.echo(f"roomtone: {error}", err=True)
        raise SystemExit(int(error.exit_status))


as_json = click.option("--json", "is_json", is_flag=True, help="Answer with one JSON value.")
_WHERE: Final = ("url", "key", "key_file", "state_dir", "ca")
_OPTIONS: Final = (
    click.option(
        "--url",
        envvar=URL,
        show_envvar=True,
        help=f"Address of the server (default: the one of this machine, else {DEFAULT_URL}).",
    ),
    click.option(
        "--key",
        envvar=KEY,
        show_envvar=True,
        help="The admin key, or an API key. Others of this machine can read it in the list of"
        " processes: better use the variable or --key-file.",
    ),
    click.option(
        "--key-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=f"{KEY}_FILE",
        show_envvar=True,
        help="File with such a key (default: the one in the state folder).",
    ),
    click.option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar=variable("state_dir"),
        show_envvar=True,
        help="State folder of this machine's server: address and key are found there.",
    ),
    click.option(
        "--ca",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Certificate to trust, beside the system's and this machine's server's own.",
    ),
    as_json,
)


def with_server(
    command: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Make a click command of a coroutine that gets an open Api and the console first."""

    @functools.wraps(command)
    def run(*args: Any, is_json: bool, **kwargs: Any) -> None:
        console = Console(is_json)
        where = {name: kwargs.pop(name, None) for name in _WHERE}

        async def ask() -> None:
            async with Api(_target(**where)) as api:
                await command(api, console, *args, **kwargs)

        run_to_end(ask(), console)

    made: Callable[..., None] = run
    for decorate in reversed(_OPTIONS):
        made = decorate(made)
    return made


def _target(
    url: str | None, key: str | None, key_file: Path | None, state_dir: Path | None, ca: Path | None
) -> Target:
    return find(state_dir or default_state_dir(), url, key or _read_key(key_file), ca)


def run_to_end(work: Coroutine[Any, Any, None], console: Console) -> None:
    """Run it; end with the status of what went wrong."""
    try:
        asyncio.run(work)
    except ClientError as error:
        console.fail(error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as shells have it: 128 and the number of the signal


def find(folder: Path, url: str | None, key: str | None, ca: Path | None) -> Target:
    """Return the server that is meant: what is named, else what the state folder knows.

    The folder's key is shown to the folder's own server only.
    """
    own = noted_address(folder)
    chosen = url or own or DEFAULT_URL
    is_own = own is None or chosen.rstrip("/") == own
    if key is None and is_own:
        key = _read_own_key(folder / "admin.key")
    certificates = [folder / name for name in OWN_CERTIFICATES]
    found = next((path for path in certificates if path.is_file()), None) if is_own else None
    return Target(chosen, key or "", ca or (found if chosen.startswith("https:") else None))


def trusted(folder: Path | None, ca: Path | None) -> Path | None:
    """Return the certificate to trust for a link of this machine's server."""
    if ca is not None:
        return ca
    places = [(folder or default_state_dir()) / name for name in OWN_CERTIFICATES]
    return next((path for path in places if path.is_file()), None)


def _read_key(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise ClientError(f"{path} cannot be read: {reason}", Exit.MISTAKE) from None


def _read_own_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""  # another user's server: it will say that it wants a key
