"""Recordings on disks that are full, away, or do not answer."""

import asyncio
import threading

import pytest

from mixer.types import RoomId
from server.compose import housekeeping
from server.domain.recording import (
    Automatic,
    RecordingState,
    What,
)
from server.domain.room import RoomState
from server.errors import (
    DiskFull,
    RoomNotFound,
    StoreLost,
)
from server.services.rooms import Wanted
from server.supervise import Supervisor
from tests.server.services.recording_studio import DEMO, SPACE, Studio


async def test_a_disk_that_is_away_stops_nothing_else(studio: Studio) -> None:
    """The house is kept, and the recording goes on as long as it can."""
    one = await studio.start()
    studio.disk.fails = "Input/output error"
    await studio.recorder.keep_space()
    assert studio.recorder.get(DEMO, one.name).is_running


async def test_a_disk_that_hangs_keeps_no_server_from_ending(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would have said is asked for the next time."""
    monkeypatch.setattr("server.services.recorder.FINISH_S", 0.01)
    monkeypatch.setattr("server.services.recorder.LAST_LOOK_S", 0.01)
    one = await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    answers = threading.Event()
    monkeypatch.setattr(studio.disk, "repair", lambda _room, _name: answers.wait())
    await studio.recorder.close()
    answers.set()
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.STOPPING


async def test_without_space_nothing_begins(studio: Studio) -> None:
    """The refusal says how much there is, and the setting."""
    studio.disk.free = 999_000_000
    with pytest.raises(DiskFull, match=r"999 MB left.*1000 MB.*recordings_min_free_mb"):
        await studio.start()


async def test_it_ends_before_the_disk_is_full(studio: Studio) -> None:
    """Whether it runs or pauses; and it says why."""
    one = await studio.start()
    await studio.recorder.keep_space()
    assert studio.recorder.get(DEMO, one.name).is_running
    studio.disk.free = 1
    await studio.recorder.keep_space()
    failed = studio.recorder.get(DEMO, one.name)
    assert failed.state is RecordingState.FAILED
    assert "0 MB left on the disk" in failed.reason


async def test_while_the_last_is_written_space_does_not_matter(studio: Studio) -> None:
    """It is about to end anyway."""
    one = await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    studio.disk.free = 1
    await studio.recorder.keep_space()
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.STOPPING


async def test_a_disk_that_is_away_is_said(studio: Studio) -> None:
    """With its own words."""
    studio.disk.fails = "Input/output error"
    with pytest.raises(StoreLost, match="Input/output error"):
        await studio.start()
    studio.disk.fails = ""
    (studio.node.folder / "recordings").write_text("a file")
    with pytest.raises(StoreLost, match="cannot be made"):
        await studio.start()


async def test_a_disk_that_hangs_keeps_nobody(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a recording's folder does not answer, people and rooms are looked after as ever."""
    is_asked, answers = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang() -> int:
        loop.call_soon_threadsafe(is_asked.set)
        answers.wait()
        return SPACE

    monkeypatch.setattr(studio.disk, "free_bytes", hang)
    monkeypatch.setattr(housekeeping, "SWEEP_S", 0.001)
    studio.automatic(Automatic.ON_AIR)
    lobby = RoomId("short")
    await studio.node.rooms.create(Wanted(lobby, expires_in_s=60))
    async with Supervisor() as supervisor:
        studio.node.services.keep(supervisor)
        await is_asked.wait()
        studio.node.advance(61)
        try:
            async with asyncio.timeout(10):
                while studio.node.rooms.state(lobby) is not RoomState.GONE:  # noqa: ASYNC110 - nobody says
                    await asyncio.sleep(0)
        finally:
            answers.set()


class HungStart:
    """A start in a second room whose disk does not answer before it is let go."""

    def __init__(self, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = RoomId("second")
        self._studio = studio
        self._is_asked, self._answers = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def hang() -> int:
            loop.call_soon_threadsafe(self._is_asked.set)
            self._answers.wait()
            return SPACE

        monkeypatch.setattr(studio.disk, "free_bytes", hang)

    async def begin(self) -> None:
        await self._studio.node.rooms.create(Wanted(self.room))
        self._start = asyncio.ensure_future(self._studio.recorder.start(self.room, What(), "api"))
        await self._is_asked.wait()

    async def end(self) -> None:
        self._answers.set()
        await self._start


async def test_a_start_on_a_disk_that_hangs_keeps_no_other_recording(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are paused, stopped, end with their room and with the server."""
    one = await studio.start()
    hung = HungStart(studio, monkeypatch)
    await hung.begin()
    async with asyncio.timeout(2):
        await studio.recorder.pause(DEMO)
        ending = asyncio.ensure_future(studio.recorder.finish_room(DEMO))
        while studio.recorder.get(DEMO, one.name).is_running:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0)
        await studio.recorder.finished(DEMO, one.name)
        await ending
        await studio.recorder.close()
    with pytest.raises(RoomNotFound):  # what is closed begins nothing, however late
        await hung.end()
    assert studio.recorder.count == 0


async def test_what_happened_while_the_disk_was_asked_counts(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room that went meanwhile is not recorded."""
    hung = HungStart(studio, monkeypatch)
    await hung.begin()
    await studio.node.rooms.remove(hung.room)
    with pytest.raises(RoomNotFound):
        await hung.end()
    assert studio.recorder.all() == []
