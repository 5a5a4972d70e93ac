"""`make bench`: the command line of the measurements."""

import asyncio
import datetime as dt
import functools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.errors import BenchMistake
from bench.figures import Section
from bench.janus import find_janus
from bench.machine import facts
from bench.report import print_tables, write
from bench.rivals import JANUS_BY_ITSELF, JANUS_COMPLEXITY, Rival, makers
from bench.run import Run
from bench.scenarios import (
    broadcast,
    control,
    cpu,
    delay,
    delivery,
    idle,
    join,
    listeners,
    quality,
    storm,
    where,
)
from bench.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parent
EXIT_MISTAKE = 2  # as click's own for a wrong option
EXIT_STOPPED = 130  # as a shell's for Ctrl-C
RIVALS = ("roomtone", "janus", "aiortc")


class Scenario(NamedTuple):
    """How a verb measures, and how many steps that takes."""

    measure: Callable[[Run], Awaitable[Section]]
    steps: Callable[[Run], int]


SCENARIOS = {
    "cpu": Scenario(cpu.measure, cpu.steps),
    "idle": Scenario(idle.measure, idle.steps),
    "listeners": Scenario(listeners.measure, listeners.steps),
    "delay": Scenario(delay.measure, delay.steps),
    "join": Scenario(join.measure, join.steps),
    "quality": Scenario(quality.measure, quality.steps),
    "control": Scenario(control.measure, control.steps),
    "storm": Scenario(storm.measure, storm.steps),
    "delivery": Scenario(delivery.measure, delivery.steps),
    "broadcast": Scenario(broadcast.measure, broadcast.steps),
    "where": Scenario(where.measure, where.steps),
}
ALONE = {"where"}  # not among all: it wants perf, and disturbs what it looks at


class Group(click.Group):
    """Tells what there is when a verb is wrong."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Return the command, or say which there are."""
        if args and self.get_command(ctx, args[0]) is None:
            names = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"There is no measurement {args[0]!r}. There are: {names}.")
        return super().resolve_command(ctx, args)


