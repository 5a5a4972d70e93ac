"""The folder of recordings on disks that answer, hang, and are away."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mixer.types import RoomId
from server.domain.recording import RecordingState, What, begin
from server.errors import StoreLost
from server.media.archive import Archive
from server.services import storage as module
from server.services.clock import Clock
from server.services.storage import SETTLED_S, Storage
from tests.support.clock import FakeClock

DEMO = RoomId("demo")


class Hung:
    """A call that does not answer before it is let go."""

    def __init__(self) -> None:
        self.answers = threading.Event()

    def __call__(self) -> int:
        self.answers.wait()
        return 7


@pytest.fixture
def unix() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def storage(tmp_path: Path, unix: FakeClock) -> Storage:
    return Storage(Archive(tmp_path / "recordings"), Clock(unix, unix, "boot"))


@pytest.fixture
def hung() -> Iterator[Hung]:
    made = Hung()
    yield made
    made.answers.set()


async def test_a_call_that_hangs_is_given_up(
    storage: Storage, hung: Hung, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread still answers; with both hung everybody is refused at once."""
    with monkeypatch.context() as quick:
        quick.setattr(module, "ANSWER_S", 0.01)
        with pytest.raises(StoreLost, match="does not answer"):
            await storage.ask(hung)
    assert await storage.ask(lambda: 5) == 5
    with monkeypatch.context() as quick:
        quick.setattr(module, "ANSWER_S", 0.01)
        with pytest.raises(StoreLost, match="does not answer"):
            await storage.ask(hung)
        with pytest.raises(StoreLost, match="does not answer"):
            await storage.free_bytes()
    hung.answers.set()
    assert await storage.ask(lambda: 6) == 6


async def test_a_call_waits_for_a_thread(storage: Storage, hung: Hung) -> None:
    """No more than two hold one at a time, and a third has its turn."""
    held = [asyncio.ensure_future(storage.ask(hung)) for _ in range(2)]
    third = asyncio.ensure_future(storage.ask(threading.active_count))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not third.done()
    hung.answers.set()
    assert [await one for one in held] == [7, 7]
    assert await third > 0


async def test_what_a_disk_says_is_said(storage: Storage) -> None:
    """In its own words."""

    def refuse() -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(StoreLost, match="cannot be read: Input/output error"):
        await storage.ask(refuse)
    storage.archive.place(DEMO, "one").parents[1].write_text("a file")
    with pytest.raises(StoreLost, match="cannot be made"):
        await storage.names(DEMO)


async def test_sizes_that_do_not_change_are_known(storage: Storage, unix: FakeClock) -> None:
    """A minute after the end the disk is looked at once more, and then no more."""
    clock = Clock(unix, unix, "boot")
    one = begin(DEMO, "one", clock.now(), What(), "api")
    one = replace(one, state=RecordingState.DONE, ended_at=clock.now())
    place = storage.archive.place(DEMO, "one")
    place.mkdir(parents=True)
    for seconds, size, known in ((0.0, 3, 3), (SETTLED_S, 5, 5), (1.0, 7, 5)):
        unix.advance(seconds)
        (place / "mix.ogg").write_bytes(b"x" * size)
        assert await storage.sizes([one]) == [known]
    await storage.remove(one)
    assert await storage.sizes([one]) == [0]


async def test_a_folder_that_was_away_has_its_size_again(
    storage: Storage, unix: FakeClock, tmp_path: Path
) -> None:
    """That there is nothing is not remembered: a mount may come back."""
    clock = Clock(unix, unix, "boot")
    one = begin(DEMO, "one", clock.now(), What(), "api")
    one = replace(one, state=RecordingState.DONE, ended_at=clock.now())
    unix.advance(2 * SETTLED_S)
    assert await storage.sizes([one]) == [0]
    place = storage.archive.place(DEMO, "one")
    place.mkdir(parents=True)
    (place / "mix.ogg").write_bytes(b"sound")
    assert await storage.sizes([one]) == [5]


async def test_many_are_looked_at_some_at_a_time(
    storage: Storage, unix: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, whatever is known of them already."""
    monkeypatch.setattr(module, "A_LOOK", 2)
    found = [begin(DEMO, f"n{n}", Clock(unix, unix, "boot").now(), What(), "api") for n in range(5)]
    for size, one in enumerate(found):
        place = storage.archive.place(DEMO, one.name)
        await asyncio.to_thread(partial(place.mkdir, parents=True))
        (place / "mix.ogg").write_bytes(b"x" * size)
    assert await storage.sizes(found) == [0, 1, 2, 3, 4]
