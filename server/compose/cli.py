"""The `roomtone` command."""

import asyncio
import os
from typing import Any

import click

from server.compose.measure import bench
from server.compose.options import given, with_settings
from server.compose.program import serve_until_stopped
from server.compose.version import VERSION
from server.config import load
from server.errors import SetupMistake

EXIT_MISTAKE = 2  # as click's own for a wrong option


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Live audio rooms: people talk in the browser, anybody listens."""


@cli.command()
@with_settings
@click.pass_context
def serve(context: click.Context, /, **_options: Any) -> None:
    """Run the server until Ctrl-C.

    Without any option it serves this machine only. Every option has a variable, named in
    brackets; an option beats its variable.
    """
    try:
        asyncio.run(serve_until_stopped(load(given(context), os.environ)))
    except SetupMistake as mistake:
        click.echo(f"roomtone: {mistake}", err=True)
        context.exit(EXIT_MISTAKE)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"roomtone {VERSION}")


cli.add_command(bench)
