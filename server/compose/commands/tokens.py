"""`roomtone token …`: what lets somebody join or listen without a page."""

import click

from server.client.api import Api, path
from server.compose.commands.table import pairs
from server.compose.commands.target import Console, with_server


@click.group()
def token() -> None:
    """Mint tokens for programs that join or listen."""


@token.command("join")
@click.argument("room_id", metavar="ROOM")
@click.option("--role", type=click.Choice(["anchor", "host", "guest"]), default="anchor")
@click.option("--name", default="", help="What the others see.")
@with_server
async def join_token(api: Api, console: Console, room_id: str, role: str, name: str) -> None:
    """Mint a token to join a room, and print the address for `roomtone join`."""
    body = {"role": role, "displayName": name}
    made = await api.call("POST", path("rooms", room_id, "users"), body)
    scheme, _, host = api.target.url.rstrip("/").partition("://")
    url = f"{'wss' if scheme == 'https' else 'ws'}://{host}/ws?token={made['token']}"
    told = {key: made[key] for key in ("userID", "token", "expiresAt")} | {"url": url}
    console.tell(told, pairs([("person", made["userID"]), ("until", made["expiresAt"]), ("", url)]))


@token.command("listen")
@click.argument("room_id", metavar="ROOM")
@with_server
async def listen_token(api: Api, console: Console, room_id: str) -> None:
    """Mint a token to listen to a room, and print the address for any player of HLS."""
    made = await api.call("POST", path("token"), {"roomId": room_id})
    url = f"{made['hlsUrl']}?token={made['token']}"
    told = {key: made[key] for key in ("token", "expiresAt", "hlsUrl")} | {"url": url}
    console.tell(told, pairs([("until", made["expiresAt"]), ("", url)]))
