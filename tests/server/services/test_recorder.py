"""Recordings against planes that record nothing: what is stored, told, and when they end."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from hls.types import MixFormat, RecordedPerson, RecordingReport, RecordingSpec
from hls.types import RecordingState as Reported
from mixer.types import PeerId, RecordTaps, RoomId, RtpCodec, RtpParticipantSpec
from server.domain.grants import Role
from server.domain.lines import Line, Lines
from server.domain.recording import (
    RecordingState,
    What,
    key_of,
)
from server.domain.webhook import Kind
from server.errors import (
    AlreadyRecording,
    NotFound,
    RecordingOver,
    RoomNotFound,
    StoreLost,
    TooMany,
)
from server.services.presence import Arrival
from server.services.recorder import FINISH_S
from server.services.rooms import Wanted
from tests.server.services.people import ADA, BOB
from tests.server.services.recording_studio import DEMO, Studio, notices
from tests.support.node import FakeClient


async def test_a_recording_is_stored_then_told_to_the_planes(studio: Studio) -> None:
    """The mixer hands on what it needs, the broadcast process is told where."""
    one = await studio.start(mix=MixFormat.FLAC, exact=True)
    assert await studio.node.store.get(key_of(DEMO, one.name)) is not None
    folder = studio.node.folder / "recordings" / "demo" / "2023-11-14_22-13-20"
    spec = await studio.spec()
    assert spec == RecordingSpec(folder.name, str(folder), mix=MixFormat.FLAC, exact=True)
    assert await studio.taps() == RecordTaps(False, True, True, True)
    assert (studio.kinds, studio.told[0][1]["by"]) == (["recording.started"], "api")


async def test_a_full_life(studio: Studio) -> None:
    """Paused, resumed, stopped; done once the broadcast process says so; pauses do not count."""
    client = studio.enter()
    one = await studio.start()
    studio.node.advance(10)
    await studio.recorder.pause(DEMO, one.name)
    spec = await studio.spec()
    assert spec is not None
    assert spec.is_paused
    studio.node.advance(100)
    await studio.recorder.resume(DEMO)
    studio.node.advance(5)
    stopping = await studio.recorder.stop(DEMO, None, "api")
    assert (stopping.state, await studio.spec(), await studio.taps()) == (
        RecordingState.STOPPING,
        None,
        None,
    )
    await studio.say(one.name, Reported.FINISHED, seconds=14.9)
    done = studio.recorder.get(DEMO, one.name)
    assert (done.state, done.kept_s) == (RecordingState.DONE, 14.9)
    assert notices(client) == ["recording", "paused", "recording", "stopping", "done"]
    assert studio.kinds == [
        *("recording.started", "recording.paused", "recording.resumed", "recording.ended")
    ]
    assert studio.recorder.count == 0


async def test_the_same_twice_is_once(studio: Studio) -> None:
    """Whoever pauses what is paused changes nothing and tells nobody."""
    one = await studio.start()
    assert await studio.recorder.resume(DEMO) is one
    paused = await studio.recorder.pause(DEMO)
    assert await studio.recorder.pause(DEMO, one.name) is paused
    assert studio.kinds == ["recording.started", "recording.paused"]


async def test_one_at_a_time(studio: Studio) -> None:
    """Also while the last of it is being written."""
    await studio.start()
    with pytest.raises(AlreadyRecording):
        await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    with pytest.raises(AlreadyRecording):
        await studio.start()


async def test_a_server_records_so_many_at_a_time(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a thread of the broadcast process."""
    monkeypatch.setattr("server.services.recorder.MAX_RECORDINGS", 1)
    await studio.node.rooms.create(Wanted(RoomId("other")))
    await studio.start()
    with pytest.raises(TooMany, match="at most 1"):
        await studio.recorder.start(RoomId("other"), What(), "api")


async def test_a_room_that_could_not_be_removed_is_recorded_again(studio: Studio) -> None:
    """Once it is clear that it stays."""
    await studio.recorder.finish_room(DEMO)
    with pytest.raises(RoomNotFound):
        await studio.start()
    studio.node.advance(2 * FINISH_S)
    assert (await studio.start()).is_running


