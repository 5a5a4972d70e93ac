"""Every StateStore and Bus that the contract suites are run against."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.ports import Bus, StateStore
from server.state.bus import LocalBus
from server.state.sqlite import open_store
from tests.support.clock import FakeClock

HISTORY = 20


@pytest.fixture
def clock() -> FakeClock:
    """The clock that leases run on."""
    return FakeClock()


@pytest.fixture(params=["sqlite"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> AsyncIterator[StateStore]:
    """An empty store that keeps HISTORY revisions."""
    async with open_store(tmp_path / "state.db", clock=clock, history=HISTORY) as opened:
        yield opened


@pytest.fixture(params=["local"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """A bus whose readers may lag four messages behind."""
    opened = LocalBus(bound=4)
    yield opened
    await opened.close()
