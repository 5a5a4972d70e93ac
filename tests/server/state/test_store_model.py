"""The embedded store against a dictionary: any sequence of commits gives the same result."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.ports import Change, Conflict
from server.state.sqlite import SqliteStore, open_store
from tests.support.clock import FakeClock

KEYS = st.sampled_from(["/a", "/a/b", "/b", "/a\U0010ffff", "/"])


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.stack = AsyncExitStack()
        self.model: dict[str, tuple[bytes, int]] = {}
        self.log: list[Change] = []
        self.revision = 0
        self.leases: dict[int, tuple[float, set[str]]] = {}
        self.store = self.runner.run(self.open())

    async def open(self) -> SqliteStore:
        path = Path(self.folder.name) / "state.db"
        return await self.stack.enter_async_context(open_store(path, clock=self.clock))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    def apply(self, put: dict[str, bytes], delete: set[str]) -> None:
        gone = {key for key in delete - put.keys() if key in self.model}
        if not put and not gone:
            return
        self.revision += 1
        for key in put.keys() | gone:
            for _, keys in self.leases.values():
                keys.discard(key)
            self.log.append(Change(key, put.get(key), self.revision))
        self.log.sort(key=lambda change: (change.version, change.key))
        self.model |= {key: (value, self.revision) for key, value in put.items()}
        for key in gone:
            del self.model[key]

    @rule(
        put=st.dictionaries(KEYS, st.binary(max_size=3), max_size=3),
        delete=st.sets(KEYS, max_size=2),
        require=st.dictionaries(KEYS, st.integers(0, 4), max_size=1),
        leased=st.booleans(),
    )
    def commit(
        self, put: dict[str, bytes], delete: set[str], require: dict[str, int], *, leased: bool
    ) -> None:
        lease = self.runner.run(self.store.lease(5)) if leased else None
        if lease is not None:
            self.leases[lease.id] = (self.clock.now + 5, set())
        answer = self.runner.run(
            self.store.commit(require=require, put=put, delete=delete, lease=lease)
        )
        for key, version in require.items():
            actual = self.model.get(key, (b"", 0))[1]
            if actual != version:
                assert answer == Conflict(key, actual)
                return
        self.apply(put, delete)
        if lease is not None:
            self.leases[lease.id][1].update(put)
        assert answer == self.revision

    @rule(seconds=st.sampled_from([1, 3, 6]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        for lease, (deadline, keys) in sorted(self.leases.items()):
            if deadline <= self.clock.now:
                self.apply({}, set(keys))
                del self.leases[lease]

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.stack.aclose())
        self.store = self.runner.run(self.open())
        again = self.clock.now + 5
        self.leases = {lease: (again, keys) for lease, (_, keys) in self.leases.items()}

    @invariant()
    def same(self) -> None:
        snapshot = self.runner.run(self.store.scan("/"))
        found = {record.key: (record.value, record.version) for record in snapshot.records}
        assert found == self.model
        assert snapshot.revision == self.revision

    @invariant()
    def history(self) -> None:
        assert self.runner.run(self.changes(len(self.log))) == self.log

    async def changes(self, count: int) -> list[Change]:
        watch = self.store.watch("/", after=0)
        return [await anext(watch) for _ in range(count)]


StoreMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestStore = StoreMachine.TestCase
