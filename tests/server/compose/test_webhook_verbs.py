"""`roomtone webhooks`, against a real edge and a real receiver."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.client.errors import Exit
from tests.server.compose.conftest import Here


class Receiver:
    """A program that is told things, and answers `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.told: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.told.append((await request.json())["type"])
        return web.Response(status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/", made.take)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/"))
        yield made


async def test_add(here: Here, receiver: Receiver) -> None:
    """The secret is printed alone on standard output; the list shows address, events, numbers."""
    done = await here.run("webhooks", "add", receiver.url, "--event", "room.created")
    (hook,) = await here.told("webhooks", "list")
    assert done.stdout.startswith("whsec_")
    assert (done.stdout.count("\n"), hook["webhookId"] in done.stderr) == (1, True)
    assert (hook["url"], hook["events"]) == (receiver.url, ["room.created"])
    row = (await here.run("webhooks", "list")).stdout.splitlines()[1].split()
    assert row == [hook["webhookId"], receiver.url, "room.created", "0", "0", "0", "0"]


async def test_try(here: Here, receiver: Receiver) -> None:
    """`test` calls once, and ends with 1 and the reason if that is not taken."""
    hook = await here.told("webhooks", "add", receiver.url)
    ping = await here.told("webhooks", "test", hook["webhookId"])
    assert (receiver.told, ping["delivered"], ping["status"]) == (["ping"], True, 204)
    receiver.status = 500
    done = await here.run("webhooks", "test", hook["webhookId"])
    assert (done.exit_code, done.stdout) == (Exit.FAILED, "")
    assert "500" in done.stderr


async def test_deliveries(here: Here, receiver: Receiver) -> None:
    """How a program takes its calls: in numbers, and what failed last."""
    hook = await here.told("webhooks", "add", receiver.url)
    receiver.status = 503
    await here.run("webhooks", "test", hook["webhookId"])
    shown = (await here.run("webhooks", "deliveries", hook["webhookId"])).stdout
    told = await here.told("webhooks", "deliveries", hook["webhookId"])
    assert [line.split()[0] for line in shown.splitlines()[:5]] == [
        "url", "waiting", "delivered", "failed", "dead"
    ]  # fmt: skip
    assert told["url"] == receiver.url
    assert len(told["failures"]) == shown.count("ping")


async def test_secret(here: Here, receiver: Receiver) -> None:
    """A new secret is another one."""
    hook = await here.told("webhooks", "add", receiver.url)
    new = (await here.run("webhooks", "secret", hook["webhookId"])).stdout.strip()
    assert new.startswith("whsec_")
    assert new != hook["secret"]


async def test_remove(here: Here, receiver: Receiver) -> None:
    """Any number at once; then there is none, and the list says how to make one."""
    names = [(await here.told("webhooks", "add", receiver.url))["webhookId"] for _ in range(2)]
    assert await here.told("webhooks", "remove", *names) == {"removed": names}
    assert "`roomtone webhooks add`" in (await here.run("webhooks", "list")).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ("add", Exit.MISTAKE, "URL"),
        ("add nonsense", Exit.MISTAKE, "such as https://"),
        ("add http://10.0.0.1/", Exit.NOT_ALLOWED, "webhook_networks"),
        ("add https://a.example/ --event room.opened", Exit.MISTAKE, "room.opened"),
        ("remove", Exit.MISTAKE, "WEBHOOK"),
        ("remove nope", Exit.NOT_FOUND, "webhook"),
        ("test nope", Exit.NOT_FOUND, "webhook"),
        ("deliveries nope", Exit.NOT_FOUND, "webhook"),
        ("secret nope", Exit.NOT_FOUND, "webhook"),
        ("list --key wrong", Exit.NOT_ALLOWED, "needs the admin"),
    ],
)
async def test_mistakes(here: Here, arguments: str, status: Exit, sentence: str) -> None:
    """A mistake ends with its status and a sentence."""
    done = await here.run("webhooks", *arguments.split())
    assert (done.exit_code, done.stdout) == (status, "")
    assert sentence in done.stderr
