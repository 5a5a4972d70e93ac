"""What is said beside what is heard, read by FFmpeg."""

import errno
import os
import re
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hls.core.webvtt import Cue
from hls.recording import captions, shelf
from hls.recording.core.captions import HEAD
from hls.recording.core.manifest import FileKind, Manifest
from hls.recording.recorder import Recorder
from hls.types import Caption, CaptionsSpec, RecordingFailure
from tests.hls.recording.room import FIRST, UNIX_S, RecordedHall, decode, moment
from tests.hls.recording.test_recorder import Reports, a_recording, a_spec

SRT = re.compile(r"(\d+):(\d+):(\d+),(\d+) --> (\d+):(\d+):(\d+),(\d+)\n(.*?)\n\n", re.DOTALL)


def manifest_of(folder: Path) -> Manifest:
    found = shelf.load(folder)
    assert found is not None
    return found


def read(path: Path) -> list[tuple[float, float, str]]:
    """Return what FFmpeg finds in a file of captions: from when to when, and the text."""
    run = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "srt", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return [(_s(*found[:4]), _s(*found[4:8]), found[8]) for found in SRT.findall(run.stdout)]


def _s(hours: str, minutes: str, seconds: str, ms: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(ms) / 1000


def say(hall: RecordedHall, at_s: float, text: str, language: str = "en") -> None:
    """Say something for a second and a half, so long after the recording has begun."""
    start = FIRST * 960 + round(at_s * 48_000)
    hall.scribe.caption(language, Cue(start, start + 72_000, text))


def test_captions_stand_at_their_sound(tmp_path: Path) -> None:
    """Sent as it is heard, late or by a script: a file for each language, in order of time."""
    hall = RecordedHall(tmp_path)
    hall.run(100, "ann")
    say(hall, 2.0, "Heard")
    say(hall, 5.0, "By a <script>")
    say(hall, 2.5, "Também", "pt-BR")
    hall.run(100, "ann")
    say(hall, 0.75, "Late -->\nby far")
    hall.run(100, "ann")
    hall.finish()
    assert read(tmp_path / "mix.en.vtt") == [
        (0.75, 2.25, "Late -->\nby far"),
        (2.0, 3.5, "Heard"),
        (5.0, 6.5, "By a <script>"),
    ]
    assert read(tmp_path / "mix.pt-BR.vtt") == [(2.5, 4.0, "Também")]
    manifest = manifest_of(tmp_path)
    said = {one.path: one for one in manifest.files if one.kind is FileKind.CAPTIONS}
    assert {path: (one.language, one.offset_s, one.seconds) for path, one in said.items()} == {
        "mix.en.vtt": ("en", 0.0, 6.5),
        "mix.pt-BR.vtt": ("pt-BR", 0.0, 4.0),
    }
    assert all(one.size_bytes == (tmp_path / path).stat().st_size for path, one in said.items())
    assert manifest.seconds == manifest.takes[0].seconds == 6.0
    assert len(decode(tmp_path / "mix.ogg")) == 300 * 960
    assert ".vtt" not in (tmp_path / "labels.txt").read_text()
    assert ".vtt" not in (tmp_path / "project.rpp").read_text()


def test_nothing_is_written_into_a_pause(tmp_path: Path) -> None:
    """What begins in one is left out, whenever it was sent; what follows stands at its sound."""
    hall = RecordedHall(tmp_path)
    for at_s, text in ((1.0, "Before"), (5.0, "Secret"), (11.0, "After"), (3.999, "Last")):
        say(hall, at_s, text)
    hall.run(200, "ann")
    hall.scribe.change(replace(hall.spec, is_paused=True), moment(hall.tick))
    hall.run(300, "ann")
    say(hall, 3.0, "Late")
    say(hall, 4.0, "Secret at once")
    hall.scribe.change(hall.spec, moment(hall.tick))
    say(hall, 9.5, "Secret afterwards")
    hall.run(150, "ann")
    hall.finish()
    assert read(tmp_path / "mix.en.vtt") == [
        (1.0, 2.5, "Before"),
        (3.0, 4.5, "Late"),
        (3.999, 5.499, "Last"),
        (5.0, 6.5, "After"),
    ]


def test_what_is_not_of_the_take_is_not_there(tmp_path: Path) -> None:
    """Before its beginning and after its end; and without any caption there is no file."""
    hall = RecordedHall(tmp_path)
    say(hall, -0.001, "Before")
    say(hall, 1.0, "\n")
    say(hall, 2.0, "After")
    hall.run(100, "ann")
    hall.finish()
    say(hall, 1.0, "Much too late")
    assert list(tmp_path.glob("*.vtt")) == []
    assert {one.kind for one in manifest_of(tmp_path).files} == {FileKind.MIX, FileKind.TRACK}


def test_the_next_take_has_its_own(tmp_path: Path) -> None:
    """`kill -9` amid a block: it is cut off, the others are there; the next take counts anew."""
    hall = RecordedHall(tmp_path)
    for at_s, text in ((3.0, "Later"), (1.0, "Sooner"), (3.5, "Lost with the process")):
        say(hall, at_s, text)
    hall.run(150, "ann")
    say(hall, 0.5, "First")
    hall.run(20, "ann")
    hall.scribe.advance(moment(hall.tick))
    with (tmp_path / "mix.en.vtt").open("ab") as file:
        file.write(b"00:00:09.000 --> 00:00:10.000\nHal")
    raw = read(tmp_path / "mix.en.vtt")
    assert {text for _, _, text in raw[:3]} == {"Sooner", "First", "Later"}
    hall.die()
    again = RecordedHall(tmp_path, first=FIRST + 500)
    say(again, 10.5, "Again", "pt-BR")
    say(again, 9.9, "Between the two")
    again.run(100, "ann")
    again.finish()
    assert read(tmp_path / "mix.en.vtt") == [
        (0.5, 2.0, "First"),
        (1.0, 2.5, "Sooner"),
        (3.0, 4.5, "Later"),
    ]
    assert read(tmp_path / "mix.take2.pt-BR.vtt") == [(0.5, 2.0, "Again")]
    manifest = manifest_of(tmp_path)
    said = [one for one in manifest.files if one.kind is FileKind.CAPTIONS]
    assert [(one.path, one.take, round(one.offset_s, 3), one.seconds) for one in said] == [
        ("mix.en.vtt", 1, 0.0, 4.5),
        ("mix.take2.pt-BR.vtt", 2, 10.0, 2.0),
    ]
    assert manifest.takes[0].seconds == max(
        one.seconds for one in manifest.files if one.take == 1 and one.kind is FileKind.MIX
    )


def test_captions_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many wait for their time, and in so many languages, however those are written."""
    monkeypatch.setattr(captions, "MAX_WAITING", 4)
    monkeypatch.setattr(captions, "MAX_LANGUAGES", 2)
    hall = RecordedHall(tmp_path)
    for language in ("en", "EN", "de", "fr", "nl"):
        say(hall, 0.5, language, language)
    hall.run(50, "ann")
    assert hall.scribe._open._captions.refused == 2
    say(hall, 0.6, "Then")
    hall.finish()
    assert {path.name for path in tmp_path.glob("*.vtt")} == {"mix.en.vtt", "mix.de.vtt"}
    assert [text for _, _, text in read(tmp_path / "mix.en.vtt")] == ["en", "EN", "Then"]


def test_a_full_disk_leaves_captions_as_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot be put in order, and the manifest is there; so it is if they are gone."""
    hall = RecordedHall(tmp_path)
    for language, at_s in (("en", 1.0), ("en", 0.5), ("de", 1.5)):
        say(hall, at_s, "So", language)
        hall.run(100, "ann")
    (tmp_path / "mix.de.vtt").unlink()
    before = (tmp_path / "mix.en.vtt").read_bytes()
    real = os.write

    def write(file: int, data: bytes) -> int:
        if data[:6] == HEAD[:6]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data)

    monkeypatch.setattr("hls.recording.shelf.os.write", write)
    hall.finish()
    assert (tmp_path / "mix.en.vtt").read_bytes() == before
    assert len(read(tmp_path / "mix.en.vtt")) == 2
    assert manifest_of(tmp_path).seconds == 6.0
    assert list(tmp_path.glob("*.new")) == []


