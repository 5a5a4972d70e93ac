"""What the tests of the transport share."""

import logging
from collections.abc import AsyncIterator

import pytest

from tests.support.callers import Rig


@pytest.fixture
async def rig(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Rig]:
    """A port with a listener and a told clock; no task may fail and nothing may be logged."""
    made = Rig()
    yield made
    failures = await made.close()
    assert failures == []
    loud = [r for r in caplog.get_records("call") if r.levelno >= logging.WARNING]
    assert loud == []
