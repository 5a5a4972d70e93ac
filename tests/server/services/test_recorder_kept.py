"""How long recordings are kept, and what they are called."""

from dataclasses import replace

import pytest

from mixer.types import RoomId
from server.compose import build
from server.domain.recording import (
    Retention,
    key_of,
)
from server.errors import (
    NotFound,
    RecordingBusy,
    StoreLost,
)
from tests.server.services.recording_studio import DEMO, Studio


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


async def test_a_disk_that_is_away_costs_no_record(studio: Studio) -> None:
    """Where it would be mounted is an empty folder: what is to go waits until it is back."""
    old = await studio.done()
    studio.recorder.policy = replace(studio.recorder.policy, retention=Retention(age_s=60))
    studio.node.advance(61)
    await studio.recorder.keep_space()
    studio.disk.folder.rmdir()
    await studio.recorder.keep_space()
    assert studio.recorder.all() == [old]
    studio.disk.place(DEMO, old.name).mkdir(parents=True)
    await studio.recorder.keep_space()
    assert studio.recorder.all() == []


async def test_nothing_was_ever_written(studio: Studio) -> None:
    """A recording that failed before its first second needs no disk to go."""
    one = await studio.start()
    await studio.recorder.failed(DEMO, one.name, "No folder")
    studio.recorder.policy = replace(studio.recorder.policy, retention=Retention(age_s=60))
    studio.node.advance(61)
    await studio.recorder.keep_space()
    assert studio.recorder.all() == []


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
    studio.disk.place(DEMO, stuck.name).mkdir(parents=True)
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
