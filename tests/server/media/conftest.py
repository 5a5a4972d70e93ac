"""What tests of the media side share."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from server.supervise import Supervisor
from tests.server.media.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Two mixers that serve."""
    made = Stage()
    with capture_logs():
        async with Supervisor() as supervisor:
            await made.fleet.start(supervisor)
            yield made
            await made.fleet.close()
