"""The embedded StateStore: one SQLite file, one thread, one owner process."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from server.errors import StoreLost
from server.ports import Change, Conflict, Lease, Record, Snapshot
from server.state.database import HISTORY, Database, open_database
from server.state.lock import LockFile

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SqliteLease:
    """A lease of the embedded store."""

    id: int
    ttl_s: float
    _store: "SqliteStore"

    async def renew(self) -> None:
        """Start the time anew. Raises LeaseLost when it already ran out."""
        await self._store.run(lambda database: database.renew(self.id))

    async def revoke(self) -> None:
        """Drop the lease and its keys now."""
        await self._store.run(lambda database: database.revoke(self.id))


class SqliteStore:
    """StateStore over a Database in its own thread. Made by `open_store`."""

    def __init__(self, database: Database, thread: ThreadPoolExecutor, path: Path) -> None:
        self.path = path
        self._database = database
        self._thread = thread
        self._revision = database.revision
        self._watchers: set[asyncio.Event] = set()
        self._closed = False
        self._expiry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def get(self, key: str) -> Record | None:
        """Return the record at `key`, None if there is none."""
        return await self.run(lambda database: database.get(key))

    async def scan(self, prefix: str) -> Snapshot:
        """Return every record whose key begins with `prefix`, as of one revision."""
        return await self.run(lambda database: database.scan(prefix))

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[Change]:
        """Yield every change with version > `after`, in order. Raises Compacted if it cannot."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        first = (after + 1, "")
        try:
            while not self._closed:
                changed.clear()
                page = await self.run(partial(Database.changes, first=first))
                for change in page:
                    first = (change.version, change.key + "\0")  # the next key in byte order
                    if change.key.startswith(prefix):
                        yield change
                if not page:
                    await changed.wait()
        finally:
            self._watchers.discard(changed)

    async def lease(self, ttl_s: float) -> Lease:
        """Begin a lease that runs out `ttl_s` after its last renewal."""
        return SqliteLease(await self.run(lambda database: database.grant(ttl_s)), ttl_s, self)

    async def commit(
        self,
        *,
        require: Mapping[str, int] | None = None,
        put: Mapping[str, bytes] | None = None,
        delete: Collection[str] = (),
        lease: Lease | None = None,
    ) -> int | Conflict:
        """Write all or nothing, durably; see StateStore."""
        number = None if lease is None else lease.id
        return await self.run(
            lambda database: database.commit(require or {}, put or {}, delete, number)
        )

    async def close(self) -> None:
        """Close the file and end the thread; watches end."""
        if self._closed:
            return
        self._closed = True
        if self._expiry is not None:
            self._expiry.cancel()
        for changed in self._watchers:
            changed.set()
        await self._loop.run_in_executor(self._thread, self._database.close)
        self._thread.shutdown()

    async def run(self, job: Callable[[Database], _T]) -> _T:
        """Run `job` in the store's thread. Raises StoreLost where SQLite does."""
        if self._closed:
            raise StoreLost("The state store is closed")
        try:
            return await asyncio.wrap_future(self._submit(job))
        except sqlite3.Error as error:
            raise StoreLost(f"The state store at {self.path} failed: {error}") from error

    def _submit(self, job: Callable[[Database], _T]) -> Future[_T]:
        def work() -> _T:
            self._database.expire()
            try:
                return job(self._database)
            finally:
                news = (self._database.revision, self._database.next_expiry())
                self._loop.call_soon_threadsafe(self._settle, *news)

        return self._thread.submit(work)

    def _settle(self, revision: int, next_expiry: float | None) -> None:
        """Wake the watches after a write, and come back when the next lease runs out."""
        if self._closed:
            return
        if revision != self._revision:
            self._revision = revision
            for changed in self._watchers:
                changed.set()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if next_expiry is not None:
            # Clocks differ only in tests, which drive expiry by their next call.
            wait_s = max(0.0, next_expiry - time.monotonic())
            self._expiry = self._loop.call_later(wait_s, self._submit, lambda _: None)


@asynccontextmanager
async def open_store(
    path: Path, *, clock: Callable[[], float] = time.monotonic, history: int = HISTORY
) -> AsyncIterator[SqliteStore]:
    """Own the store at `path` (made if absent) for the length of the context.

    Raises SetupMistake if another process owns it, or the file cannot be read.
    """
    lock = LockFile.acquire(path.with_name(path.name + ".lock"))
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
    try:
        loop = asyncio.get_running_loop()
        database = await loop.run_in_executor(thread, open_database, path, clock, history)
        store = SqliteStore(database, thread, path)
        try:
            yield store
        finally:
            await store.close()
    finally:
        thread.shutdown()
        lock.release()
