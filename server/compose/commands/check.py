"""`roomtone check`: whether a live HLS stream keeps to the standard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from server.client.api import Api, Target
from server.client.errors import Exit
from server.client.stream_check import STANDARD, Checker, Followed
from server.compose.commands.target import Console, as_json, run_to_end

DEFAULT_S: Final = 20.0


@click.command()
@click.argument("url")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1),
    default=DEFAULT_S,
    show_default=True,
    help="How long the stream is followed.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate to trust, beside the system's.",
)
@as_json
def check(url: str, seconds: float, ca: Path | None, *, is_json: bool) -> None:
    """Follow a live HLS stream and say what is against the standard, with its section.

    URL is the address of a playlist, of this server or any other: http://…/master.m3u8. Playlists
    that it names are followed too, with blocking reloads and delta updates where they are offered.
    It ends with 1 if something is wrong.
    """
    console = Console(is_json)

    async def work() -> None:
        split = urlsplit(url)
        async with Api(Target(f"{split.scheme}://{split.netloc}", trusted=ca)) as api:
            found = await Checker(lambda address: api.ask("GET", address), seconds).check(url)
        count = sum(len(one.told) for one in found)
        console.tell({"wrong": count, "playlists": [_as_json(one) for one in found]}, _lines(found))
        if count:
            raise SystemExit(int(Exit.FAILED))

    run_to_end(work(), console)


def _as_json(one: Followed) -> dict[str, object]:
    return {
        "url": one.url.partition("?")[0],
        "texts": one.texts,
        "deltas": one.deltas,
        "blocked": one.blocked,
        "segments": one.segments,
        "refused": one.refused,
        "isOver": one.is_over,
        "findings": [
            {
                "text": told.number,
                "line": told.finding.line,
                "rule": told.finding.rule,
                "section": told.finding.section,
                "reason": told.finding.reason,
            }
            for told in one.told
        ],
    }


def _lines(found: list[Followed]) -> Iterator[str]:
    for one in found:
        mark = click.style("fail", fg="red") if one.told else click.style("ok  ", fg="green")
        counted = f"{one.texts} texts, {one.deltas} delta updates, {one.segments} segments"
        yield f"{mark}  {one.url.partition('?')[0]}  {counted}"
        for told in one.told:
            yield f"      {told}"
    if any(one.told for one in found):
        yield f"Sections are of {STANDARD}."