def common(function: Callable[..., None], rivals: str = "roomtone,janus") -> Callable[..., None]:
    """Give a verb the options that all measurements share, and who is measured by itself."""
    for option in reversed(
        (
            click.option("--settings", "settings_file", type=click.Path(path_type=Path),
                         help="A TOML file like bench/settings.toml."),
            click.option("--rivals", default=rivals, show_default=True,
                         help="Who is measured, in turns: roomtone, janus, aiortc."),
            click.option("--janus", metavar="PATH", help="Another build of Janus than the one "
                         "on the PATH."),
            click.option("--rounds", type=click.IntRange(1), help="Measurements of each server."),
            click.option("--seconds", type=click.FloatRange(0.5), help="Length of each."),
            click.option("--quick", is_flag=True, help="One short round: to see that it works."),
            click.option("--name", help="Results go to bench/results/NAME (default: the verb "
                         "and the time)."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def cli() -> None:
    """Measure Roomtone's mixer beside Janus AudioBridge and a plain aiortc mixer.

    All servers get the same clients (real DTLS and SRTP) in turns, A B A B. Let nothing else run
    meanwhile; read ratios, not percentages. Try first: make bench ARGS="cpu --quick"
    """


@cli.command("cpu")
@common
@click.option("--anchors", type=click.IntRange(1), help="People in one room, instead of the list.")
@click.option("--speaking", type=click.IntRange(0), default=3, show_default=True)
@click.option("--rooms", type=click.IntRange(1), default=1, show_default=True,
              help="So many rooms of that size.")  # fmt: skip
def cpu_verb(anchors: int | None, speaking: int, rooms: int, **options: Any) -> None:
    """CPU and memory per anchor (--anchors 40 --speaking 3, or the sizes of the settings)."""
    sizes = None
    if anchors is not None:
        if speaking > anchors:
            raise click.UsageError(f"{speaking} of {anchors} cannot speak: lower --speaking.")
        sizes = {"cpu": (f"{f'{rooms}x' if rooms > 1 else ''}{anchors}/{speaking}",)}
    _run(["cpu"], options, sizes)


def _add(name: str, text: str) -> None:
    def verb(**options: Any) -> None:
        _run([name], options)

    verb.__doc__ = text
    cli.command(name)(common(verb))


_add("idle", "CPU of rooms with nobody in them.")
_add("listeners", "What one more WebRTC listener costs, as a slope.")
_add("delay", "The delay a server adds, by markers.")
_add("join", "Time from an offer to the first mixed packet.")
_add("where", "Where the CPU time goes: codec, crypto, kernel, arrays, Python (perf).")
_add("quality", "PESQ and STOI at loss, jitter and drift, in and out (minutes).")


@cli.command("control")
@functools.partial(common, rivals="roomtone")
@click.option("--sockets", type=click.IntRange(1), help="Idle WebSockets.")
@click.option("--joins", type=click.IntRange(1), help="Signalling joins a second.")
def control_verb(sockets: int | None, joins: int | None, **options: Any) -> None:
    """Idle sockets, joins and join storms at one control process, beside a bare aiohttp server.

    With a socket, the join and the leave of JSON-RPC (`control`), and with sound (`storm`).
    """
    wanted = {"sockets": sockets, "joins_a_second": joins}
    _run(["control", "storm"], options, {name: n for name, n in wanted.items() if n is not None})


@cli.command("delivery")
@functools.partial(common, rivals="roomtone")
@click.option("--rate", type=click.IntRange(1), help="Requests a second.")
@click.option("--blocked", type=click.IntRange(1), help="Requests that wait for one part.")
@click.option("--players", type=click.IntRange(1), help="Listeners of low latency.")
def delivery_verb(
    rate: int | None, blocked: int | None, players: int | None, **options: Any
) -> None:
    """Playlists, parts and keys of a broadcast, beside nginx with the same bytes on disk.

    Then what requests weigh that wait, and how many low-latency listeners a core holds.
    """
    wanted = {"hls_rate": rate, "hls_blocked": blocked, "hls_listeners": players}
    _run(["delivery"], options, {name: n for name, n in wanted.items() if n is not None})


@cli.command("broadcast")
@functools.partial(common, rivals="roomtone")
@click.option("--on-air", type=click.IntRange(1), help="Rooms on air.")
def broadcast_verb(on_air: int | None, **options: Any) -> None:
    """CPU and memory of a room on air beyond its mix, beside an FFmpeg for each room.

    Both encode the same samples at two bit rates and encrypt them, with keys that change.
    """
    _run(["broadcast"], options, {} if on_air is None else {"broadcast_rooms": on_air})


@cli.command("all")
@functools.partial(common, rivals=",".join(RIVALS))
@click.option("--without", default="", help="Verbs to leave out, separated by commas.")
def all_verb(without: str, **options: Any) -> None:
    """All of the above: about half an hour (with --quick some minutes)."""
    left_out = {name for name in without.split(",") if name}
    if unknown := left_out - set(SCENARIOS):
        raise click.UsageError(f"--without {', '.join(unknown)}: there is no such measurement.")
    _run([name for name in SCENARIOS if name not in left_out | ALONE], options)


@cli.command("micro", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def micro_verb(arguments: tuple[str, ...]) -> None:
    """Single functions, by pytest-benchmark; its options may follow (-k mix)."""
    raise SystemExit(
        pytest.main(
            ["-o", "python_files=micro_*.py", "-o", "testpaths=", "-o", "timeout=120",
             "--benchmark-columns=median,iqr,ops", "--benchmark-sort=name",
             f"{ROOT / 'micro'}", *arguments]
        )
    )  # fmt: skip


def _settings(options: dict[str, Any], sizes: dict[str, Any] | None) -> Settings:
    path = options["settings_file"]
    found = read_settings(path) if path else Settings()
    measure = found.measure
    if options["quick"]:
        measure = replace(measure, rounds=1, seconds=2.0, warm_up_s=1.0, seeds=2)
        found = replace(
            found,
            sizes=replace(
                found.sizes, cpu=("12/3", "4x3/1"), listeners=(20, 60), listeners_rival=(5, 10),
                idle_rooms=200, idle_rooms_rival=50, joins=5, sockets=100, joins_a_second=20,
                storm=10, hls_rate=100, hls_blocked=100, hls_listeners=20, broadcast_rooms=2,
            ),
        )  # fmt: skip
    if options["rounds"]:
        measure = replace(measure, rounds=options["rounds"])
    if options["seconds"]:
        measure = replace(measure, seconds=options["seconds"])
    if sizes is not None:
        found = replace(found, sizes=replace(found.sizes, **sizes))
    return replace(found, measure=measure)


def _chosen(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := set(names) - set(RIVALS) or not names:
        wrong = ", ".join(sorted(unknown)) if isinstance(unknown, set) else "nothing"
        raise BenchMistake(f"--rivals {wrong}: choose among {', '.join(RIVALS)}.")
    return names


def _run(verbs: list[str], options: dict[str, Any], sizes: dict[str, Any] | None = None) -> None:
    console = Console()
    try:
        settings = _settings(options, sizes)
        rivals = _chosen(options["rivals"])
        if "janus" in rivals:
            find_janus(options["janus"])
        found_facts = facts(rivals, options["janus"])
        every = makers(settings.mix, options["janus"])
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), console=console,
        ) as progress:  # fmt: skip
            run = Run(settings, {name: every[name] for name in rivals}, lambda _: None)
            runs = {verb: _run_of(verb, run, every) for verb in verbs}
            total = sum(SCENARIOS[verb].steps(one) for verb, one in runs.items())
            task = progress.add_task("starting", total=total)
            started = False

            def said(text: str) -> None:
                nonlocal started
                progress.update(task, description=text, advance=int(started))
                started = True

            for one in runs.values():
                one.said = said
            sections = asyncio.run(_measure(runs))
            progress.update(task, description="done", advance=1)
    except BenchMistake as mistake:
        click.echo(f"bench: {mistake}", err=True)
        raise SystemExit(EXIT_MISTAKE) from None
    except KeyboardInterrupt:
        click.echo("bench: stopped; every server is ended and nothing was written.", err=True)
        raise SystemExit(EXIT_STOPPED) from None
    print_tables(sections, console)
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")  # noqa: DTZ005 - a file name
    folder = ROOT / "results" / (options["name"] or f"{'-'.join(verbs[:2])}-{stamp}")
    write(sections, found_facts, settings, folder)
    for key, value in found_facts.items():
        console.print(f"{key}: {value}", style="dim")
    console.print(f"Written to {folder}")


def _run_of(verb: str, run: Run, every: dict[str, Callable[[], Rival]]) -> Run:
    """Return what a scenario is given: for the CPU, Janus once more as it is by itself."""
    is_cheaper = run.settings.mix.complexity_rival < JANUS_COMPLEXITY
    if verb != "cpu" or "janus" not in run.makers or not is_cheaper:
        return run
    makers_of_cpu = {}
    for name, make in run.makers.items():
        makers_of_cpu[name] = make
        if name == "janus":
            makers_of_cpu[JANUS_BY_ITSELF] = every[JANUS_BY_ITSELF]
    return replace(run, makers=makers_of_cpu)


async def _measure(runs: dict[str, Run]) -> list[Section]:
    return [await SCENARIOS[verb].measure(run) for verb, run in runs.items()]
