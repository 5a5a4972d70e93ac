import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.recording.core.manifest import (
    BadManifest,
    Event,
    EventKind,
    FileKind,
    Manifest,
    Person,
    RecordedFile,
    Take,
    TakeEnd,
    read_manifest,
    write_manifest,
)
from hls.types import MixFormat, RecordingFailure, RecordingState

WHOLE = Manifest(
    room="hall",
    name="monday",
    began_unix_s=1_700_000_000.0,
    mix=MixFormat.FLAC,
    tracks=True,
    exact=False,
    state=RecordingState.FAILED,
    ended_unix_s=1_700_000_010.0,
    seconds=10.0,
    lost=3,
    failure=RecordingFailure.FULL,
    sentence="The disk is full.",
    people=[Person(1, "ann", "Ännchen")],
    takes=[Take(1, 1_700_000_000.0, 0.0, 10.0, TakeEnd.FAILED, 1_700_000_010.0)],
    files=[
        RecordedFile("mix.flac", FileKind.MIX, 1, 0.0, 10.0, 1000),
        RecordedFile("tracks/1-Ännchen.ogg", FileKind.TRACK, 1, 2.5, 7.5, 500, "ann", 2),
        RecordedFile("mix.de.vtt", FileKind.CAPTIONS, 1, 0.0, 9.0, 100, language="de"),
    ],
    events=[
        Event(0.0, 1_700_000_000.0, EventKind.JOINED, "ann", "Ännchen"),
        Event(3.0, 1_700_000_003.0, EventKind.PAUSED),
    ],
)


def test_what_is_written_is_read() -> None:
    """Everything comes back, and people can read it."""
    text = write_manifest(WHOLE)
    assert read_manifest(text) == WHOLE
    assert "Ännchen" in text
    assert WHOLE.size_bytes == 1600


def test_a_take_of_before_is_read() -> None:
    """Nobody knows when it ended."""
    old = json.loads(write_manifest(WHOLE))
    del old["takes"][0]["ended_unix_s"]
    assert read_manifest(json.dumps(old)).takes[0].ended_unix_s is None


@pytest.mark.parametrize(
    ("kinds", "is_paused"),
    [
        ([], False),
        ([EventKind.JOINED], False),
        ([EventKind.PAUSED, EventKind.LEFT], True),
        ([EventKind.PAUSED, EventKind.RESUMED], False),
        ([EventKind.PAUSED, EventKind.TAKE], False),
        ([EventKind.PAUSED, EventKind.TAKE, EventKind.PAUSED, EventKind.LOST], True),
    ],
)
def test_a_recording_is_paused_as_its_events_say(kinds: list[EventKind], is_paused: bool) -> None:  # noqa: FBT001 - the answer
    """The last of pauses, resumptions and takes counts."""
    said = Manifest("hall", "monday", 1.0, MixFormat.OGG_OPUS, tracks=False, exact=True)
    said.events = [Event(0.0, 0.0, kind) for kind in kinds]
    assert said.is_paused is is_paused


def test_a_recording_that_has_just_begun_is_read() -> None:
    """What is not known yet is null."""
    begun = Manifest("hall", "monday", 1.0, MixFormat.OGG_OPUS, tracks=False, exact=True)
    assert read_manifest(write_manifest(begun)) == begun


def test_what_an_earlier_version_wrote_is_read() -> None:
    """A file without a language is one of sound."""
    document = json.loads(write_manifest(WHOLE))
    for file in document["files"]:
        del file["language"]
    assert {file.language for file in read_manifest(json.dumps(document)).files} == {""}


def test_what_a_later_version_adds_is_left_out() -> None:
    """Unknown keys are no error."""
    document = json.loads(write_manifest(WHOLE)) | {"version": 2, "colour": "red"}
    assert read_manifest(json.dumps(document)) == WHOLE


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"room": 7},
        {"seconds": float("nan")},
        {"seconds": "many"},
        {"mix": "mp3"},
        {"state": "asleep"},
        {"failure": "luck"},
        {"people": [{"number": 1}]},
        {"takes": None},
        {"files": [{"path": "/etc/passwd"}]},
        {"events": [7]},
    ],
)
def test_a_damaged_manifest_is_refused(change: dict[str, Any]) -> None:
    """Whatever is wrong."""
    with pytest.raises(BadManifest):
        read_manifest(json.dumps(json.loads(write_manifest(WHOLE)) | change))


@pytest.mark.parametrize("path", ["/etc/passwd", "a/../../b", "a\\b", "a\0b"])
def test_no_path_leads_out_of_the_folder(path: str) -> None:
    """A manifest that somebody has changed names no other files."""
    document = json.loads(write_manifest(WHOLE))
    document["files"][0]["path"] = path
    with pytest.raises(BadManifest):
        read_manifest(json.dumps(document))


@given(st.text(max_size=100) | st.just("[" * 100_000) | st.just('{"format":"roomtone-recording"}'))
def test_junk_raises_nothing_else(text: str) -> None:
    """Whatever is read is a manifest or refused."""
    with pytest.raises(BadManifest):
        read_manifest(text)
