"""`roomtone config …`: the default configuration, whether a file is right, what is in force."""

import os
from pathlib import Path
from typing import Any

import click

from server.client.errors import ClientError, Exit
from server.compose.commands.table import table
from server.compose.commands.target import Console, as_json
from server.compose.options import given, with_settings
from server.compose.toml import default_toml, value
from server.config import Settings
from server.errors import SetupMistake
from server.sources import check_file, is_secret, read

HIDDEN = "[hidden]"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file (TOML) [ROOMTONE_CONFIG; default: ~/.config/roomtone/roomtone.toml,"
    " /etc/roomtone/roomtone.toml].",
)


@click.group(invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> None:
    """Print the default configuration; check a file; show what is in force."""
    if context.invoked_subcommand is None:
        click.echo(default_toml(), nl=False)


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def check(file: Path, *, is_json: bool) -> None:
    """Say whether a configuration file is right."""
    console = Console(is_json)
    try:
        settings = check_file(file)
    except SetupMistake as mistake:
        console.fail(ClientError(str(mistake), Exit.MISTAKE, mistake.code))
    keys = sorted(settings.model_fields_set)
    console.tell({"success": True, "keys": keys}, [f"{file} is right: it sets {len(keys)} keys"])


@config.command()
@with_settings
@config_option
@as_json
@click.pass_context
def show(
    context: click.Context, /, config_path: Path | None, *, is_json: bool, **_options: Any
) -> None:
    """Show every setting as a server started like this would have it, and where it comes from."""
    console = Console(is_json)
    try:
        loaded = read(given(context), os.environ, config_path)
    except SetupMistake as mistake:
        console.fail(ClientError(str(mistake), Exit.MISTAKE, mistake.code))
    rows = [
        (key, _shown(key, getattr(loaded.settings, key)), loaded.origin(key))
        for key in Settings.model_fields
    ]
    told = [{"key": key, "value": shown, "origin": origin} for key, shown, origin in rows]
    console.tell(told, table(("setting", "value", "from"), rows))


def _shown(key: str, given_value: object) -> str:
    if is_secret(key) and given_value:
        return HIDDEN
    return value(given_value)
