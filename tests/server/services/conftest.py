"""What tests of the services share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.services.rooms import Wanted
from tests.server.services.recording_studio import DEMO, Studio
from tests.support.node import open_node


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    """A room on air, and nothing recorded."""
    async with open_node(tmp_path) as node:
        await node.rooms.create(Wanted(DEMO, max_anchors=None, expires_in_s=None))
        yield Studio(node)
