"""What is written of a room, read by FFmpeg."""

import errno
import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hls.recording import files, shelf, take
from hls.recording.core.heard import Codec, Heard, HeardFrame
from hls.recording.core.manifest import EventKind, FileKind, Manifest, TakeEnd
from hls.recording.scribe import KEPT_EVENTS, MAX_EVENTS
from hls.types import MixFormat, RecordingFailure, RecordingState
from tests.hls.recording.room import (
    FIRST,
    UNIX_S,
    RecordedHall,
    decode,
    level,
    moment,
    people,
    pitch,
    probe,
    tick_of,
    tone,
)


def manifest_of(folder: Path) -> Manifest:
    found = shelf.load(folder)
    assert found is not None
    return found


def test_the_mix_has_the_rooms_time(tmp_path: Path) -> None:
    """Silence is there as long as it was, and the file ends with the recording to the sample."""
    hall = RecordedHall(tmp_path / "a" / "b")
    hall.run(73)
    hall.run(120, "ann")
    hall.run(301)
    hall.run(6, "bob")
    hall.run(77)
    hall.finish()
    pcm = decode(tmp_path / "a/b/mix.ogg")
    assert len(pcm) == (73 + 120 + 301 + 6 + 77) * 960
    loud = [at for at in range(len(pcm) // 960) if level(pcm[960 * at : 960 * (at + 1)]) > 2000]
    assert set(range(75, 192)) <= set(loud) <= {*range(73, 194), *range(494, 501)}
    assert level(pcm[: 73 * 960 - 240]) == 0
    assert probe(tmp_path / "a/b/mix.ogg")["streams"][0]["codec_name"] == "opus"


@pytest.mark.parametrize("kind", [MixFormat.FLAC, MixFormat.WAV])
def test_the_mix_as_samples_is_what_was_mixed(tmp_path: Path, kind: MixFormat) -> None:
    """FLAC and WAV hold the very samples, silence between them."""
    hall = RecordedHall(tmp_path, mix=kind, tracks=False)
    hall.run(31)
    hall.run(100, "ann", "bob")
    hall.run(44)
    hall.finish()
    pcm = decode(tmp_path / f"mix.{kind.value}")
    sound = [tone(400)[tick % 50] + tone(500)[tick % 50] for tick in range(FIRST + 31, FIRST + 131)]
    silence = np.zeros((960, 1), np.int16)
    assert np.array_equal(pcm, np.concatenate([*[silence] * 31, *sound, *[silence] * 44]))
    assert float(probe(tmp_path / f"mix.{kind.value}")["format"]["duration"]) == 175 * 0.02


def test_each_person_has_a_track_that_begins_with_them(tmp_path: Path) -> None:
    """A track's offset and length are in the manifest, its packets are the person's own."""
    hall = RecordedHall(tmp_path)
    hall.run(100)
    hall.run(100, "bob")
    hall.run(200, "ann", "bob")
    hall.run(50)
    hall.finish()
    manifest = manifest_of(tmp_path)
    found = {file.path: file for file in manifest.files}
    assert list(found) == ["mix.ogg", "tracks/2-Bob.ogg", "tracks/1-Ann.ogg"]
    for path, offset_s, seconds in (("tracks/1-Ann.ogg", 4, 4), ("tracks/2-Bob.ogg", 2, 6)):
        assert found[path].offset_s == pytest.approx(offset_s + 0.02, abs=0.003)
        assert found[path].seconds == pytest.approx(seconds, abs=0.003)
        assert found[path].size_bytes == (tmp_path / path).stat().st_size
        pcm = decode(tmp_path / path)
        assert len(pcm) == round(found[path].seconds * 48_000)
        spectrum = np.abs(np.fft.rfft(pcm[48_000:96_000, 0]))
        assert int(spectrum.argmax()) == pitch(Path(path).stem[2].lower())


def test_the_samples_of_each_person_sum_up_to_the_mix(tmp_path: Path) -> None:
    """Laid by their offsets, the exact files are the mix."""
    hall = RecordedHall(tmp_path, mix=MixFormat.FLAC, tracks=False, exact=True)
    hall.run(20)
    hall.run(80, "ann")
    hall.run(120, "bob", "ann")
    hall.run(60, "bob")
    hall.run(30, "ann")
    hall.finish()
    manifest = manifest_of(tmp_path)
    mix = decode(tmp_path / "mix.flac").astype(np.int32)
    for file in manifest.files[1:]:
        assert file.kind is FileKind.EXACT
        pcm = decode(tmp_path / file.path)
        begin = round(file.offset_s * 48_000)
        mix[begin : begin + len(pcm)] -= pcm
    assert len(manifest.files) == 3
    assert level(mix.astype(np.int16)) == 0


def test_what_is_beyond_full_scale_is_clipped_and_counted(tmp_path: Path) -> None:
    """Somebody amplified beyond 16 bits is limited in their file, and the manifest says so."""
    hall = RecordedHall(tmp_path, exact=True)
    loud = np.full((960, 1), 40_000, np.int32)
    loud[10:] = -7
    hall.scribe.hear(Heard(FIRST, frames=[HeardFrame("ann", loud)]))
    hall.run(60)
    hall.finish()
    entry = manifest_of(tmp_path).files[1]
    pcm = decode(tmp_path / entry.path)
    assert entry.clipped == 10
    assert (pcm[0, 0], pcm[10, 0]) == (32767, -7)


def test_another_number_of_channels_is_brought_to_the_files(tmp_path: Path) -> None:
    """A room that turns to stereo in the middle of a take goes on in one channel, their mean."""
    hall = RecordedHall(tmp_path, mix=MixFormat.FLAC, tracks=False)
    both = np.stack((np.full(960, 1000), np.full(960, 3000)), axis=1).astype(np.int16)
    hall.scribe.hear(Heard(FIRST, mix_pcm=both))
    hall.run(60)
    hall.finish()
    assert set(decode(tmp_path / "mix.flac")[:960, 0].tolist()) == {2000}
    assert files.fit(np.ones((2, 1), np.int16), 2).tolist() == [[1, 1], [1, 1]]


def test_a_pause_is_cut_out(tmp_path: Path) -> None:
    """What is said meanwhile is in no file, and what follows stands where the pause began."""
    hall = RecordedHall(tmp_path, exact=True)
    hall.run(100, "ann")
    hall.scribe.change(replace(hall.spec, is_paused=True), moment(hall.tick))
    assert hall.scribe.report.state is RecordingState.PAUSED
    hall.run(499, "bob")
    hall.run(1)  # what is under way when it goes on belongs to what follows
    hall.scribe.change(hall.spec, moment(hall.tick))
    hall.run(100, "ann")
    hall.finish()
    manifest = manifest_of(tmp_path)
    assert manifest.seconds == 4.0
    assert len(decode(tmp_path / "mix.ogg")) == 200 * 960
    assert {file.peer for file in manifest.files} == {None, "ann"}
    assert next(file.seconds for file in manifest.files if file.kind is FileKind.EXACT) == 4.0
    said = [(event.kind, event.at_s, event.unix_s - UNIX_S) for event in manifest.events[2:]]
    assert said == [(EventKind.PAUSED, 2.0, 2.0), (EventKind.RESUMED, 2.0, 12.0)]


def test_who_comes_and_goes_is_a_chapter(tmp_path: Path) -> None:
    """Joins, leaves, mutes and names are events, chapters of the mix, markers and labels."""
    hall = RecordedHall(tmp_path, people=people("ann"))
    hall.run(50, "ann")
    for names in (
        people("ann", "bob", muted="bob"),
        people("ann", "bob"),
        (*people("ann"), replace(people("bob")[0], name='The "Bob"')),
        people("ann"),
    ):
        hall.scribe.change(replace(hall.spec, people=names), moment(hall.tick))
        hall.run(50, "ann")
    hall.finish()
    titles = [one["tags"]["title"] for one in probe(tmp_path / "mix.ogg")["chapters"]]
    assert titles == [
        "Beginning",
        "Bob joined",
        "Bob was muted",
        "Bob was unmuted",
        'The "Bob" has this name now',
        'The "Bob" left',
    ]
    starts = [float(one["start_time"]) for one in probe(tmp_path / "mix.ogg")["chapters"]]
    assert starts == [0.0, 1.0, 1.0, 2.0, 3.0, 4.0]
    project = (tmp_path / "project.rpp").read_text()
    assert "MARKER 5 3.000000 'The \"Bob\" has this name now' 0" in project
    assert '        FILE "tracks/1-Ann.ogg"' in project
    labels = (tmp_path / "labels.txt").read_text().splitlines()
    assert "0.000000\t5.000000\tmix.ogg" in labels
    assert "1.000000\t1.000000\tBob joined" in labels
    assert not (tmp_path / shelf.RESERVE).exists()


def test_a_second_recording_begins_anew(tmp_path: Path) -> None:
    """Two in a row have a folder each, and nothing of each other."""
    for name in ("one", "two"):
        hall = RecordedHall(tmp_path / name)
        hall.run(60, "ann")
        hall.finish()
        hall.run(60, "ann")  # after the end: nothing
        assert hall.scribe.report.state is RecordingState.FINISHED
        assert len(decode(tmp_path / name / "mix.ogg")) == 60 * 960


def test_a_take_that_was_cut_off_is_repaired_and_another_begins(tmp_path: Path) -> None:
    """After the end of a process the recording goes on in further files, at their place in time."""
    hall = RecordedHall(tmp_path, mix=MixFormat.FLAC, exact=True)
    hall.run(250, "ann")
    for path in (*tmp_path.glob("*.flac"), *tmp_path.glob("*/*")):
        with path.open("ab") as opened:
            opened.write(b"OggS\0\xff\xf8\x5ahalf a page or frame")
    hall.die()
    again = RecordedHall(tmp_path, first=FIRST + 1000, mix=MixFormat.FLAC, exact=True)
    again.run(100, "ann")
    again.finish()
    manifest = manifest_of(tmp_path)
    assert [take.end for take in manifest.takes] == [TakeEnd.INTERRUPTED, TakeEnd.STOPPED]
    assert manifest.takes[1].offset_s == pytest.approx(20.0, abs=0.001)
    assert manifest.state is RecordingState.FINISHED
    assert manifest.seconds == pytest.approx(22.0, abs=0.001)
    paths = [file.path for file in manifest.files]
    assert paths[0] == "mix.flac"
    assert set(paths[-3:]) == {
        "mix.take2.flac",
        "tracks/1-Ann.take2.ogg",
        "exact/1-Ann.take2.flac",
    }
    for file in manifest.files:
        pcm = decode(tmp_path / file.path)
        assert len(pcm) == round(48_000 * file.seconds)
        if file.take == 1:
            assert 4.0 <= file.seconds <= 5.0


def test_the_next_take_stands_where_the_clock_says(tmp_path: Path) -> None:
    """What was paused before a crash is no part of the time that is missing."""
    hall = RecordedHall(tmp_path)
    hall.run(500, "ann")
    hall.scribe.change(replace(hall.spec, is_paused=True), moment(hall.tick))
    hall.run(30_000)
    hall.scribe.change(hall.spec, moment(hall.tick))
    hall.run(500, "ann")
    hall.die()
    again = RecordedHall(tmp_path, first=hall.tick + 100)
    again.finish()
    assert manifest_of(tmp_path).takes[1].offset_s == pytest.approx(22.0, abs=0.001)


def test_a_pause_lasts_beyond_a_crash(tmp_path: Path) -> None:
    """While nobody went on, the time until the next take is left out too; else it is not."""
    hall = RecordedHall(tmp_path)
    hall.run(500, "ann")
    hall.scribe.change(replace(hall.spec, is_paused=True), moment(hall.tick))
    hall.run(100)
    hall.die()
    paused = RecordedHall(tmp_path, first=hall.tick + 1000)
    paused.run(50, "ann")
    paused.die()
    again = RecordedHall(tmp_path, first=paused.tick + 1000)
    again.finish()
    offsets = [take.offset_s for take in manifest_of(tmp_path).takes]
    assert offsets == pytest.approx([0.0, 10.0, 31.0], abs=0.003)


def test_a_manifest_of_before_has_the_time_of_its_sound(tmp_path: Path) -> None:
    """One that does not say when its take ended counts from its beginning."""
    hall = RecordedHall(tmp_path)
    hall.run(500, "ann")
    old = manifest_of(tmp_path)
    old.takes[0].ended_unix_s = None
    shelf.save(tmp_path, old)
    hall.die()
    RecordedHall(tmp_path, first=hall.tick + 100).finish()
    assert manifest_of(tmp_path).takes[1].offset_s == pytest.approx(12.0, abs=0.001)


def test_one_at_a_time_writes_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is written, has failed or its process is dead; disks without locks cannot tell."""
    hall = RecordedHall(tmp_path)
    with pytest.raises(BlockingIOError):
        shelf.claim(tmp_path, wait=False)
    hall.finish()
    os.close(shelf.claim(tmp_path, wait=False))
    (tmp_path / "gone").mkdir()
    gone = RecordedHall(tmp_path / "gone")
    monkeypatch.setattr(gone.scribe._open, "advance", _break)
    gone.run(50)
    assert gone.scribe.is_over
    os.close(shelf.claim(tmp_path / "gone", wait=False))
    held = shelf.claim(tmp_path, wait=False)
    monkeypatch.setattr("hls.recording.shelf.fcntl.flock", _break)
    os.close(shelf.claim(tmp_path, wait=False))
    os.close(held)


def _break(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_g711_track_is_readable_as_far_as_it_is(tmp_path: Path) -> None:
    """Plain RTP in µ-law is a WAV file of just these bytes, repaired like the others."""
    hall = RecordedHall(tmp_path, mix=MixFormat.WAV)
    for _ in range(200):
        heard = tick_of(hall.tick, "ann")
        heard.packets = [
            one._replace(payload=bytes(range(160)), codec=Codec.PCMU) for one in heard.packets
        ]
        hall.scribe.hear(heard)
        hall.run(1)
    assert shelf.repair(tmp_path) is not None
    path = tmp_path / "tracks/1-Ann.ulaw.wav"
    assert probe(path)["streams"][0]["codec_name"] == "pcm_mulaw"
    assert 3.0 * 48_000 <= len(decode(path)) <= 4.0 * 48_000
    assert len(decode(tmp_path / "mix.wav")) >= 3.0 * 48_000


def test_a_damaged_manifest_is_put_aside(tmp_path: Path) -> None:
    """Whatever stands there, the recording begins, and no file is written over."""
    (tmp_path / "manifest.json").write_bytes(b"\xff{")
    (tmp_path / "mix.flac").write_bytes(b"somebody's")
    hall = RecordedHall(tmp_path)
    hall.run(60, "ann")
    hall.finish()
    assert (tmp_path / "mix.flac").read_bytes() == b"somebody's"
    assert manifest_of(tmp_path).takes[0].number == 2
    assert len(list(tmp_path.glob("manifest.*.json"))) == 1


def test_a_folder_that_is_removed_ends_the_recording(tmp_path: Path) -> None:
    """Within a second it is said what is wrong."""
    hall = RecordedHall(tmp_path / "gone")
    hall.run(60, "ann")
    shutil.rmtree(tmp_path / "gone")
    hall.run(50, "ann")
    report = hall.scribe.report
    assert (report.state, report.failure) == (RecordingState.FAILED, RecordingFailure.GONE)
    assert "folder" in report.sentence


def test_a_folder_that_cannot_be_is_no_recording(tmp_path: Path) -> None:
    """A file in the place of the folder is said at once."""
    (tmp_path / "file").touch()
    hall = RecordedHall(tmp_path / "file" / "in it")
    assert hall.scribe.report.failure is RecordingFailure.GONE


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (errno.ENOSPC, RecordingFailure.FULL),
        (errno.EROFS, RecordingFailure.DENIED),
        (errno.EIO, RecordingFailure.BROKEN),
    ],
)
def test_what_was_written_before_a_failure_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, failure: RecordingFailure
) -> None:
    """A disk that takes no more ends the recording; its manifest says why, its files play."""
    hall = RecordedHall(tmp_path)
    hall.run(200, "ann")
    real = os.write

    def write(file: int, data: bytes) -> int:
        if data[:4] == b"OggS":
            raise OSError(code, os.strerror(code))
        return real(file, data)

    monkeypatch.setattr("hls.recording.files.os.write", write)
    hall.run(50, "ann")
    monkeypatch.undo()
    report = hall.scribe.report
    assert (report.state, report.failure) == (RecordingState.FAILED, failure)
    manifest = manifest_of(tmp_path)
    assert (manifest.state, manifest.failure) == (RecordingState.FAILED, failure)
    assert manifest.takes[0].end is TakeEnd.FAILED
    assert len(decode(tmp_path / "mix.ogg")) >= 3 * 48_000


def test_files_and_events_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd has files for the first of them, and the manifest ends somewhere."""
    hall = RecordedHall(tmp_path, exact=True)
    monkeypatch.setattr(take, "MAX_FILES", 5)
    crowd = [f"{number}" for number in range(15)]
    frame = np.zeros((960, 1), np.int16)
    hall.scribe.hear(Heard(FIRST, frames=[HeardFrame(name, frame) for name in crowd]))
    assert hall.scribe._open.refused == 10
    hall.scribe.hear(tick_of(FIRST + 1, "ann"))
    assert hall.scribe._open.refused == 12
    events = hall.scribe._known.events
    events *= (MAX_EVENTS - KEPT_EVENTS) // len(events)
    before = len(events)
    hall.scribe.change(replace(hall.spec, people=people(*crowd)), moment(FIRST + 5))
    assert len(events) == before
    hall.scribe.lose(3, moment(FIRST + 5))  # that has a place
    assert events[-1].kind is EventKind.LOST
    events *= 2
    before = len(events)
    hall.scribe.lose(4, moment(FIRST + 5))
    assert len(events) == before
    hall.finish()
    assert manifest_of(tmp_path).lost == 7


def test_a_manifest_that_costs_is_written_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twentieth of the time at most, unless there is another file; seconds are told as ever."""
    spent = iter(range(1000))
    monkeypatch.setattr("hls.recording.scribe.thread_time", lambda: 0.25 * next(spent))
    hall = RecordedHall(tmp_path)
    saves = list[float]()
    real = shelf.save

    def save(folder: Path, manifest: Manifest) -> None:
        saves.append(hall.tick - FIRST)
        real(folder, manifest)

    monkeypatch.setattr(shelf, "save", save)
    hall.run(100)
    hall.scribe.change(replace(hall.spec, people=people("ann", "cem")), moment(hall.tick))
    hall.run(400)
    assert hall.scribe.report.seconds == 10.0
    assert saves == [250, 500]
    assert {event.name for event in manifest_of(tmp_path).events} == {"Ann", "Bob", "Cem"}
    hall.run(120, "ann")
    hall.scribe.change(replace(hall.spec, is_paused=True), moment(hall.tick))
    assert saves[2:] == [550, 620], "her track is new, then the pause"


def test_long_silence_is_no_memory(tmp_path: Path) -> None:
    """A line that was muted for twenty minutes says something again: they are written at once."""
    hall = RecordedHall(tmp_path)

    def say(tick: int) -> None:
        packets = [
            one._replace(payload=bytes(range(160)), codec=Codec.PCMU)
            for one in tick_of(tick, "ann").packets
        ]
        hall.scribe.hear(Heard(tick, packets=packets))

    say(FIRST)
    hall.run(50)
    later = FIRST + 20 * 60 * 50
    say(later)
    tracemalloc.start()
    try:
        hall.scribe._open._lay((later + 50) * 960)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    (track,) = [one for one in hall.scribe._open._files if one.entry.peer == "ann"]
    assert track.file.output.size_bytes > 20 * 60 * 8000
    assert peak < 4 << 20


def test_a_tick_comes_once_and_in_time(tmp_path: Path) -> None:
    """A second copy, and what comes when its time is written, is counted and left out."""
    hall = RecordedHall(tmp_path, exact=True, tracks=False)
    hall.run(100, "ann")
    hall.scribe.hear(tick_of(FIRST + 50, "ann"))
    assert hall.scribe._open.late == 2
    hall.finish()
    assert len(decode(tmp_path / "mix.ogg")) == 100 * 960
