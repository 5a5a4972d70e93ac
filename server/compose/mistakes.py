"""How a command ends when somebody made a mistake."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from server.errors import SetupMistake

EXIT_MISTAKE = 2  # as click's own for a wrong option


@contextmanager
def ending_well(context: click.Context) -> Iterator[None]:
    """Turn a SetupMistake into its sentence and an exit status."""
    try:
        yield
    except SetupMistake as mistake:
        click.echo(f"roomtone: {mistake}", err=True)
        context.exit(EXIT_MISTAKE)
