"""The `roomtone` command."""

import asyncio
import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from mixer.core.recording import BadRecording
from mixer.errors import SetupError
from mixer.room.replay import ReplaySettings
from server.compose.commands.completion import completion
from server.compose.commands.doctor import doctor
from server.compose.commands.keys import keys
from server.compose.commands.recordings import record, recordings
from server.compose.commands.rooms import room
from server.compose.commands.settings import config, config_option
from server.compose.commands.target import Console, as_json
from server.compose.commands.tokens import token
from server.compose.commands.webhooks import webhooks
from server.compose.measure import bench
from server.compose.mistakes import EXIT_MISTAKE
from server.compose.options import given, with_settings
from server.compose.program import serve_until_stopped
from server.compose.replay import Wishes
from server.compose.replay import replay as run_again
from server.compose.tls_command import tls
from server.compose.version import VERSION
from server.errors import SetupMistake
from server.sources import read

LONG_BYTES = 4_000_000  # some seconds of work: worth a progress bar


class Verbs(click.Group):
    """The verbs; what loads aiortc and PyAV is imported for its own sake only, not by `serve`."""

    _LATE: Final = {
        "check": "server.compose.commands.check",
        "join": "server.compose.commands.media",
        "listen": "server.compose.commands.media",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return sorted([*super().list_commands(ctx), *self._LATE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb."""
        module = self._LATE.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(importlib.import_module(module), cmd_name)
        return found


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def cli() -> None:
    """Live audio rooms: people talk in the browser, anybody listens."""


@cli.command()
@with_settings
@config_option
@click.pass_context
def serve(context: click.Context, /, config_path: Path | None, **_options: Any) -> None:
    """Run the server until Ctrl-C.

    Without any option it serves this machine only. Every option has a variable, named in
    brackets, and a key of the same name in the configuration file: an option beats its variable,
    that the file, that the default.
    """
    options = given(context)
    try:
        asyncio.run(serve_until_stopped(lambda: read(options, os.environ, config_path)))
    except SetupMistake as mistake:
        click.echo(f"roomtone: {mistake}", err=True)
        context.exit(EXIT_MISTAKE)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--jitter-min",
    type=click.IntRange(1, 50),
    help="Least that everybody's jitter buffer aims to hold, in frames of 20 ms.",
)
@click.option(
    "--jitter-max",
    type=click.IntRange(1, 100),
    help="Most that a jitter buffer may hold, in frames of 20 ms.",
)
@click.option(
    "--jitter-percentile",
    type=click.FloatRange(0.5, 1.0),
    help="Share of the packets that a jitter buffer waits for.",
)
@click.option("--mix", type=click.Path(path_type=Path), help="Write the full mix to this WAV.")
@click.option(
    "--per-person",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write what each person heard to a WAV of their own in this folder.",
)
@click.pass_context
def replay(
    context: click.Context,
    /,
    file: Path,
    jitter_min: int | None,
    jitter_max: int | None,
    jitter_percentile: float | None,
    **where: Path | None,
) -> None:
    """Run a recorded room again and print what came of it.

    FILE is one that `serve` with the option record-arrivals has written. It holds everybody's
    voice, and so do the WAVs made of it: they are personal data.

    Equal settings give an equal digest, in any process.
    """
    wishes = Wishes(ReplaySettings(jitter_min, jitter_max, jitter_percentile), **where)
    try:
        size = file.stat().st_size
        hidden = size < LONG_BYTES or not sys.stderr.isatty()
        with click.progressbar(length=size, label=file.name, file=sys.stderr, hidden=hidden) as bar:
            lines = run_again(file, wishes, bar.update)
    except (BadRecording, SetupError) as mistake:
        click.echo(f"roomtone: {file}: {mistake}", err=True)
        context.exit(EXIT_MISTAKE)
    except OSError as error:
        click.echo(f"roomtone: {error.filename or file}: {error.strerror}", err=True)
        context.exit(EXIT_MISTAKE)
    click.echo("\n".join(lines))


@cli.command()
@as_json
def version(*, is_json: bool) -> None:
    """Print the version."""
    Console(is_json).tell({"version": VERSION}, [f"roomtone {VERSION}"])


room.add_command(record)
for _verb in (room, recordings, token, config, doctor, completion, keys, webhooks, tls, bench):
    cli.add_command(_verb)
