"""`roomtone join` and `roomtone listen`: a voice and a listener without a browser."""

import asyncio
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from server.client.caller import Caller, Progress, Wish
from server.client.link import Link, read_link
from server.client.listener import Wanted
from server.client.listener import listen as follow
from server.client.sound import SILENT_DB, Recorder
from server.compose.commands.table import pairs
from server.compose.commands.target import Console, as_json, run_to_end, trusted
from server.config import variable

METER_WIDTH: Final = 20
METER_FLOOR_DB: Final = -60.0

_ca = click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate to trust, beside the system's and this machine's server's own.",
)
_state_dir = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar=variable("state_dir"),
    help="State folder of this machine's server, whose own certificate is trusted.",
)
_pin = click.option("--pin", default="", help="The room's PIN.")
_seconds = click.option("--seconds", type=click.FloatRange(0.1), help="How long.")


@click.command()
@click.argument("link")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Sound file to play into the room (default: silence).",
)
@click.option("--loop", is_flag=True, help="Play it again and again.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what is heard to this WAV.",
)
@_seconds
@click.option("--name", default="roomtone join", help="What the others see.")
@_pin
@_state_dir
@_ca
@as_json
def join(link: str, ca: Path | None, state_dir: Path | None, *, is_json: bool, **how: Any) -> None:
    """Join a room as a voice: play a file into it, record what is heard.

    LINK is the link to talk, or the address `roomtone token join` prints. It ends when the file
    is over, after --seconds, or at Ctrl-C.
    """
    console = Console(is_json)
    wish, progress = Wish(**how), Progress()
    line = Line(is_on=not is_json)

    def look() -> None:
        line.show(
            f"{progress.seconds:6.1f} s  out {meter(progress.sent_db)}"
            f"  in {meter(progress.heard_db)}"
        )

    async def work() -> None:
        read = read_link(link)
        caller = Caller(wish, progress)
        stop_at_interrupt(caller.stop)
        outcome = await caller.call(read, _trusted(read, state_dir, ca), look)
        line.clear()
        console.tell(
            asdict(outcome),
            pairs(
                [
                    ("room", outcome.room),
                    ("as", outcome.user),
                    ("for", f"{outcome.seconds:.1f} s"),
                    ("heard", f"{outcome.heard_s:.1f} s"),
                    ("loudest", meter(outcome.loudest_db)),
                    ("reconnects", outcome.reconnects),
                ]
            ),
        )

    run_to_end(work(), console)


@click.command()
@click.argument("link")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what is heard to this WAV.",
)
@_seconds
@_pin
@_state_dir
@_ca
@as_json
def listen(
    link: str, ca: Path | None, state_dir: Path | None, *, is_json: bool, **how: Any
) -> None:
    """Listen to a room's stream: decrypt, decode and record it.

    LINK is the link to listen, or the address `roomtone token listen` prints. It ends after
    --seconds, with the room, or at Ctrl-C.
    """
    console, line = Console(is_json), Line(is_on=not is_json)

    def look(recorder: Recorder) -> None:
        line.show(f"{recorder.seconds:6.1f} s  {meter(recorder.level_db)}")

    async def work() -> None:
        read = read_link(link)
        stop = asyncio.Event()
        stop_at_interrupt(stop)
        heard = await follow(read, Wanted(**how, trusted=_trusted(read, state_dir, ca)), stop, look)
        line.clear()
        console.tell(
            asdict(heard),
            pairs(
                [
                    ("room", heard.room),
                    ("heard", f"{heard.seconds:.1f} s"),
                    ("loudest", meter(heard.loudest_db)),
                    ("segments", heard.segments),
                    ("missed", heard.missed),
                ]
            ),
        )

    run_to_end(work(), console)


def stop_at_interrupt(stop: asyncio.Event) -> None:
    """Let the first Ctrl-C end what goes on, with all that was recorded; a second one cuts it."""
    if threading.current_thread() is not threading.main_thread():
        return  # only there do signals arrive
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)


class Line:
    """One line of a terminal that is written over and over; nothing elsewhere."""

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on and sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Write it over what was there."""
        if self._is_on:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def clear(self) -> None:
        """Leave an empty line."""
        self.show("")


def meter(level_db: float) -> str:
    """Return a level as a bar with its number."""
    share = (max(level_db, METER_FLOOR_DB) - METER_FLOOR_DB) / -METER_FLOOR_DB
    bar = ("█" * round(share * METER_WIDTH)).ljust(METER_WIDTH, "·")
    number = "silent" if level_db <= SILENT_DB else f"{level_db:4.0f} dB"
    return f"{bar} {number:>7}"


def _trusted(link: Link, folder: Path | None, ca: Path | None) -> Path | None:
    return trusted(folder, ca) if link.base.startswith("https:") else ca
