"""Uploads as the control process knows them, against a plane that uploads nothing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hls.upload.types import UploadProgress, UploadState, Wanted
from mixer.types import RoomId
from server.domain.recording import What
from server.errors import RecordingBusy
from server.services.recorder import Recorder
from server.services.rooms import Wanted as WantedRoom
from server.services.uploads import A_ROUND, Uploads
from tests.support.node import Node, open_node
from tests.support.uploads import FakePlane, Told

DEMO = RoomId("demo")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with a room."""
    async with open_node(tmp_path) as node:
        await node.services.context.rooms.create(WantedRoom(DEMO))
        yield node


@pytest.fixture
def plane() -> FakePlane:
    """A plane."""
    return FakePlane()


@pytest.fixture
def recorder(node: Node) -> Recorder:
    """The node's recorder."""
    return node.services.context.recorder


@pytest.fixture
def uploads(recorder: Recorder, plane: FakePlane) -> Uploads:
    """Recordings are uploaded."""
    return Uploads(plane, recorder, are_recordings_sent=True)


async def recorded(recorder: Recorder) -> str:
    """Return the name of a recording that is over."""
    name = (await recorder.start(DEMO, What(), "api")).name
    await recorder.stop(DEMO, name, "api")
    await recorder.finished(DEMO, name, 1.0)
    return name


async def test_followed(uploads: Uploads, recorder: Recorder, plane: FakePlane) -> None:
    """A recording is asked for until it is in the bucket, and not removed before."""
    name = (await recorder.start(DEMO, What(), "api")).name
    await uploads.work()
    await recorder.stop(DEMO, name, "api")
    await recorder.finished(DEMO, name, 1.0)
    waiting = {"state": "waiting", "sent": 0, "total": 0, "reason": ""}
    assert uploads.progress(recorder.get(DEMO, name)) == waiting
    one = UploadProgress(DEMO, name, UploadState.UPLOADING, 5, 9, "why")
    plane.told = Told("away", "It is away.", [one], {"demo": 7})
    await uploads.work()
    began = recorder.get(DEMO, name).began_at.timestamp()
    assert plane.asked == [[Wanted(DEMO, name, over, began)] for over in (False, True)]
    told = {"state": "uploading", "sent": 5, "total": 9, "reason": "why"}
    assert uploads.progress(recorder.get(DEMO, name)) == told
    assert (uploads.state, uploads.sentence) == ("away", "It is away.")
    assert Uploads(plane, recorder, are_recordings_sent=True).oldest_msn(DEMO) == 0
    recorder.is_needed, recorder.why_needed = uploads.is_needed, uploads.why_needed
    assert (uploads.oldest_msn(DEMO), uploads.oldest_msn(RoomId("x"))) == (7, None)
    with pytest.raises(RecordingBusy, match="It is away"):
        await recorder.remove(DEMO, name)
    plane.told = Told(recordings=[replace(one, state=UploadState.DONE)])
    await uploads.work()
    await uploads.work()
    assert plane.asked[-1] == []
    assert uploads.why_needed() == "This recording is being uploaded: wait until that is done"
    await recorder.remove(DEMO, name)
    await uploads.work()
    assert not recorder.all()


async def test_name_again(uploads: Uploads, recorder: Recorder, plane: FakePlane) -> None:
    """That a recording is in the bucket says nothing of the next one of its name."""
    name = await recorded(recorder)
    one = recorder.get(DEMO, name)
    plane.told = Told(recordings=[UploadProgress(DEMO, name, UploadState.DONE)])
    await uploads.work()
    assert not uploads.is_needed(one)
    another = replace(one, began_at=one.began_at + timedelta(seconds=1))
    assert uploads.is_needed(another)
    assert uploads.progress(another) == {
        "state": "waiting",
        "sent": 0,
        "total": 0,
        "reason": "",
    }


async def test_gone_is_not_needed(uploads: Uploads, recorder: Recorder, plane: FakePlane) -> None:
    """What cannot be uploaded any more does not stand in anybody's way."""
    name = await recorded(recorder)
    plane.told = Told(recordings=[UploadProgress(DEMO, name, UploadState.FAILED)])
    await uploads.work()
    assert not uploads.is_needed(recorder.get(DEMO, name))


