"""Recordings that nobody closed, and what becomes of their files."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hls.recording import shelf
from hls.recording.core.manifest import Manifest, TakeEnd
from mixer.types import RoomId
from server.domain.recording import (
    RecordingState,
)
from server.services.recorder import FINISH_S
from tests.hls.recording.room import RecordedHall
from tests.server.services.recording_studio import DEMO, Studio


def manifest_of(folder: Path) -> Manifest:
    found = shelf.load(folder)
    assert found is not None
    return found


def begun(studio: Studio, name: str) -> Path:
    """Write four seconds of a recording as a process does that dies; return its folder."""
    folder = studio.disk.place(DEMO, name)
    hall = RecordedHall(folder)
    hall.run(200, "ann")
    hall.die()
    (take,) = manifest_of(folder).takes
    assert take.end is TakeEnd.OPEN
    return folder


async def test_what_was_cut_off_at_its_end_is_repaired(studio: Studio) -> None:
    """If all processes died while the last of it was written, as the next server looks first."""
    one = await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    folder = begun(studio, one.name)
    await studio.sweep()
    assert manifest_of(folder).takes[0].end is TakeEnd.OPEN, "somebody may write it still"
    await studio.restart()
    await studio.sweep()
    manifest = manifest_of(folder)
    assert manifest.takes[0].end is TakeEnd.INTERRUPTED
    assert 3.0 <= manifest.seconds <= 4.0
    over = studio.recorder.get(DEMO, one.name)
    assert over.state is RecordingState.DONE
    assert over.kept_s == manifest.seconds
    assert studio.kinds[-1] == "recording.ended"


async def test_what_died_at_its_end_is_repaired_while_the_server_runs(studio: Studio) -> None:
    """If nobody says that it is written, and nobody writes it any more."""
    one = await studio.start()
    folder = studio.disk.place(DEMO, one.name)
    hall = RecordedHall(folder)
    hall.run(200, "ann")
    await studio.recorder.stop(DEMO, None, "api")
    await studio.sweep()
    await studio.sweep(FINISH_S)
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.STOPPING
    assert manifest_of(folder).takes[0].end is TakeEnd.OPEN, "it is written, however slowly"
    hall.die()
    await studio.sweep(FINISH_S)
    assert manifest_of(folder).takes[0].end is TakeEnd.INTERRUPTED
    over = studio.recorder.get(DEMO, one.name)
    assert (over.state, over.kept_s) == (RecordingState.DONE, manifest_of(folder).seconds)


@pytest.mark.parametrize("is_written", [True, False])
async def test_who_waits_for_the_end_looks_at_the_disk(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, *, is_written: bool
) -> None:
    """What is being written is left to the next server; what is not is repaired."""
    monkeypatch.setattr("server.services.recorder.FINISH_S", 0.01)
    one = await studio.start()
    hall = RecordedHall(studio.disk.place(DEMO, one.name))
    hall.run(200, "ann")
    if not is_written:
        hall.die()
    await studio.recorder.stop(DEMO, None, "api")
    await studio.recorder.close()
    over = [RecordingState.DONE, RecordingState.STOPPING][is_written]
    assert studio.recorder.get(DEMO, one.name).state is over
    hall.die()
    await studio.restart()
    await studio.sweep()
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.DONE
    assert manifest_of(studio.disk.place(DEMO, one.name)).takes[0].end is TakeEnd.INTERRUPTED


async def test_what_was_over_before_it_was_whole_is_repaired(studio: Studio) -> None:
    """By the next server: it had failed for want of space, or nobody waited for its end."""
    one = await studio.start()
    folder = begun(studio, one.name)
    await studio.recorder.failed(DEMO, one.name, "The disk is full")
    other = await studio.start()
    running = RecordedHall(studio.disk.place(DEMO, other.name))
    (studio.disk.place(DEMO, "nobodys") / "deep").mkdir(parents=True)
    (studio.disk.place(DEMO, "nobodys") / shelf.RESERVE).touch()
    await studio.restart()
    await studio.sweep()
    assert manifest_of(folder).takes[0].end is TakeEnd.INTERRUPTED
    assert not (folder / shelf.RESERVE).exists()
    assert manifest_of(running.folder).takes[0].end is TakeEnd.OPEN


async def test_what_goes_on_is_not_repaired(studio: Studio) -> None:
    """The process that writes it does so, as it begins the next take."""
    one = await studio.start()
    folder = begun(studio, one.name)
    await studio.restart()
    await studio.sweep()
    assert manifest_of(folder).takes[0].end is TakeEnd.OPEN
    await studio.recorder.stop(DEMO, None, "api")
    await studio.sweep()
    assert manifest_of(folder).takes[0].end is TakeEnd.OPEN


async def test_a_repair_that_fails_keeps_nothing_open(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and the recording is over in a while as ever."""
    one = await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    await studio.restart()

    def fail(_room: RoomId, _name: str) -> None:
        raise OSError(5, "the disk is away")

    monkeypatch.setattr(studio.disk, "repair", fail)
    with capture_logs() as logs:
        await studio.sweep()
    assert [log["reason"] for log in logs if log["event"] == "recording_not_repaired"] == [
        "the disk is away"
    ]
    await studio.sweep(FINISH_S)
    assert studio.recorder.get(DEMO, one.name).is_over


async def test_a_recording_whose_room_is_gone_ends(studio: Studio) -> None:
    """As when the server was killed between the two."""
    one = await studio.start()
    room = [record.key for record in (await studio.node.store.scan("/rooms/demo/")).records]
    await studio.node.store.commit(delete=room)
    studio.node.services = studio.node.build()
    studio.renew()
    folder = begun(studio, one.name)
    await studio.node.services.load()
    await studio.sweep()
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.STOPPING
    await studio.sweep()
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.DONE
    assert manifest_of(folder).takes[0].end is TakeEnd.INTERRUPTED
