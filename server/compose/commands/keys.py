"""`roomtone keys …`: API keys of a running server, and the keys that sign tokens."""

import click

from server.client.api import Api, path
from server.compose.commands.table import table
from server.compose.commands.target import Console, with_server
from server.compose.commands.times import Seconds
from server.domain.api_key import Scope


@click.group()
def keys() -> None:
    """Keys for programs that use the API, and the keys that sign tokens.

    The server must be running.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What the key may do. Several: repeat the option.",
)
@click.option("--expires-in", type=Seconds(), metavar="TIME", help="Such as 90d; else for ever.")
@with_server
async def create(
    api: Api, console: Console, name: str, scopes: tuple[str, ...], expires_in: int | None
) -> None:
    """Make a key called NAME and print it; it is never shown again."""
    body = {"name": name, "scopes": list(scopes), "expiresIn": expires_in}
    key = (await api.call("POST", path("keys"), body))["key"]
    console.tell(key, [key["secret"]])
    console.hint(f"Shown this once. To revoke it: roomtone keys revoke {key['keyId']}")


@keys.command("list")
@with_server
async def list_keys(api: Api, console: Console) -> None:
    """List the keys, oldest first."""
    found = (await api.call("GET", path("keys")))["keys"]
    rows = [
        (
            key["keyId"],
            key["name"],
            ",".join(key["scopes"]),
            key["expiresAt"] or "for ever",
            key["usedAt"] or "never",
        )
        for key in found
    ]
    lines = table(("key", "name", "scopes", "good until", "used"), rows)
    console.tell(found, lines if rows else ["There is no key: `roomtone keys create` makes one."])


@keys.command()
@click.argument("key_id", metavar="KEY")
@with_server
async def revoke(api: Api, console: Console, key_id: str) -> None:
    """Make a key worthless, at once; `list` shows what KEY is."""
    await api.call("DELETE", path("keys", key_id))
    console.tell({"revoked": key_id}, [f"Key {key_id} is worthless now"])


@keys.command()
@with_server
async def rotate(api: Api, console: Console) -> None:
    """Sign new tokens with new keys.

    Tokens that are out there stay good until they end.
    """
    await api.call("POST", path("keys", "rotate"))
    console.tell({"rotated": True}, ["New tokens are signed with new keys"])