async def test_what_is_not_there(studio: Studio) -> None:
    """No room, no recording, none any more."""
    with pytest.raises(RoomNotFound):
        await studio.recorder.start(RoomId("nowhere"), What(), "api")
    with pytest.raises(RoomNotFound):
        await studio.recorder.pause(RoomId("nowhere"))
    with pytest.raises(NotFound):
        await studio.recorder.pause(DEMO)
    with pytest.raises(NotFound):
        await studio.recorder.stop(DEMO, "other", "api")
    one = await studio.done()
    for act in (studio.recorder.pause, studio.recorder.resume):
        with pytest.raises(RecordingOver):
            await act(DEMO, one.name)


async def test_those_in_the_room_are_in_the_recording(studio: Studio) -> None:
    """By browser and plain RTP, muted or not, as they come and go."""
    studio.enter()
    await studio.start()
    spec = await studio.spec()
    assert spec is not None
    assert spec.people == (RecordedPerson(ADA, "Ada"),)
    studio.enter(BOB, "Bob")
    studio.node.presence.mute(DEMO, BOB, muted=True)
    phone = RtpParticipantSpec(peer=PeerId("phone"), codec=RtpCodec.OPUS, payload_type=96)
    studio.node.presence.set_lines(DEMO, Lines().with_person(Line(phone, "Phone")))
    spec = await studio.spec()
    assert spec is not None
    assert spec.people[1:] == (
        RecordedPerson(BOB, "Bob", is_muted=True),
        RecordedPerson("phone", "Phone"),
    )
    studio.node.presence.leave(DEMO, ADA)
    version = studio.node.broadcast.specs[DEMO].version
    spec = await studio.spec()
    assert spec is not None
    assert [person.name for person in spec.people] == ["Bob", "Phone"]
    studio.node.presence.see(DEMO, BOB, None)
    await studio.node.settle()
    assert studio.node.broadcast.specs[DEMO].version == version + 1  # for Ada, not for a keepalive


async def test_who_comes_later_is_told(studio: Studio) -> None:
    """In the answer to their join."""
    assert studio.recorder.notice(DEMO) is None
    one = await studio.start()
    studio.node.advance(3)
    doorman = studio.node.services.context.signalling.doorman
    entry = studio.node.presence.enter(
        studio.node.rooms.get(DEMO), Arrival(ADA, Role.GUEST), FakeClient()
    )
    joined = doorman.joined(studio.node.rooms.get(DEMO), ADA, entry).shape()
    assert joined["recording"] == {
        "roomId": DEMO,
        "name": one.name,
        "state": "recording",
        "seconds": 3.0,
    }


async def test_it_goes_on_after_a_restart(studio: Studio) -> None:
    """With its name and place, paused if it was."""
    one = await studio.start()
    await studio.recorder.pause(DEMO)
    before = await studio.spec()
    await studio.restart()
    assert await studio.spec() == before
    assert await studio.taps() == RecordTaps()
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.PAUSED
    assert (await studio.recorder.resume(DEMO)).is_running


async def test_a_record_that_cannot_be_read_is_left_alone(studio: Studio) -> None:
    """The others are read."""
    one = await studio.done()
    await studio.node.store.commit(put={"/recordings/demo/odd": b"{"})
    with capture_logs() as logs:
        await studio.restart()
    assert [known.name for known in studio.recorder.all()] == [one.name]
    assert "recording_unreadable" in {entry["event"] for entry in logs}


async def test_a_failure_ends_it_with_its_reason(studio: Studio) -> None:
    """Everybody is told, and it can be begun again by hand at once."""
    client = studio.enter()
    one = await studio.start()
    await studio.say(one.name, Reported.FAILED, sentence="The disk is broken")
    assert studio.recorder.get(DEMO, one.name).reason == "The disk is broken"
    assert json.loads(client.texts[-1])["params"]["reason"] == "The disk is broken"
    assert notices(client)[-1] == "failed"
    assert studio.told[-1][0] is Kind.RECORDING_FAILED
    assert studio.told[-1][1]["reason"] == "The disk is broken"
    assert await studio.spec() is None
    await studio.start()


