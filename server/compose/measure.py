"""The verb `bench`: hands over to the measurements, where there is a source tree."""

import runpy
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
EXIT_MISTAKE = 2  # as click's own for a wrong option


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def bench(context: click.Context, /, arguments: tuple[str, ...]) -> None:
    """Measure the mixer beside Janus and others (in a source tree; --help)."""
    if not (ROOT / "bench" / "__main__.py").is_file():
        click.echo(
            "roomtone: the measurements come with the source, not with the package, because they "
            "need the tests' network emulator and compilers: get the source and type make bench.",
            err=True,
        )
        context.exit(EXIT_MISTAKE)
    sys.path.insert(0, str(ROOT))
    sys.argv = ["roomtone bench", *arguments]
    try:
        runpy.run_module("bench", run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        click.echo(f"roomtone: {error.name} is not installed; make bench installs it.", err=True)
        context.exit(EXIT_MISTAKE)
