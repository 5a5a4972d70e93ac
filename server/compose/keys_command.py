"""`roomtone keys`: API keys of a running server, and the keys that sign tokens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from server.compose.api_client import Server, find_server
from server.compose.mistakes import ending_well
from server.domain.api_key import Scope

Command = TypeVar("Command", bound=Callable[..., Any])
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Read a number of seconds, or one with the unit s, m, h or d."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit()):
        raise click.BadParameter(f"{text!r} is no time such as 90d, 12h or 3600")
    return int(number) * _UNITS[unit]


def _with_server(command: Command) -> Command:
    """Add the options that say which server is meant."""
    for option in reversed(
        (
            click.option("--url", help="Address of the server (default: the one set up here)."),
            click.option(
                "--key-file",
                type=click.Path(path_type=Path),
                help="File with an API key or the admin key (default: admin.key in the state"
                " folder).",
            ),
            click.option(
                "--state-dir",
                type=click.Path(path_type=Path),
                help="Folder of the server's state [ROOMTONE_STATE_DIR].",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs."),
        )
    ):
        command = option(command)
    return command


@click.group()
def keys() -> None:
    """Keys for programs that use the API, and the keys that sign tokens.

    The server must be running.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What the key may do. Several: repeat the option.",
)
@click.option("--expires-in", callback=_seconds, metavar="TIME", help="Such as 90d; else for ever.")
@_with_server
@click.pass_context
def create(
    context: click.Context,
    /,
    name: str,
    scopes: tuple[str, ...],
    expires_in: int | None,
    **options: Any,
) -> None:
    """Make a key called NAME and print it; it is never shown again."""
    body = {"name": name, "scopes": list(scopes), "expiresIn": expires_in}
    with ending_well(context):
        key = _server(options).call("POST", "/api/keys", body)["key"]
        if options["as_json"]:
            click.echo(json.dumps(key))
        else:
            click.echo(key["secret"])
            hint = f"Shown this once. To revoke it: roomtone keys revoke {key['keyId']}"
            click.echo(hint, err=True)


@keys.command("list")
@_with_server
@click.pass_context
def list_(context: click.Context, /, **options: Any) -> None:
    """List the keys, oldest first."""
    with ending_well(context):
        found = _server(options).call("GET", "/api/keys")["keys"]
        if options["as_json"]:
            click.echo(json.dumps(found))
            return
        if not found:
            click.echo("There are no API keys.", err=True)
        for key in found:
            used = key["usedAt"] or "never used"
            ends = f"until {key['expiresAt']}" if key["expiresAt"] else "for ever"
            scopes = ",".join(key["scopes"])
            click.echo(f"{key['keyId']}  {key['name'] or '-'}  {scopes}  {ends}  {used}")


@keys.command()
@click.argument("key_id", metavar="ID")
@_with_server
@click.pass_context
def revoke(context: click.Context, /, key_id: str, **options: Any) -> None:
    """Make the key with this ID worthless, at once."""
    with ending_well(context):
        if not (key_id.isascii() and key_id.isalnum()):
            raise click.BadParameter("an ID is what `roomtone keys list` shows", param_hint="ID")
        answer = _server(options).call("DELETE", f"/api/keys/{key_id}")
        _done(options, answer, f"Key {key_id} is worthless now.")


@keys.command()
@_with_server
@click.pass_context
def rotate(context: click.Context, /, **options: Any) -> None:
    """Sign new tokens with new keys.

    Tokens that are out there stay good until they end.
    """
    with ending_well(context):
        answer = _server(options).call("POST", "/api/keys/rotate")
        _done(options, answer, "New tokens are signed with new keys.")


def _server(options: dict[str, Any]) -> Server:
    return find_server(options["url"], options["key_file"], options["state_dir"])


def _done(options: dict[str, Any], answer: dict[str, Any], sentence: str) -> None:
    click.echo(json.dumps(answer) if options["as_json"] else sentence)
