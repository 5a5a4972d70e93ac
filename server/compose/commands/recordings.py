"""`roomtone room record …` and `roomtone recordings …`: what is recorded, and what was."""

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click

from hls.upload.core.merge import MAX_TEXT, CannotMerge, Piece
from hls.upload.core.merge import merge as merged
from server.client.api import Api, path
from server.client.download import download
from server.client.errors import ClientError, Exit
from server.compose.commands.table import pairs, table
from server.compose.commands.target import Console, as_json, with_server

_MB: Final = 1_000_000
_TITLES: Final = ("room", "recording", "state", "began", "length", "MB", "by")


@click.command()
@click.argument("room_id", metavar="ROOM")
@click.argument("action", type=click.Choice(["start", "pause", "resume", "stop", "list"]))
@click.option("--mix", type=click.Choice(["ogg", "flac", "wav"]), help="Form of the mix (ogg).")
@click.option("--no-tracks", is_flag=True, help="The mix only, no file of each person.")
@click.option("--exact", is_flag=True, help="Also the very samples of each person (FLAC).")
@with_server
async def record(api: Api, console: Console, room_id: str, action: str, **what: Any) -> None:
    """Record a room: everybody in it is told.

    The options are for start. What is said during a pause is left out; after stop the last of it
    is written soon.
    """
    if action != "start" and any(what.values()):
        raise ClientError("--mix, --no-tracks and --exact are for start", Exit.MISTAKE)
    address = path("rooms", room_id, "recordings")
    if action == "list":
        return _tell_list(await api.call("GET", address), console)
    if action == "start":
        body = {"tracks": not what["no_tracks"], "exact": what["exact"]}
        body |= {"mix": what["mix"]} if what["mix"] else {}
        made = (await api.call("POST", address, body))["recording"]
    else:
        address = path("rooms", room_id, "recordings", await _current(api, room_id))
        made = (await api.call("PATCH", address, {"action": action}))["recording"]
    return console.tell(made, _shown(made))


@click.group()
def recordings() -> None:
    """List, fetch and remove recordings, also of rooms that are gone."""


@recordings.command("list")
@with_server
async def list_all(api: Api, console: Console) -> None:
    """List the recordings of all rooms."""
    _tell_list(await api.call("GET", path("recordings")), console)


@recordings.command()
@click.argument("room_id", metavar="ROOM")
@click.argument("name", metavar="RECORDING")
@click.option("--file", help="One file of it, such as mix.ogg (default: all of them as a ZIP).")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it (default: here, under its own name); never over a file that is there.",
)
@with_server
async def get(api: Api, console: Console, room_id: str, name: str, **wish: Any) -> None:
    """Fetch a recording, or one file of it."""
    file: str | None = wish["file"]
    out: Path | None = wish["out"]
    tail = ["files.zip"] if file is None else ["files", *file.split("/")]
    # What a server calls its files never says where they go here.
    own_name = f"{room_id}-{name}.zip" if file is None else file.replace("\\", "/")
    target = out or Path(Path(own_name).name or "recording")
    size = await download(api, path("rooms", room_id, "recordings", name, *tail), target)
    told = {"file": str(target), "bytes": size}
    console.tell(told, [f"Wrote {target} ({size / _MB:.1f} MB)"])


@recordings.command()
@click.argument("room_id", metavar="ROOM")
@click.argument("names", metavar="RECORDING...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Also what is to be uploaded and is not yet.")
@with_server
async def rm(
    api: Api, console: Console, room_id: str, names: tuple[str, ...], *, force: bool
) -> None:
    """Remove recordings and all their files, for good.

    What is in the bucket stays there.
    """
    query = "?force=true" if force else ""
    for name in names:
        await api.call("DELETE", path("rooms", room_id, "recordings", name) + query)
    console.tell({"removed": names}, (f"Removed {name}" for name in names))


@recordings.command()
@click.argument(
    "playlists",
    metavar="PLAYLIST...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Playlist to write; never over a file that is there. It names segments from where it is.",
)
@as_json
def merge(playlists: tuple[Path, ...], *, out: Path, is_json: bool) -> None:
    """Make one stream of pieces of a broadcast that several servers uploaded.

    Each PLAYLIST is an all.m3u8 as it was uploaded, in its place among the others: a folder, or a
    copy of the bucket's playlists alone. Segments are neither read nor moved.
    """
    console = Console(is_json)
    try:
        pieces = [Piece(_playlist_text(one), _way(one, out)) for one in playlists]
        text = merged(pieces)
        with out.open("x") as file:
            file.write(text)
    except CannotMerge as error:
        console.fail(ClientError(str(error), Exit.MISTAKE))
    except FileExistsError:
        console.fail(ClientError(f"{out} is there already: it is never written over", Exit.MISTAKE))
    except OSError as error:
        console.fail(ClientError(f"{error.filename}: {error.strerror}", Exit.FAILED))
    count, gaps = text.count("#EXTINF:"), text.count("#EXT-X-GAP")
    lines = [f"Wrote {out}: {count} segments" + (f", {gaps} of them missing" if gaps else "")]
    console.tell({"file": str(out), "segments": count, "gaps": gaps}, lines)


def _playlist_text(playlist: Path) -> str:
    with playlist.open("rb") as file:
        return file.read(MAX_TEXT + 1).decode(errors="replace")


def _way(playlist: Path, out: Path) -> str:
    """Return how the folder of a playlist is reached from that of another, "" or ending in /."""
    way = os.path.relpath(playlist.absolute().parent, out.absolute().parent)
    return "" if way == "." else quote(way) + "/"


async def _current(api: Api, room_id: str) -> str:
    room = (await api.call("GET", path("rooms", room_id)))["room"]
    recording = room.get("recording")
    if not isinstance(recording, dict):
        raise ClientError(
            f"{room_id} is not being recorded: `roomtone room record {room_id} start` does it",
            Exit.NOT_FOUND,
        )
    return str(recording["name"])


def _tell_list(answer: dict[str, Any], console: Console) -> None:
    found = answer["recordings"]
    rows = [
        (
            one["roomId"],
            one["name"],
            one["state"],
            one["beganAt"],
            _clock(one["seconds"]),
            f"{one['bytes'] / _MB:.1f}",
            one["by"],
        )
        for one in found
    ]
    lines = list(table(_TITLES, rows)) if rows else ["There is no recording."]
    console.tell(found, [*lines, f"{answer['freeBytes'] / _MB:.0f} MB are left on the disk."])


def _shown(one: dict[str, Any]) -> list[str]:
    titles = {
        "room": one["roomId"],
        "recording": one["name"],
        "state": one["state"],
        "began": one["beganAt"],
        "length": _clock(one["seconds"]),
        "mix": one["mix"],
        "tracks": one["tracks"],
        "exact": one["exact"],
    }
    return list(pairs(list(titles.items())))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