def test_captions_of_a_failed_recording_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes half a block ends the recording; it is cut off where it stands."""
    hall = RecordedHall(tmp_path)
    say(hall, 0.5, "Whole")
    hall.run(50, "ann")
    real = os.write

    def write(file: int, data: bytes) -> int:
        if b"Half" in data:
            real(file, data[:-4])
        if b"Half" in data or data[:6] == HEAD[:6]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data)

    monkeypatch.setattr("hls.recording.files.os.write", write)
    say(hall, 1.5, "Half a block")
    hall.run(50, "ann")
    monkeypatch.undo()
    assert hall.scribe.report.failure is RecordingFailure.FULL
    assert (tmp_path / "mix.en.vtt").read_bytes().endswith(b"\nWhole\n\n")
    assert read(tmp_path / "mix.en.vtt") == [(0.5, 2.0, "Whole")]


def test_a_recorder_takes_what_the_room_is_captioned_in(tmp_path: Path) -> None:
    """By the clock of the stream's dates, off the air too; else it says that it does not."""
    recorder = Recorder()
    reports = Reports(recorder)
    said = Caption("en", "Hello", UNIX_S + 0.25, UNIX_S + 2)
    captioned = (CaptionsSpec("en-cc", "en"),)
    assert not recorder.caption("hall", said)
    recorder.apply(replace(a_spec(1, None), captions=captioned), FIRST)
    assert not recorder.caption("hall", said)
    recorder.apply(replace(a_spec(2, a_recording(tmp_path)), captions=captioned), FIRST)
    assert recorder.caption("hall", said)
    assert not recorder.caption("hall", replace(said, language="fr"))
    recorder.apply(replace(a_spec(3, None), captions=captioned), FIRST + 100)
    assert not recorder.caption("hall", said)
    reports.wait(FIRST + 100, lambda _: not recorder.is_busy)
    assert read(tmp_path / "monday/mix.en.vtt") == [(0.25, 2.0, "Hello")]
    assert recorder.statistics()["room_recording_captions_total"] == 1


def test_a_disk_that_hangs_holds_up_no_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finds no room is not taken, and counted; nor is what comes after a failure."""
    hangs = threading.Event()
    monkeypatch.setattr("hls.recording.shelf.os.fdatasync", lambda _: hangs.wait())
    recorder = Recorder(max_waiting_bytes=1000)
    spec = replace(a_spec(1, a_recording(tmp_path)), captions=(CaptionsSpec("en-cc", "en"),))
    recorder.apply(spec, FIRST)
    said = Caption("en", "x" * 90, UNIX_S, UNIX_S + 1)
    assert recorder.caption("hall", said)
    assert not recorder.caption("hall", said)
    assert recorder.statistics()["room_recording_captions_lost_total"] == 1
    hangs.set()
    recorder.close(FIRST + 50, 5.0)
