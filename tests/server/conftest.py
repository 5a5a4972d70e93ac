"""A server without sockets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.node import Node, open_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with open_node(tmp_path) as opened:
        yield opened
