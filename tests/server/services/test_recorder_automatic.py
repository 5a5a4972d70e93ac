"""Rooms that record by themselves."""

from dataclasses import replace

from server.domain.recording import (
    Automatic,
    RecordingState,
)
from server.services.recorder import EMPTY_S, RETRY_S
from tests.server.services.people import ADA
from tests.server.services.recording_studio import DEMO, SPACE, Studio


async def test_a_room_records_while_somebody_is_in_it(studio: Studio) -> None:
    """A minute without anybody ends it; who comes back within it is in the same recording."""
    studio.automatic(Automatic.WHEN_OCCUPIED)
    await studio.sweep()
    assert studio.recorder.current(DEMO) is None
    studio.enter()
    await studio.sweep()
    one = studio.recorder.current(DEMO)
    assert one is not None
    assert one.by == "room"
    studio.node.presence.leave(DEMO, ADA)
    await studio.sweep(EMPTY_S - 1)
    studio.enter()
    await studio.sweep()
    studio.node.presence.leave(DEMO, ADA)
    await studio.sweep(EMPTY_S)
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.STOPPING
    await studio.recorder.finished(DEMO, one.name)
    studio.enter()
    await studio.sweep()
    assert studio.recorder.count == 1


async def test_a_room_records_while_it_is_on_air(studio: Studio) -> None:
    """The room's own setting goes before the server's."""
    await studio.node.rooms.change(DEMO, lambda room: replace(room, record=Automatic.ON_AIR))
    await studio.sweep()
    one = studio.recorder.current(DEMO)
    assert one is not None
    await studio.node.rooms.change(DEMO, lambda room: replace(room, broadcast=False))
    await studio.sweep()
    assert studio.recorder.get(DEMO, one.name).ended_by == "room"


async def test_a_room_off_air_can_be_recorded(studio: Studio) -> None:
    """Its broadcast's spec says so, and the planes keep it."""
    await studio.node.rooms.change(DEMO, lambda room: replace(room, broadcast=False))
    await studio.start()
    assert await studio.spec() is not None
    assert not studio.node.broadcast.specs[DEMO].on_air


async def test_what_somebody_began_the_setting_does_not_end(studio: Studio) -> None:
    """They asked for it."""
    await studio.start(by=ADA)
    await studio.sweep(1000)
    assert studio.recorder.count == 1


async def test_what_somebody_stopped_does_not_begin_by_itself(studio: Studio) -> None:
    """Before everybody had left; a restart of the server does not forget that."""
    studio.automatic(Automatic.WHEN_OCCUPIED)
    studio.enter()
    await studio.sweep()
    one = await studio.recorder.stop(DEMO, None, ADA)
    await studio.recorder.finished(DEMO, one.name)
    await studio.sweep()
    assert studio.recorder.count == 0
    await studio.restart()
    studio.automatic(Automatic.WHEN_OCCUPIED)
    await studio.sweep()
    studio.enter()
    await studio.sweep()
    assert studio.recorder.count == 0
    studio.node.presence.leave(DEMO, ADA)
    await studio.sweep(EMPTY_S)
    studio.enter()
    await studio.sweep()
    assert studio.recorder.count == 1


async def test_after_a_restart_people_have_time_to_come_back(studio: Studio) -> None:
    """To the recording that they were in."""
    studio.automatic(Automatic.WHEN_OCCUPIED)
    studio.enter()
    await studio.sweep()
    await studio.restart()
    studio.automatic(Automatic.WHEN_OCCUPIED)
    await studio.sweep()
    await studio.sweep(EMPTY_S - 1)
    assert [one.is_running for one in studio.recorder.all()] == [True]
    await studio.sweep()
    assert [one.is_running for one in studio.recorder.all()] == [False]


async def test_a_room_that_cannot_record_tries_again_in_a_minute(studio: Studio) -> None:
    """Not every second; and after a failure likewise."""
    studio.automatic(Automatic.ON_AIR)
    studio.disk.free = 1
    await studio.sweep()
    studio.disk.free = SPACE
    await studio.sweep(RETRY_S - 1)
    assert studio.recorder.count == 0
    await studio.sweep()
    assert studio.recorder.count == 1
    await studio.recorder.failed(DEMO, studio.recorder.all()[0].name, "broken")
    await studio.sweep(RETRY_S - 1)
    assert studio.recorder.count == 0
    await studio.sweep()
    assert studio.recorder.count == 1
