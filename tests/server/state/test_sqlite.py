"""The embedded store beyond its contract: its file, its owner, its durability."""

import asyncio
import os
import signal
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from server.errors import SetupMistake, StoreLost
from server.ports import Change, Record
from server.state.sqlite import open_store
from tests.support.clock import FakeClock

WRITER = """
import asyncio, pathlib, sys
from server.state.sqlite import open_store

async def main():
    async with open_store(pathlib.Path(sys.argv[1])) as store:
        number = 0
        while True:
            number += 1
            revision = await store.commit(put={f"/{number}": b"x", "/last": str(number).encode()})
            print(revision, flush=True)

asyncio.run(main())
"""


async def test_reopen(tmp_path: Path) -> None:
    """Records, revision and history are there again after a reopen."""
    path = tmp_path / "state.db"
    async with open_store(path) as store:
        await store.commit(put={"/a": b"1"})
    async with open_store(path) as store:
        assert await store.get("/a") == Record("/a", b"1", 1)
        assert await anext(store.watch("/", after=0)) == Change("/a", b"1", 1)
        assert await store.commit(delete=["/a"]) == 2


async def test_leases_survive_a_reopen(tmp_path: Path) -> None:
    """A lease has its whole time again after a reopen, then runs out."""
    path, clock = tmp_path / "state.db", FakeClock()
    async with open_store(path, clock=clock) as store:
        await store.commit(put={"/a": b"1"}, lease=await store.lease(10))
    clock.advance(100)
    async with open_store(path, clock=clock) as store:
        assert await store.get("/a") is not None
        clock.advance(10)
        assert await store.get("/a") is None


async def test_lease_runs_out_by_itself(tmp_path: Path) -> None:
    """A lease runs out, and watches see it, though nobody asks the store anything."""
    async with open_store(tmp_path / "state.db") as store:
        await store.commit(put={"/a": b"1"}, lease=await store.lease(0.01))
        change = await anext(store.watch("/", after=1))
    assert change == Change("/a", None, 2)


async def test_one_owner(tmp_path: Path) -> None:
    """A second opener is told who has the store, and the first goes on."""
    async with open_store(tmp_path / "state.db") as store:
        with pytest.raises(SetupMistake, match=rf"process {os.getpid()}.*{tmp_path}.*--state-dir"):
            async with open_store(tmp_path / "state.db"):
                pass
        assert await store.commit(put={"/a": b"1"}) == 1


async def test_private(tmp_path: Path) -> None:
    """Nobody else may read the files: they hold keys and PINs."""
    async with open_store(tmp_path / "state.db") as store:
        await store.commit(put={"/a": b"1"})
        files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
        modes = {stat.S_IMODE(os.lstat(file).st_mode) for file in files}
    assert modes == {0o600}


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 300])
async def test_damaged(tmp_path: Path, content: bytes) -> None:
    """A damaged file is refused with a sentence that says what to do, and is left as it is."""
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(SetupMistake, match=r"is damaged .* backup"):
        async with open_store(path):
            pass
    assert path.read_bytes() == content


async def test_newer_schema(tmp_path: Path) -> None:
    """A file of a newer version is refused."""
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SetupMistake, match="newer Roomtone"):
        async with open_store(path):
            pass


async def test_not_a_folder(tmp_path: Path) -> None:
    """A path that cannot be opened is named."""
    with pytest.raises(SetupMistake, match=r"nowhere/state.db"):
        async with open_store(tmp_path / "nowhere" / "state.db"):
            pass


async def test_failed_write(tmp_path: Path) -> None:
    """What SQLite refuses is a StoreLost, writes nothing, and the store goes on."""
    async with open_store(tmp_path / "state.db") as store:
        with pytest.raises(StoreLost):
            await store.commit(put={"/a": b"1", "/b": None})  # type: ignore[dict-item]
        assert await store.commit(put={"/c": b"3"}) == 1
        assert await store.get("/a") is None


async def test_closed(tmp_path: Path) -> None:
    """A closed store says so; closing it twice is nothing."""
    async with open_store(tmp_path / "state.db") as store:
        await store.close()
        with pytest.raises(StoreLost):
            await store.get("/a")


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 40])
async def test_kill(tmp_path: Path, acknowledged: int) -> None:
    """Nothing that was acknowledged is lost when the process is killed while it writes."""
    path = tmp_path / "state.db"
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    lines = [await writer.stdout.readline() for _ in range(acknowledged)]
    writer.send_signal(signal.SIGKILL)
    rest = (await writer.communicate())[0]
    last = int(rest.split()[-1]) if rest.split() else int(lines[-1])
    async with open_store(path) as store:
        snapshot = await store.scan("/")
        assert snapshot.revision in (last, last + 1)
        assert len(snapshot.records) == snapshot.revision + 1
