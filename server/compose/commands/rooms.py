"""`roomtone room …`: rooms and the people in them."""

from typing import Any, Final

import click

from server.client.api import Api, path
from server.client.errors import ClientError, Exit
from server.compose.commands.table import pairs, table
from server.compose.commands.target import Console, with_server
from server.compose.commands.times import Seconds
from server.domain.identity import is_pin


class People(click.ParamType[int | None]):
    """A number of people; `any` is None."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return how many."""
        text = str(value).strip().lower()
        if text == "any":
            return None
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            self.fail(f"{value!r} is no number of people: 1 and up, or any", param, ctx)
        return int(text)


class Pin(click.ParamType[str]):
    """A PIN, or none."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it."""
        if value and not is_pin(value):
            self.fail(f"{value!r} is no PIN: six letters or digits, or nothing", param, ctx)
        return str(value)


class HoldMusic(click.ParamType[str | None]):
    """The name of a sound file; `default` is None."""

    name = "file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | None:
        """Return it."""
        _ = param, ctx
        return None if value == "default" else str(value)


_LOOKS: Final = (
    click.option("--name", help="What people call it."),
    click.option("--pin", type=Pin(), help="Six letters or digits; an empty one is none."),
    click.option("--max-anchors", type=People(), help="How many may talk at once, or `any`."),
    click.option(
        "--expires-in", type=Seconds(), help="When it ends: 90 (seconds), 45m, 12h, 7d, never."
    ),
    click.option(
        "--hold-music",
        type=HoldMusic(),
        help="What listeners hear while nobody is in it: a file of the server's folder of"
        " announcements; an empty one is silence, `default` as the server says.",
    ),
    click.option(
        "--upload/--no-upload",
        default=None,
        help="Whether its recordings and broadcast go to the server's bucket, from now on.",
    ),
)
_FIELDS: Final = {
    "name": "name",
    "pin": "pin",
    "max_anchors": "maxAnchors",
    "expires_in": "expiresIn",
    "hold_music": "holdMusic",
    "upload": "upload",
}


def _with_looks(command: Any) -> Any:
    for decorate in reversed(_LOOKS):
        command = decorate(command)
    return command


@click.group()
def room() -> None:
    """Create, list, change and end rooms; see, mute and remove the people in them."""


@room.command()
@click.option("--id", "room_id", help="3 to 32 letters, digits, - and _ (default: made up).")
@_with_looks
@with_server
async def create(api: Api, console: Console, room_id: str | None, **looks: Any) -> None:
    """Create a room and print its links."""
    body = _given(looks) | ({} if room_id is None else {"roomId": room_id})
    made = (await api.call("POST", path("rooms"), body))["room"]
    console.tell(made, _shown(made))


@room.command("list")
@with_server
async def list_rooms(api: Api, console: Console) -> None:
    """List the rooms."""
    rooms = (await api.call("GET", path("rooms")))["rooms"]
    rows = [(r["roomId"], r.get("name"), r.get("anchors"), r["createdAt"]) for r in rooms]
    lines = table(("room", "name", "people", "created"), rows)
    console.tell(rooms, lines if rows else ["There is no room: `roomtone room create` makes one."])


@room.command()
@click.argument("room_id", metavar="ROOM")
@with_server
async def show(api: Api, console: Console, room_id: str) -> None:
    """Show a room and its links."""
    found = (await api.call("GET", path("rooms", room_id)))["room"]
    console.tell(found, _shown(found))


@room.command("set")
@click.argument("room_id", metavar="ROOM")
@_with_looks
@with_server
async def set_room(api: Api, console: Console, room_id: str, **looks: Any) -> None:
    """Change a room that is on air; what is not named stays."""
    body = _given(looks)
    if not body:
        raise ClientError(
            "Nothing to change: name --name, --pin, --max-anchors, --expires-in, --hold-music or"
            " --no-upload",
            Exit.MISTAKE,
        )
    changed = (await api.call("PATCH", path("rooms", room_id), body))["room"]
    console.tell(changed, _shown(changed))


@room.command()
@click.argument("room_ids", metavar="ROOM...", nargs=-1, required=True)
@with_server
async def delete(api: Api, console: Console, room_ids: tuple[str, ...]) -> None:
    """End rooms: everybody in them is told and disconnected."""
    for room_id in room_ids:
        await api.call("DELETE", path("rooms", room_id))
    console.tell({"deleted": room_ids}, (f"Ended {room_id}" for room_id in room_ids))


@room.command()
@click.argument("room_id", metavar="ROOM")
@with_server
async def people(api: Api, console: Console, room_id: str) -> None:
    """List who is in a room, and how their connections are."""
    found = (await api.call("GET", path("rooms", room_id, "participants")))["participants"]
    told = (await api.call("GET", path("rooms", room_id, "statistics")))["peers"]
    links = {peer["userId"]: peer for peer in told}
    rows = [
        (
            one["userId"],
            one.get("displayName"),
            one.get("role"),
            one.get("status"),
            bool(one.get("muted") or one.get("selfMuted")),
            *(links.get(one["userId"], {}).get(key) for key in ("roundTripMs", "lossIn")),
        )
        for one in found
    ]
    titles = ("person", "name", "role", "status", "muted", "rtt ms", "loss in")
    console.tell(found, table(titles, rows) if rows else [f"Nobody is in {room_id}."])


@room.command()
@click.argument("room_id", metavar="ROOM")
@click.argument("user_id", metavar="PERSON")
@with_server
async def kick(api: Api, console: Console, room_id: str, user_id: str) -> None:
    """Remove somebody from a room; their token is refused from then on."""
    await api.call("DELETE", path("rooms", room_id, "users", user_id))
    console.tell({"kicked": user_id}, [f"Removed {user_id} from {room_id}"])


@room.command()
@click.argument("room_id", metavar="ROOM")
@click.argument("user_id", metavar="PERSON")
@click.option("--off", is_flag=True, help="Let them be heard again.")
@with_server
async def mute(api: Api, console: Console, room_id: str, user_id: str, *, off: bool) -> None:
    """Mute somebody for everybody, whatever they do themselves."""
    address = path("rooms", room_id, "participants", user_id)
    await api.call("PATCH", address, {"muted": not off})
    told = f"{user_id} can be heard again" if off else f"Muted {user_id}"
    console.tell({"userId": user_id, "muted": not off}, [told])


def _given(looks: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that were named; `never` and `any` are null, which says so."""
    context = click.get_current_context()
    return {
        _FIELDS[key]: value
        for key, value in looks.items()
        if context.get_parameter_source(key) is click.core.ParameterSource.COMMANDLINE
    }


def _shown(found: dict[str, Any]) -> list[str]:
    titles = {
        "room": found.get("roomId"),
        "name": found.get("name"),
        "pin": found.get("pin"),
        "people": found.get("anchors"),
        "at most": found.get("maxAnchors"),
        "status": found.get("status"),
        "created": found.get("createdAt"),
        "hold music": found.get("holdMusic"),
        "to talk": (found.get("links") or {}).get("join"),
        "to listen": (found.get("links") or {}).get("listen"),
        "stream": found.get("hlsUrl"),
    }
    return list(pairs([(name, value) for name, value in titles.items() if value not in (None, "")]))
