"""`roomtone completion`: what a shell reads to complete the verbs and options."""

import click
from click.shell_completion import get_completion_class

VARIABLE = "_ROOMTONE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    """Print a script that completes verbs and options.

    For bash: eval "$(roomtone completion bash)" in ~/.bashrc; zsh alike; for fish:
    roomtone completion fish > ~/.config/fish/completions/roomtone.fish
    """
    found = get_completion_class(shell)
    assert found is not None, "click knows all of the choices"
    click.echo(found(context.find_root().command, {}, "roomtone", VARIABLE).source())
