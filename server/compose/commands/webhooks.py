"""`roomtone webhooks …`: which programs are told what happens, and how they take it."""

from typing import Any

import click

from server.client.api import Api, path
from server.client.errors import ClientError, Exit
from server.compose.commands.table import pairs, table
from server.compose.commands.target import Console, with_server
from server.domain.webhook import Kind


@click.group()
def webhooks() -> None:
    """Programs that are called when something happens to rooms and people."""


@webhooks.command()
@click.argument("address", metavar="URL")
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice([kind.value for kind in Kind]),
    help="What it is told. Several: repeat the option; without it, all.",
)
@with_server
async def add(api: Api, console: Console, address: str, events: tuple[str, ...]) -> None:
    """Tell the program at URL what happens, and print the secret that its calls are signed with."""
    made = await api.call("POST", path("webhooks"), {"url": address, "events": list(events)})
    hook = made["webhook"]
    console.tell(hook, [hook["secret"]])
    console.hint(
        "The secret is shown this once. To see that calls arrive:"
        f" roomtone webhooks test {hook['webhookId']}"
    )


@webhooks.command("list")
@with_server
async def list_webhooks(api: Api, console: Console) -> None:
    """List the webhooks, and how their calls went since the server started."""
    found = (await api.call("GET", path("webhooks")))["webhooks"]
    rows = [
        (hook["webhookId"], hook["url"], ",".join(hook["events"]) or "all", *_counts(hook).values())
        for hook in found
    ]
    lines = table(("webhook", "url", "events", *_COUNTS), rows)
    nothing = ["There is no webhook: `roomtone webhooks add` makes one."]
    console.tell(found, lines if rows else nothing)


@webhooks.command()
@click.argument("webhook_ids", metavar="WEBHOOK...", nargs=-1, required=True)
@with_server
async def remove(api: Api, console: Console, webhook_ids: tuple[str, ...]) -> None:
    """Tell programs nothing any more; what waits for them is given up."""
    for webhook_id in webhook_ids:
        await api.call("DELETE", path("webhooks", webhook_id))
    console.tell({"removed": webhook_ids}, (f"Removed {one}" for one in webhook_ids))


@webhooks.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@with_server
async def test(api: Api, console: Console, webhook_id: str) -> None:
    """Call a program once, now, and say whether it took the call."""
    ping = (await api.call("POST", path("webhooks", webhook_id, "ping")))["ping"]
    if not ping["delivered"]:
        why = ping["reason"] or f"it answered {ping['status']}"
        raise ClientError(f"The call was not taken: {why}", Exit.FAILED, "not_delivered")
    console.tell(ping, [f"Taken, with status {ping['status']}"])


@webhooks.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@with_server
async def deliveries(api: Api, console: Console, webhook_id: str) -> None:
    """Show how a program takes its calls: numbers, and the last that failed."""
    hook = (await api.call("GET", path("webhooks", webhook_id)))["webhook"]
    failures = [
        (one["at"], one["event"], one["messageId"], one["reason"]) for one in hook["failures"]
    ]
    lines = [*pairs([("url", hook["url"]), *_counts(hook).items()])]
    if failures:
        lines += ["", *table(("failed at", "event", "message", "reason"), failures)]
    console.tell(hook, lines)


@webhooks.command()
@click.argument("webhook_id", metavar="WEBHOOK")
@with_server
async def secret(api: Api, console: Console, webhook_id: str) -> None:
    """Make a new secret and print it; the one before signs beside it for a day."""
    hook = (await api.call("POST", path("webhooks", webhook_id, "secret")))["webhook"]
    console.tell(hook, [hook["secret"]])
    console.hint("The secret is shown this once.")


_COUNTS = ("waiting", "delivered", "failed", "dead")


def _counts(hook: dict[str, Any]) -> dict[str, object]:
    return {name: hook[name] for name in _COUNTS}
