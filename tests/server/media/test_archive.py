"""The folder of recordings: only what is really in it, and nothing outside."""

import json
import os
from pathlib import Path

import pytest

from mixer.types import RoomId
from server.media import archive as module
from server.media.archive import Archive
from tests.hls.recording.room import RecordedHall

DEMO = RoomId("demo")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with a recording of two files."""
    made = Archive(tmp_path / "recordings")
    made.prepare()
    put(made, "mix.ogg", b"mix")
    put(made, "tracks/1-Ada.ogg", b"track")
    return made


def put(archive: Archive, name: str, content: bytes) -> Path:
    path = archive.place(DEMO, "one") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(archive: Archive) -> list[str]:
    return [file.name for file in archive.files(DEMO, "one")]


def test_files_have_names_and_sizes(archive: Archive) -> None:
    """By name, those in folders too."""
    assert [(one.name, one.size) for one in archive.files(DEMO, "one")] == [
        ("mix.ogg", 3),
        ("tracks/1-Ada.ogg", 5),
    ]
    assert archive.size(DEMO, "one") == 8
    assert archive.find(DEMO, "one", "tracks/1-Ada.ogg") == (
        archive.place(DEMO, "one") / "tracks" / "1-Ada.ogg"
    )


def test_what_is_the_writers_own_is_not_seen(archive: Archive) -> None:
    """What it keeps for a full disk and what it has not finished; both go with the recording."""
    put(archive, ".reserve", bytes(1000))
    put(archive, "manifest.json.new", b"{")
    assert names(archive) == ["mix.ogg", "tracks/1-Ada.ogg"]
    assert archive.size(DEMO, "one") == 8
    assert archive.find(DEMO, "one", ".reserve") is None
    archive.remove(DEMO, "one")
    assert not archive.place(DEMO, "one").exists()


@pytest.mark.parametrize(
    "file",
    ["", ".", "..", "tracks", "../one/mix.ogg", "tracks/../mix.ogg", "/etc/passwd", "./mix.ogg"],
)
def test_nothing_else_is_found(archive: Archive, file: str) -> None:
    """Whatever leads to a file: only its one name does."""
    assert archive.find(DEMO, "one", file) is None


@pytest.mark.parametrize("name", ["", "..", "other", "one/tracks"])
def test_what_is_no_recording_has_no_files(archive: Archive, name: str) -> None:
    """A foul name is not looked at."""
    assert archive.files(DEMO, name) == ()
    assert archive.manifest(DEMO, name) is None


def test_links_lead_nowhere(archive: Archive, tmp_path: Path) -> None:
    """To a file, to a folder, or in place of the recording; the rest is there."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    place = archive.place(DEMO, "one")
    (place / "file.ogg").symlink_to(secret / "key")
    (place / "folder").symlink_to(secret)
    os.mkfifo(place / "pipe.ogg")
    assert names(archive) == ["mix.ogg", "tracks/1-Ada.ogg"]
    archive.place(DEMO, "two").symlink_to(secret)
    assert archive.files(DEMO, "two") == ()
    archive.remove(DEMO, "two")
    archive.remove(DEMO, "one")
    assert (secret / "key").read_text() == "secret"


def test_a_removed_recording_leaves_nothing(archive: Archive) -> None:
    """Nor an empty folder of its room; what is not there is removed already."""
    archive.remove(DEMO, "one")
    archive.remove(DEMO, "one")
    assert list(archive.folder.iterdir()) == []


def test_others_of_the_room_stay(archive: Archive) -> None:
    """Only that one is removed."""
    archive.place(DEMO, "two").mkdir()
    archive.remove(DEMO, "one")
    assert archive.names(DEMO) == {"two"}
    assert archive.names(RoomId("nowhere")) == frozenset()


def test_names_of_what_was_sent_are_taken(tmp_path: Path) -> None:
    """Also once it is removed here: another of that name would count as sent."""
    notes = tmp_path / "upload"
    (notes / DEMO).mkdir(parents=True)
    for note in ("sent.json", "sent.mp4", "half.json.new"):
        (notes / DEMO / note).touch()
    archive = Archive(tmp_path / "recordings", notes)
    archive.place(DEMO, "kept").mkdir(parents=True)
    assert archive.names(DEMO) == {"kept", "sent"}
    assert archive.names(RoomId("nowhere")) == frozenset()


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\xff"])
def test_a_manifest_that_is_none(archive: Archive, text: str) -> None:
    """Is not there."""
    put(archive, "manifest.json", text.encode("latin-1"))
    assert archive.manifest(DEMO, "one") is None


def test_a_manifest(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is what it says, unless it is too large to be read."""
    put(archive, "manifest.json", json.dumps({"name": "one"}).encode())
    assert archive.manifest(DEMO, "one") == {"name": "one"}
    monkeypatch.setattr(module, "MAX_MANIFEST_BYTES", 5)
    assert archive.manifest(DEMO, "one") is None


def test_many_files_and_deep_folders_are_bounded(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write there could make us look for ever."""
    put(archive, "a/b/c/d/deep.ogg", b"deep")
    assert "a/b/c/d/deep.ogg" not in names(archive)
    monkeypatch.setattr("hls.recording.walk.MAX_FILES", 1)
    assert len(names(archive)) <= 1


def test_free_space_is_of_the_disk_it_will_be_on(tmp_path: Path) -> None:
    """Before there is a folder too."""
    assert Archive(tmp_path / "not" / "yet").free_bytes() > 0


def test_what_is_not_whole_is_found(archive: Archive, tmp_path: Path) -> None:
    """What is being written, or was; nothing through links."""
    RecordedHall(archive.place(DEMO, "two"))
    RecordedHall(archive.place(DEMO, "three")).finish()
    (archive.folder / "linked").symlink_to(archive.folder / DEMO)
    archive.place(DEMO, "four").symlink_to(archive.place(DEMO, "two"))
    (archive.folder / "file").touch()
    assert archive.open_ones() == [(DEMO, "two")]
    assert Archive(tmp_path / "nowhere").open_ones() == []


def test_only_what_has_a_manifest_is_repaired(archive: Archive, tmp_path: Path) -> None:
    """Its length is what the manifest says then; what is elsewhere stays as it is."""
    assert archive.repair(DEMO, "one") is None
    put(archive, "manifest.json", b"{")
    assert archive.repair(DEMO, "one") is None
    hall = RecordedHall(archive.place(DEMO, "two"))
    hall.run(200, "ann")
    with pytest.raises(BlockingIOError):
        archive.repair(DEMO, "two")
    hall.die()
    seconds = archive.repair(DEMO, "two")
    assert seconds == pytest.approx(4.0, abs=0.05)
    assert archive.repair(DEMO, "two") == seconds
    RecordedHall(tmp_path / "elsewhere").run(200, "ann")
    before = (tmp_path / "elsewhere" / "manifest.json").read_bytes()
    archive.place(DEMO, "three").symlink_to(tmp_path / "elsewhere")
    assert archive.repair(DEMO, "three") is None
    assert (tmp_path / "elsewhere" / "manifest.json").read_bytes() == before