async def test_reports_of_others_change_nothing(studio: Studio) -> None:
    """Of another recording, of one that runs, or of one that is over."""
    one = await studio.start()
    await studio.say("other", Reported.FAILED)
    await studio.say(one.name, Reported.RECORDING, seconds=2.5, size_bytes=1000)
    await studio.say(one.name, Reported.FINISHED)  # nobody asked for its end
    assert studio.recorder.get(DEMO, one.name).is_running
    await studio.recorder.stop(DEMO, None, "api")
    await studio.say(one.name, Reported.FINISHED)
    await studio.say(one.name, Reported.FAILED)
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.DONE


async def test_a_report_that_the_store_could_not_keep_is_looked_at_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is started anew, and it is still there."""
    one = await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    studio.node.broadcast.reported(RecordingReport(DEMO, one.name, Reported.FINISHED))
    with monkeypatch.context() as patched:
        patched.setattr(studio.node.store, "commit", _refuse)
        with pytest.raises(StoreLost):
            await studio.recorder.run()
    await studio.say("other", Reported.RECORDING)
    assert studio.recorder.get(DEMO, one.name).is_over


async def _refuse(**_wanted: object) -> int:
    raise StoreLost("away")


async def test_nothing_begins_that_is_not_stored(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hears of it."""
    with monkeypatch.context() as patched:
        patched.setattr(studio.node.store, "commit", _refuse)
        with pytest.raises(StoreLost):
            await studio.start()
    assert (await studio.spec(), studio.kinds, studio.recorder.all()) == (None, [], [])


async def test_a_removed_room_waits_for_its_recording(studio: Studio) -> None:
    """The room is there until it is written; the recording outlives it."""
    one = await studio.start()
    removal = asyncio.ensure_future(studio.node.rooms.remove(DEMO))
    while studio.recorder.get(DEMO, one.name).is_running:  # noqa: ASYNC110 - nobody says when
        await asyncio.sleep(0)
    assert studio.node.rooms.get(DEMO).id == DEMO
    with pytest.raises(RoomNotFound):  # nothing else begins in it
        await studio.start()
    await studio.recorder.finished(DEMO, one.name)
    await removal
    assert studio.recorder.get(DEMO, one.name).ended_by == "removal"
    await studio.restart()
    assert [known.name for known in studio.recorder.all()] == [one.name]
    await studio.node.rooms.create(Wanted(DEMO))
    await studio.start()


async def test_nobody_waits_for_ever(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wrote it may be dead: what is on the disk is the recording."""
    monkeypatch.setattr("server.services.recorder.FINISH_S", 0.01)
    one = await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    await studio.recorder.close()
    assert studio.recorder.get(DEMO, one.name).state is RecordingState.DONE
    with pytest.raises(RoomNotFound):
        await studio.start()


async def test_a_stop_that_nobody_confirms_is_over_in_a_while(studio: Studio) -> None:
    """Counted from the first look at it, also after a restart."""
    one = await studio.start()
    await studio.recorder.stop(DEMO, None, "api")
    await studio.restart()
    await studio.sweep()
    await studio.sweep(FINISH_S - 0.1)
    assert not studio.recorder.get(DEMO, one.name).is_over
    await studio.sweep(0.1)
    assert studio.recorder.get(DEMO, one.name).is_over


async def test_one_of_a_room_goes_on(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that a lost answer of the store left running the later goes on, the other is over."""
    commit = studio.node.store.commit

    async def answer_is_lost(**what: Any) -> None:
        await commit(**what)
        raise StoreLost

    with monkeypatch.context() as lossy:
        lossy.setattr(studio.node.store, "commit", answer_is_lost)
        with pytest.raises(StoreLost):
            await studio.start()
    studio.node.advance(5)
    later = await studio.start()
    await studio.restart()
    lost, known = studio.recorder.all(DEMO)
    assert (lost.state, known.name) == (RecordingState.FAILED, later.name)
    assert lost.reason
    assert studio.recorder.current(DEMO) == known
    await studio.recorder.remove(DEMO, lost.name)
    await studio.restart()
    assert studio.recorder.all(DEMO) == [known]


async def test_who_ends_all_waits_no_longer_than_for_the_end(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that does not answer the stop counts as an end that nobody confirms."""
    monkeypatch.setattr("server.services.recorder.FINISH_S", 0.01)
    await studio.start()
    never = asyncio.Event()

    async def hang(**_wanted: object) -> int:
        await never.wait()
        return 0

    monkeypatch.setattr(studio.node.store, "commit", hang)
    async with asyncio.timeout(2):
        await studio.recorder.close()
