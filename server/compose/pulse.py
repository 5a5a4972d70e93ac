"""How late the event loop is, and what the store takes: the pulse of the control process."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

from server.ports import Change, Conflict, Lease, Record, Snapshot, StateStore

BEAT_S: Final = 0.25  # four looks a second cost nothing that could be measured
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Pulse:
    """Measures how much later than asked for the loop wakes somebody up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag_s = Histogram(
            "roomtone_event_loop_lag_seconds",
            "How much later than asked for the control process wakes somebody up",
            buckets=SECONDS,
            registry=registry,
        )

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self._lag_s.observe(max(0.0, loop.time() - due))


class TimedStore:
    """A StateStore that measures what reading and writing take, whether it succeeds or not."""

    def __init__(self, store: StateStore, registry: CollectorRegistry) -> None:
        self._store = store
        self._seconds = Histogram(
            "roomtone_store_seconds",
            "What the state store took",
            ["operation"],
            buckets=SECONDS,
            registry=registry,
        )

    async def get(self, key: str) -> Record | None:
        """See StateStore."""
        with self._timed("get"):
            return await self._store.get(key)

    async def scan(self, prefix: str) -> Snapshot:
        """See StateStore."""
        with self._timed("scan"):
            return await self._store.scan(prefix)

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[Change]:
        """See StateStore."""
        return self._store.watch(prefix, after=after)

    async def lease(self, ttl_s: float) -> Lease:
        """See StateStore."""
        with self._timed("lease"):
            return await self._store.lease(ttl_s)

    async def commit(
        self,
        *,
        require: Mapping[str, int] | None = None,
        put: Mapping[str, bytes] | None = None,
        delete: Collection[str] = (),
        lease: Lease | None = None,
    ) -> int | Conflict:
        """See StateStore."""
        with self._timed("commit"):
            return await self._store.commit(require=require, put=put, delete=delete, lease=lease)

    async def close(self) -> None:
        """See StateStore."""
        await self._store.close()

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.labels(operation).observe(time.perf_counter() - began)
