"""What every StateStore promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.errors import Compacted, LeaseLost
from server.ports import Change, Conflict, Record, StateStore
from tests.server.state.conftest import HISTORY
from tests.support.clock import FakeClock


async def take(changes: AsyncIterator[Change], count: int) -> list[Change]:
    """Read so many changes."""
    return [await anext(changes) for _ in range(count)]


async def test_absent(store: StateStore) -> None:
    """What was never written is absent."""
    assert await store.get("/a") is None
    assert (await store.scan("")).records == ()


async def test_put_get(store: StateStore) -> None:
    """A record's version is the revision of the commit that wrote it."""
    revision = await store.commit(put={"/a": b"1", "/b": b"2"})
    assert await store.get("/a") == Record("/a", b"1", 1)
    assert revision == 1


@pytest.mark.parametrize("value", [b"", b"\0", bytes(range(256)), b"x" * 100_000])
async def test_values(store: StateStore, value: bytes) -> None:
    """Any bytes come back as they were."""
    await store.commit(put={"/a": value})
    record = await store.get("/a")
    assert record is not None
    assert record.value == value


async def test_versions_are_store_wide(store: StateStore) -> None:
    """Every commit that writes raises the one revision."""
    assert await store.commit(put={"/a": b"1"}) == 1
    assert await store.commit(put={"/b": b"1"}) == 2
    assert await store.commit(delete=["/a"]) == 3


async def test_nothing_to_do(store: StateStore) -> None:
    """A commit that changes nothing keeps the revision."""
    await store.commit(put={"/a": b"1"})
    assert await store.commit(delete=["/never"]) == 1
    assert await store.commit(require={"/a": 1}) == 1


async def test_scan_prefix(store: StateStore) -> None:
    """A scan has exactly the keys below the prefix, in order, and the revision."""
    await store.commit(put={"/r/b": b"", "/r/a": b"", "/q": b"", "/r": b"", "/s": b"", "/r/é": b""})
    snapshot = await store.scan("/r/")
    assert [record.key for record in snapshot.records] == ["/r/a", "/r/b", "/r/é"]
    assert snapshot.revision == 1


@pytest.mark.parametrize(("version", "actual"), [(0, 1), (2, 1)])
async def test_conflict(store: StateStore, version: int, actual: int) -> None:
    """A commit whose requirement fails says what is there, and writes nothing."""
    await store.commit(put={"/a": b"1"})
    answer = await store.commit(require={"/a": version}, put={"/b": b"2"}, delete=["/a"])
    assert answer == Conflict("/a", actual)
    assert await store.get("/b") is None


async def test_require_absent(store: StateStore) -> None:
    """Version 0 requires that the key is absent, also after it was deleted."""
    await store.commit(put={"/a": b"1"})
    await store.commit(delete=["/a"])
    assert await store.commit(require={"/a": 0}, put={"/a": b"2"}) == 3


async def test_only_one_wins(store: StateStore) -> None:
    """Of many that reserve the same key at once, one does."""
    answers = await asyncio.gather(
        *(store.commit(require={"/a": 0}, put={"/a": bytes([i])}) for i in range(8))
    )
    assert sum(isinstance(answer, int) for answer in answers) == 1


async def test_put_beats_delete(store: StateStore) -> None:
    """A key that is both put and deleted in one commit is put."""
    await store.commit(put={"/a": b"1"}, delete=["/a"])
    assert await store.get("/a") is not None


async def test_watch_sees_the_past(store: StateStore) -> None:
    """A watch begins with what came after its revision, in order."""
    await store.commit(put={"/r/a": b"1"})
    await store.commit(put={"/r/a": b"2", "/q": b""})
    await store.commit(delete=["/r/a"])
    changes = await take(store.watch("/r/", after=1), 2)
    assert changes == [Change("/r/a", b"2", 2), Change("/r/a", None, 3)]


async def test_watch_waits(store: StateStore) -> None:
    """A watch that has seen all gets what is written later."""
    watch = store.watch("/", after=0)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(take(watch, 1))
        await asyncio.sleep(0)
        group.create_task(store.commit(put={"/a": b"1"}))
    assert waiting.result() == [Change("/a", b"1", 1)]


async def test_scan_then_watch(store: StateStore) -> None:
    """Scan, then watch after its revision: nothing is missed, nothing comes twice."""
    await store.commit(put={"/a": b"1"})
    snapshot = await store.scan("/")
    await store.commit(put={"/b": b"2"})
    assert await take(store.watch("/", after=snapshot.revision), 1) == [Change("/b", b"2", 2)]


async def test_watch_large_commit(store: StateStore) -> None:
    """A commit larger than what is read at once arrives whole and in order."""
    keys = [f"/{number:04}" for number in range(1200)]
    await store.commit(put=dict.fromkeys(keys, b""))
    changes = await take(store.watch("/", after=0), 1200)
    assert [change.key for change in changes] == keys


async def test_compacted(store: StateStore) -> None:
    """A watch that begins before what is kept says so instead of leaving something out."""
    for number in range(HISTORY + 5):
        await store.commit(put={"/a": bytes([number])})
    with pytest.raises(Compacted):
        await take(store.watch("/", after=4), 1)
    assert len(await take(store.watch("/", after=5), HISTORY)) == HISTORY


async def test_lease_runs_out(store: StateStore, clock: FakeClock) -> None:
    """A key under a lease vanishes when the lease runs out, and a watch sees it."""
    lease = await store.lease(10)
    await store.commit(put={"/a": b"1", "/b": b"2"}, lease=lease)
    clock.advance(10)
    assert await store.get("/a") is None
    assert (await take(store.watch("/a", after=1), 1))[0].value is None


async def test_lease_renewed(store: StateStore, clock: FakeClock) -> None:
    """Renewal starts the lease's time anew."""
    lease = await store.lease(10)
    await store.commit(put={"/a": b"1"}, lease=lease)
    clock.advance(9)
    await lease.renew()
    clock.advance(9)
    assert await store.get("/a") is not None


async def test_lease_lost(store: StateStore, clock: FakeClock) -> None:
    """A lease that ran out can neither be renewed nor written under."""
    lease = await store.lease(10)
    clock.advance(10)
    with pytest.raises(LeaseLost):
        await lease.renew()
    with pytest.raises(LeaseLost):
        await store.commit(put={"/a": b"1"}, lease=lease)


async def test_lease_revoked(store: StateStore) -> None:
    """A revoked lease takes its keys with it at once; revoking it twice is nothing."""
    lease = await store.lease(10)
    await store.commit(put={"/a": b"1"}, lease=lease)
    await lease.revoke()
    await lease.revoke()
    assert await store.get("/a") is None


async def test_key_leaves_its_lease(store: StateStore, clock: FakeClock) -> None:
    """A key that is put again without the lease stays when the lease runs out."""
    lease = await store.lease(10)
    await store.commit(put={"/a": b"1"}, lease=lease)
    await store.commit(put={"/a": b"2"})
    clock.advance(10)
    assert await store.get("/a") == Record("/a", b"2", 2)


async def test_watch_ends_with_the_store(store: StateStore) -> None:
    """Closing the store ends its watches."""
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_drain(store.watch("/", after=0)))
        await store.get("/")  # lets the watch begin
        await store.close()
    assert watch.result() == []


async def _drain(changes: AsyncIterator[Change]) -> list[Change]:
    return [change async for change in changes]
