"""Recordings against planes that record nothing: what is stored, told, and when they end."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hls.recording import shelf
from hls.recording.core.manifest import Manifest, TakeEnd
from hls.types import MixFormat, RecordedPerson, RecordingReport, RecordingSpec
from hls.types import RecordingState as Reported
from mixer.types import PeerId, RecordTaps, RoomId, RtpCodec, RtpParticipantSpec
from server.compose import build, housekeeping
from server.domain.grants import Role
from server.domain.lines import Line, Lines
from server.domain.recording import (
    Automatic,
    Recording,
    RecordingState,
    Retention,
    What,
    key_of,
)
from server.domain.room import RoomState
from server.domain.webhook import Kind
from server.errors import (
    AlreadyRecording,
    DiskFull,
    NotFound,
    RecordingBusy,
    RecordingOver,
    RoomNotFound,
    StoreLost,
    TooMany,
)
from server.media.archive import Archive
from server.services.presence import Arrival
from server.services.recorder import EMPTY_S, FINISH_S, RETRY_S, Recorder
from server.services.rooms import Wanted
from server.supervise import Supervisor
from tests.hls.recording.room import RecordedHall
from tests.server.services.people import ADA, BOB
from tests.support.node import FakeClient, Node, open_node

DEMO = RoomId("demo")
SPACE = 5_000_000_000


class Disk(Archive):
    """An archive on a disk whose free space a test says."""

    free = SPACE
    fails = ""

    def free_bytes(self) -> int:
        if self.fails:
            raise OSError(5, self.fails)
        return self.free


class Studio:
    """A node with a room, its recorder, and what webhooks were told."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.disk = Disk(node.folder / "recordings")
        self.told: list[tuple[Kind, dict[str, Any]]] = []
        self.renew()

    def renew(self) -> None:
        self.recorder.storage.archive = self.disk
        self.recorder.happened = lambda kind, _room, data: self.told.append((kind, dict(data)))

    @property
    def recorder(self) -> Recorder:
        return self.node.services.context.recorder

    @property
    def kinds(self) -> list[str]:
        return [kind.value for kind, _ in self.told]

    async def restart(self) -> None:
        """Lose everything but the store."""
        self.node.services = self.node.build()
        self.renew()
        await self.node.services.load()
        await self.node.settle()

    async def spec(self, room: RoomId = DEMO) -> RecordingSpec | None:
        await self.node.settle()
        return self.node.broadcast.specs[room].recording

    async def taps(self, room: RoomId = DEMO) -> RecordTaps | None:
        await self.node.settle()
        return self.node.mixer.specs[room].record

    async def say(self, name: str, state: Reported, **more: Any) -> None:
        """Report as the broadcast process does, and let it be looked at."""
        self.node.broadcast.reported(RecordingReport(DEMO, name, state, **more))
        async with Supervisor() as supervisor:
            _ = supervisor.spawn(self.recorder.run(), name="reports")
            while self.recorder._reports:  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0)

    async def start(self, by: str = "api", **what: Any) -> Recording:
        return await self.recorder.start(DEMO, What(**what), by)

    async def done(self, **what: Any) -> Recording:
        """A recording that is over, one second long."""
        one = await self.start(**what)
        self.node.advance(1)
        await self.recorder.stop(DEMO, one.name, "api")
        await self.recorder.finished(DEMO, one.name)
        return self.recorder.get(DEMO, one.name)

    def enter(self, user: Any = ADA, name: str = "Ada") -> FakeClient:
        client = FakeClient()
        arrival = Arrival(user, Role.HOST, name)
        self.node.presence.enter(self.node.rooms.get(DEMO), arrival, client)
        return client

    def automatic(self, wish: Automatic) -> None:
        self.recorder.policy = replace(self.recorder.policy, automatic=wish)

    async def sweep(self, seconds: float = 1.0) -> None:
        self.node.advance(seconds)
        await self.recorder.sweep()


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    async with open_node(tmp_path) as node:
        await node.rooms.create(Wanted(DEMO, max_anchors=None, expires_in_s=None))
        yield Studio(node)