async def test_plane_away(uploads: Uploads, recorder: Recorder, plane: FakePlane) -> None:
    """While the process is started again nothing is forgotten, and nothing is removed."""
    name = await recorded(recorder)
    plane.is_away = True
    await uploads.work()
    assert uploads.is_needed(recorder.get(DEMO, name))


async def test_a_room_that_is_not_uploaded(
    node: Node, uploads: Uploads, recorder: Recorder, plane: FakePlane
) -> None:
    """From then on nothing of what is recorded is; on again, only what begins after that."""
    rooms = node.services.context.rooms
    before = await recorded(recorder)
    name = (await recorder.start(DEMO, What(), "api")).name
    await rooms.change(DEMO, lambda room: replace(room, upload=False))
    await uploads.work()
    assert [wanted.name for wanted in plane.asked[-1]] == [before]
    assert uploads.progress(recorder.get(DEMO, name)) is None
    await rooms.change(DEMO, lambda room: replace(room, upload=True))
    await recorder.stop(DEMO, name, "api")
    await recorder.finished(DEMO, name, 1.0)
    await rooms.change(DEMO, lambda room: replace(room, upload=False))
    private = await recorded(recorder)
    await rooms.change(DEMO, lambda room: replace(room, upload=True))
    after = await recorded(recorder)
    await uploads.work()
    assert {wanted.name for wanted in plane.asked[-1]} == {before, after}
    for one in (name, private):
        await recorder.remove(DEMO, one)
    services = node.build()
    await services.load()
    assert [one.is_uploaded for one in services.context.recorder.all()] == [True, True]


async def test_what_begins_while_it_is_decided(node: Node, recorder: Recorder) -> None:
    """A recording that starts before the room's new setting is stored is not uploaded either."""
    rooms = node.services.context.rooms
    withhold, begun = rooms.when_withheld, list[str]()

    async def withheld(room: RoomId) -> None:
        await withhold(room)
        if not begun:
            begun.append((await recorder.start(DEMO, What(), "api")).name)

    rooms.when_withheld = withheld
    await rooms.change(DEMO, lambda room: replace(room, upload=False))
    assert not recorder.get(DEMO, begun[0]).is_uploaded


async def test_it_is_withheld_for_good(node: Node, recorder: Recorder) -> None:
    """What is withheld while it is recorded is so after a restart, too."""
    name = (await recorder.start(DEMO, What(), "api")).name
    await recorder.withhold(DEMO)
    await recorder.withhold(RoomId("none"))
    services = node.build()
    await services.load()
    assert not services.context.recorder.get(DEMO, name).is_uploaded


@pytest.mark.parametrize("has_plane", [True, False])
async def test_not_uploaded(
    recorder: Recorder,
    plane: FakePlane,
    has_plane: bool,  # noqa: FBT001 - a column
) -> None:
    """Where recordings are not uploaded nothing is said of it, and nothing held back."""
    uploads = Uploads(plane if has_plane else None, recorder, are_recordings_sent=not has_plane)
    name = await recorded(recorder)
    await uploads.work()
    assert uploads.progress(recorder.get(DEMO, name)) is None
    assert uploads.oldest_msn(DEMO) == (0 if has_plane else None)
    assert plane.asked == ([[]] if has_plane else [])
    await recorder.remove(DEMO, name)


async def test_many(
    uploads: Uploads, recorder: Recorder, plane: FakePlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many recordings all have their turn."""
    name = await recorded(recorder)
    one = recorder.get(DEMO, name)
    many = [replace(one, name=f"r{number}") for number in range(A_ROUND * 3)]
    monkeypatch.setattr(recorder, "all", lambda: many)
    for _ in range(7):
        await uploads.work()
    assert all(len(wanted) == A_ROUND for wanted in plane.asked)
    assert len({wanted.name for some in plane.asked for wanted in some}) == len(many)
