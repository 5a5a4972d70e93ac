"""A served node beside the command line; and what a test sets up of logging is undone."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from server.compose import cli
from server.compose.address import note_address
from server.compose.welcome import Serving
from server.edge.app import create_app
from tests.support.node import Node, open_node


@pytest.fixture(autouse=True)
def _undo_logging() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


class Here:
    """A served node, and the command line beside it."""

    def __init__(self, node: Node, url: str) -> None:
        self.node = node
        self.url = url

    async def run(self, *arguments: str) -> Result:
        """Run a command in a thread: it has a loop of its own, and so has the server."""
        words = [*arguments, "--state-dir", str(self.node.folder)]
        return await asyncio.to_thread(CliRunner().invoke, cli, words)

    async def told(self, *arguments: str) -> Any:
        result = await self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    # The command borrows this process's standard output, and the server would log into it.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(tmp_path, webhook_networks="127.0.0.0/8"))
        server = TestServer(create_app(node.services.context))
        await stack.enter_async_context(server)
        note_address(node.settings, Serving(server.port or 0, range(1), range(0), ()))
        yield Here(node, str(server.make_url("/")).rstrip("/"))