def notices(client: FakeClient) -> list[str]:
    found = [json.loads(text) for text in client.texts]
    return [one["params"]["state"] for one in found if one["method"] == "recording"]


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


async def test_a_disk_that_is_away_stops_nothing_else(studio: Studio) -> None:
    """The house is kept, and the recording goes on as long as it can."""
    one = await studio.start()
    studio.disk.fails = "Input/output error"
    await studio.recorder.keep_space()
    assert studio.recorder.get(DEMO, one.name).is_running


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


async def test_what_is_kept_no_longer_is_removed(studio: Studio) -> None:
    """Files and record; what somebody needs stays."""
    old = await studio.done()
    place = studio.disk.place(DEMO, old.name)
    place.mkdir(parents=True)
    (place / "mix.ogg").write_bytes(b"sound")
    studio.recorder.policy = replace(studio.recorder.policy, retention=Retention(age_s=60))
    await studio.recorder.keep_space()
    assert place.exists()
    studio.node.advance(61)
    studio.recorder.is_needed = lambda _one: True
    await studio.recorder.keep_space()
    assert place.exists()
    studio.recorder.is_needed = lambda _one: False
    await studio.recorder.keep_space()
    assert (place.exists(), studio.recorder.all()) == (False, [])
    assert await studio.node.store.get(key_of(DEMO, old.name)) is None


async def test_what_is_not_over_or_needed_cannot_be_removed(studio: Studio) -> None:
    """The refusal says which."""
    one = await studio.start()
    with pytest.raises(RecordingBusy, match="stop it first"):
        await studio.recorder.remove(DEMO, one.name)
    await studio.recorder.stop(DEMO, None, "api")
    await studio.recorder.finished(DEMO, one.name)
    studio.recorder.is_needed = lambda _one: True
    with pytest.raises(RecordingBusy, match="uploaded"):
        await studio.recorder.remove(DEMO, one.name)
    studio.recorder.is_needed = lambda _one: False
    await studio.recorder.remove(DEMO, one.name)
    with pytest.raises(NotFound):
        await studio.recorder.remove(DEMO, one.name)


async def test_one_that_cannot_be_removed_keeps_no_other(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a disk of which nobody knows how much is left: what is due goes."""
    stuck, free = await studio.done(), await studio.done()
    await studio.start()
    studio.disk.fails = "Input/output error"
    remove = studio.disk.remove

    def refuse(room: RoomId, name: str) -> None:
        if name == stuck.name:
            raise OSError(13, "Permission denied")
        remove(room, name)

    monkeypatch.setattr(studio.disk, "remove", refuse)
    studio.recorder.policy = replace(studio.recorder.policy, retention=Retention(age_s=60))
    studio.node.advance(61)
    await studio.recorder.keep_space()
    names = [one.name for one in studio.recorder.all()]
    assert stuck.name in names
    assert free.name not in names


async def test_files_that_cannot_be_removed_keep_their_record(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that somebody can try again."""
    one = await studio.done()

    def refuse(_room: RoomId, _name: str) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(studio.disk, "remove", refuse)
    with pytest.raises(StoreLost, match="Permission denied"):
        await studio.recorder.remove(DEMO, one.name)
    assert studio.recorder.all() == [one]


async def test_two_of_a_second_have_names_of_their_own(studio: Studio) -> None:
    """Also if a folder of that name is there that nobody knows."""
    one = await studio.done()
    studio.node.unix.advance(-1)
    (studio.disk.place(DEMO, f"{one.name}-2")).mkdir(parents=True)
    assert (await studio.start()).name == f"{one.name}-3"


async def test_a_name_that_was_uploaded_is_not_given_again(studio: Studio) -> None:
    """With the notes where the upload process writes them; it would count as sent."""
    one = await studio.done()
    await studio.recorder.remove(DEMO, one.name)
    notes = build.upload_folder(studio.node.settings) / "recordings" / DEMO
    notes.mkdir(parents=True)
    (notes / f"{one.name}.json").write_text("{}")
    studio.node.services = studio.node.build()  # with the folders as they are composed
    await studio.node.services.load()
    studio.node.unix.advance(-1)
    assert (await studio.start()).name == f"{one.name}-2"


# By itself


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
