"""Recordings of rooms, each with its thread and its disk."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hls.errors import BadSpec
from hls.recording import shelf
from hls.recording.core.heard import Heard
from hls.recording.core.manifest import EventKind, Manifest, TakeEnd
from hls.recording.recorder import Recorder
from hls.recording.recording import Recording
from hls.types import (
    BroadcastSpec,
    KeySpec,
    RecordingFailure,
    RecordingReport,
    RecordingSpec,
    RecordingState,
)
from tests.hls.recording.room import FIRST, UNIX_S, decode, people, tick_of

KEY = KeySpec(0, b"k" * 16, b"i" * 16, "enc.key")


def a_spec(version: int, recording: RecordingSpec | None, room: str = "hall") -> BroadcastSpec:
    return BroadcastSpec(
        room, version, (KEY,), FIRST - 500, UNIX_S - 10, on_air=False, recording=recording
    )


def a_recording(folder: Path, name: str = "monday", **more: Any) -> RecordingSpec:
    return RecordingSpec(name, str(folder / name), people=people("ann"), **more)


class Reports:
    """What a recorder has said so far."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.newest: dict[str, RecordingReport] = {}

    def wait(self, tick: int, is_there: Callable[["Reports"], bool]) -> None:
        """Poll until that is so; the test's own time limit ends it."""
        while not is_there(self):
            for report in self._recorder.poll(tick):
                self.newest[report.name] = report
            threading.Event().wait(0.005)

    def wait_for(self, tick: int, name: str, state: RecordingState, seconds: float = 0.0) -> None:
        def is_there(said: "Reports") -> bool:
            report = said.newest.get(name)
            return report is not None and report.state is state and report.seconds >= seconds

        self.wait(tick, is_there)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close(FIRST + 100_000, 5.0)


@pytest.fixture
def reports(recorder: Recorder) -> Reports:
    return Reports(recorder)


def talk(recorder: Recorder, begin: int, end: int, room: str = "hall") -> None:
    for tick in range(begin, end):
        recorder.hear(room, tick_of(tick, "ann"))


def test_two_recordings_in_a_row(recorder: Recorder, reports: Reports, tmp_path: Path) -> None:
    """Another name ends the one and begins the other; each is told of to its end."""
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    assert recorder.is_recording("hall")
    talk(recorder, FIRST, FIRST + 100)
    recorder.apply(a_spec(2, a_recording(tmp_path, "tuesday")), FIRST + 100)
    talk(recorder, FIRST + 100, FIRST + 150)
    recorder.apply(a_spec(3, None), FIRST + 150)
    for name, seconds in (("monday", 2.0), ("tuesday", 1.0)):
        reports.wait_for(FIRST + 150, name, RecordingState.FINISHED)
        assert reports.newest[name].seconds == seconds
        assert len(decode(tmp_path / name / "mix.ogg")) == 48_000 * seconds
    assert not recorder.is_recording("hall")
    assert recorder.statistics()["room_recordings_started_total"] == 2


def test_a_second_is_made_safe_when_it_is_over(
    recorder: Recorder, reports: Reports, tmp_path: Path
) -> None:
    """What polls say grows with the clock, without anybody speaking."""
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    reports.wait_for(FIRST + 50, "monday", RecordingState.RECORDING, 1.0)
    reports.wait_for(FIRST + 200, "monday", RecordingState.RECORDING, 4.0)
    manifest = shelf.load(tmp_path / "monday")
    assert manifest is not None
    assert manifest.takes[0].end is TakeEnd.OPEN


def test_pause_and_resume(recorder: Recorder, reports: Reports, tmp_path: Path) -> None:
    """The state is told, and time stands still meanwhile."""
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    recorder.apply(a_spec(2, a_recording(tmp_path, is_paused=True)), FIRST + 50)
    reports.wait_for(FIRST + 400, "monday", RecordingState.PAUSED, 1.0)
    recorder.apply(a_spec(3, a_recording(tmp_path)), FIRST + 400)
    reports.wait_for(FIRST + 450, "monday", RecordingState.RECORDING, 2.0)
    assert reports.newest["monday"].seconds == 2.0


def test_late_specs_change_nothing(recorder: Recorder, tmp_path: Path) -> None:
    """A version that is not above the applied one is ignored, also after the end."""
    recorder.apply(a_spec(5, a_recording(tmp_path)), FIRST)
    recorder.apply(a_spec(5, None), FIRST)
    assert recorder.is_recording("hall")
    recorder.apply(a_spec(6, None), FIRST)
    recorder.apply(a_spec(5, a_recording(tmp_path)), FIRST)
    assert not recorder.is_recording("hall")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": ""}, "name"),
        ({"folder": "relative"}, "absolute"),
        ({"folder": "/a\0b"}, "absolute"),
    ],
)
def test_a_recording_that_cannot_be_is_refused(
    recorder: Recorder, tmp_path: Path, change: dict[str, str], sentence: str
) -> None:
    """The one before goes on."""
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    with pytest.raises(BadSpec, match=sentence):
        recorder.apply(a_spec(2, replace(a_recording(tmp_path), **change)), FIRST)  # type: ignore[arg-type]
    assert recorder.is_recording("hall")


def test_rooms_are_bounded(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than so many are recorded, and of the others only the newest are remembered."""
    monkeypatch.setattr("hls.recording.recorder.MAX_RECORDINGS", 1)
    monkeypatch.setattr("hls.recording.recorder._REMEMBERED_ROOMS", 3)
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    with pytest.raises(BadSpec, match="already"):
        recorder.apply(a_spec(1, a_recording(tmp_path), "other"), FIRST)
    for number in range(10):
        recorder.apply(a_spec(1, None, f"room-{number}"), FIRST)
    assert list(recorder._rooms) == ["hall", "room-7", "room-8", "room-9"]


def test_what_ends_counts_until_it_has(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each keeps a thread and what waits for it: on a disk that hangs they would be ever more."""
    hangs = threading.Event()
    monkeypatch.setattr("hls.recording.recorder.MAX_RECORDINGS", 2)
    monkeypatch.setattr("hls.recording.shelf.os.fdatasync", lambda _: hangs.wait())
    recorder.apply(a_spec(1, a_recording(tmp_path, "a")), FIRST)
    recorder.apply(a_spec(2, None), FIRST)
    recorder.apply(a_spec(3, a_recording(tmp_path, "b")), FIRST)
    recorder.apply(a_spec(4, a_recording(tmp_path, "c")), FIRST)  # in the place of another
    with pytest.raises(BadSpec, match="already"):
        recorder.apply(a_spec(5, a_recording(tmp_path, "d")), FIRST)
    recorder.apply(a_spec(6, None), FIRST)
    with pytest.raises(BadSpec, match="already"):
        recorder.apply(a_spec(7, a_recording(tmp_path, "d")), FIRST)
    hangs.set()
    while any(not one.is_over for one in recorder._ending):
        threading.Event().wait(0.005)
    recorder.apply(a_spec(8, a_recording(tmp_path, "d")), FIRST)
    assert recorder.is_recording("hall")


def test_what_nobody_records_is_counted(recorder: Recorder) -> None:
    """A tick of an unknown room is dropped."""
    recorder.hear("nowhere", Heard(FIRST))
    assert recorder.statistics()["room_recording_ticks_unknown_room_total"] == 1


def test_what_is_left_out_is_counted(recorder: Recorder, reports: Reports, tmp_path: Path) -> None:
    """Ticks that come too late and packets without a place, once each, of one that ends too."""
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    talk(recorder, FIRST, FIRST + 100)
    reports.wait_for(FIRST + 100, "monday", RecordingState.RECORDING, 2.0)
    talk(recorder, FIRST + 50, FIRST + 53)
    recorder.hear(
        "hall", Heard(FIRST + 100, packets=[tick_of(0, "ann").packets[0]._replace(payload=b"\x03")])
    )
    reports.wait_for(FIRST + 150, "monday", RecordingState.RECORDING, 3.0)
    recorder.apply(a_spec(2, None), FIRST + 151)
    reports.wait_for(FIRST + 151, "monday", RecordingState.FINISHED)
    counted = recorder.statistics()
    assert counted["room_recording_ticks_late_total"] == 3
    assert counted["room_recording_packets_dropped_total"] >= 1
    assert counted.get("room_recording_sounds_refused_total", 0) == 0


def test_an_end_that_comes_while_we_look_is_told(
    recorder: Recorder, reports: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the next news, and not forgotten with what is over."""
    hung, hangs, real = threading.Event(), threading.Event(), shelf.save_all

    def save_all(folder: Path, manifest: Manifest) -> None:
        hung.set()
        hangs.wait()
        real(folder, manifest)

    monkeypatch.setattr(shelf, "save_all", save_all)
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    reports.wait_for(FIRST, "monday", RecordingState.RECORDING)
    recorder.apply(a_spec(2, None), FIRST)
    (ending,) = recorder._ending
    assert hung.wait(5.0)
    recorder.poll(FIRST)  # what was new until then
    looked = Recording.has_news

    def has_news(one: Recording) -> bool:
        is_new = bool(looked.fget(one))  # type: ignore[attr-defined]
        hangs.set()
        one.join(5.0)
        return is_new

    monkeypatch.setattr(Recording, "has_news", property(has_news))
    assert recorder.poll(FIRST) == []
    assert ending.is_over
    assert [report.state for report in recorder.poll(FIRST)] == [RecordingState.FINISHED]
    assert not recorder.is_busy


def test_a_failed_recording_is_not_begun_again(
    recorder: Recorder, reports: Reports, tmp_path: Path
) -> None:
    """It is told why; the same name fails for good, another may be tried."""
    (tmp_path / "monday").touch()
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    reports.wait_for(FIRST, "monday", RecordingState.FAILED)
    assert reports.newest["monday"].failure is RecordingFailure.BROKEN
    (tmp_path / "monday").unlink()
    recorder.apply(a_spec(2, a_recording(tmp_path, is_paused=True)), FIRST)
    talk(recorder, FIRST, FIRST + 10)
    assert not recorder.is_recording("hall")
    assert recorder.statistics()["room_recordings_failed_total"] == 1
    recorder.apply(a_spec(3, a_recording(tmp_path, "tuesday")), FIRST)
    assert recorder.is_recording("hall")


class HungDisk:
    """A recording of a second whose next flush does not return before it is let go."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, max_bytes: int) -> None:
        self.folder = folder / "monday"
        self.recorder = Recorder(max_waiting_bytes=max_bytes)
        self.reports = Reports(self.recorder)
        self._version = 1
        self._hangs, is_there = threading.Event(), threading.Event()
        self._recording = a_recording(folder)
        self.apply(FIRST)
        self.reports.wait_for(FIRST + 50, "monday", RecordingState.RECORDING, 1.0)
        real = os.fdatasync

        def sync(file: int) -> None:
            is_there.set()
            self._hangs.wait()
            real(file)

        monkeypatch.setattr("hls.recording.files.os.fdatasync", sync)
        self.recorder.poll(FIRST + 100)
        is_there.wait()

    def apply(self, tick: int, **changes: Any) -> None:
        spec = replace(self._recording, **changes)
        self.recorder.apply(a_spec(self._version, spec), tick)
        self._version += 1

    @property
    def waiting(self) -> int:
        recording = self.recorder._rooms["hall"].recording
        assert recording is not None
        return len(recording._inbox._waiting)

    def end(self, tick: int) -> Manifest:
        """Let the disk go on, end the recording, and return what it says."""
        self._hangs.set()
        self.recorder.apply(a_spec(self._version, None), tick)
        self.reports.wait_for(tick, "monday", RecordingState.FINISHED)
        manifest = shelf.load(self.folder)
        assert manifest is not None
        return manifest


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room is dropped, counted, and said in the manifest where it is missing."""
    hung = HungDisk(tmp_path, monkeypatch, 50_000)
    talk(hung.recorder, FIRST + 100, FIRST + 400)  # returns at once
    lost = hung.recorder.statistics()["room_recording_ticks_lost_total"]
    assert 200 < lost < 300
    manifest = hung.end(FIRST + 400)
    assert manifest.lost == lost == hung.reports.newest["monday"].lost
    (gap,) = [event for event in manifest.events if event.kind is EventKind.LOST]
    assert gap.at_s == pytest.approx(8.0 - 0.02 * lost)
    assert len(decode(tmp_path / "monday/mix.ogg")) == 8 * 48_000


def test_a_disk_that_hangs_gathers_no_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it does, and however many come and go meanwhile."""
    hung = HungDisk(tmp_path, monkeypatch, 50_000)
    for number in range(1000):
        hung.apply(FIRST + 101, people=people(f"p{number}"))
        for tick in range(10):
            hung.recorder.poll(FIRST + 100 + 500 * number + 50 * tick)
    assert hung.waiting <= 50_000 // 400 + 1  # what is counted for a change, and one poll
    manifest = hung.end(FIRST + 500_000)
    names = [event.name for event in manifest.events if event.kind is EventKind.JOINED]
    assert names[-1] == "P999", "the last of them is told in the end"


def test_nothing_is_heard_of_a_pause_for_which_there_was_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the pause begins where it was asked for, though it is told later."""
    hung = HungDisk(tmp_path, monkeypatch, 50_000)
    recorder = hung.recorder
    talk(recorder, FIRST + 100, FIRST + 150)
    big = Heard(FIRST + 150, mix_pcm=np.zeros((960, 12), np.int16))
    while recorder._rooms["hall"].recording.hear(big):  # type: ignore[union-attr]
        pass
    fill = Heard(FIRST + 150)
    while recorder._rooms["hall"].recording.hear(fill):  # type: ignore[union-attr]
        pass
    hung.apply(FIRST + 150, is_paused=True, people=people(*"abcdefghij"))
    talk(recorder, FIRST + 150, FIRST + 200)
    recorder.poll(FIRST + 200)
    hung._hangs.set()
    while hung.waiting:
        threading.Event().wait(0.005)
    talk(recorder, FIRST + 200, FIRST + 250)
    hung.apply(FIRST + 250)
    manifest = hung.end(FIRST + 250)
    assert manifest.seconds == 3.0
    assert len(decode(tmp_path / "monday/mix.ogg")) == 3 * 48_000
    at = [event.at_s for event in manifest.events if event.kind is EventKind.PAUSED]
    assert at == [3.0]


def test_a_pause_that_was_never_told_ends_the_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end tells it all the same."""
    hung = HungDisk(tmp_path, monkeypatch, 50_000)
    while hung.recorder._rooms["hall"].recording.hear(Heard(FIRST + 100)):  # type: ignore[union-attr]
        pass
    hung.apply(FIRST + 150, is_paused=True)
    talk(hung.recorder, FIRST + 150, FIRST + 250)
    assert hung.end(FIRST + 250).seconds == 3.0


def test_a_process_that_ends_leaves_whole_files(tmp_path: Path) -> None:
    """On the way out all takes are ended, to be gone on with."""
    recorder = Recorder()
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    talk(recorder, FIRST, FIRST + 75)
    recorder.close(FIRST + 75, 5.0)
    manifest = shelf.load(tmp_path / "monday")
    assert manifest is not None
    assert manifest.state is RecordingState.INTERRUPTED
    assert len(decode(tmp_path / "monday/mix.ogg")) == 75 * 960


def test_a_disk_that_hangs_does_not_keep_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits as long as it is told and no longer."""
    hangs = threading.Event()
    monkeypatch.setattr("hls.recording.shelf.os.fdatasync", lambda _: hangs.wait())
    recorder = Recorder()
    recorder.apply(a_spec(1, a_recording(tmp_path)), FIRST)
    recorder.close(FIRST + 75, 0.01)
    hangs.set()


KILLED = """
import os, signal, sys
from pathlib import Path
from hls.recording.recorder import Recorder
from tests.hls.recording.test_recorder import *

folder = Path(sys.argv[1])
recorder = Recorder()
reports = Reports(recorder)
recorder.apply(a_spec(1, a_recording(folder, exact=True)), FIRST)
for second in range(8):
    talk(recorder, FIRST + 50 * second, FIRST + 50 * second + 50)
    reports.wait_for(FIRST + 50 * second + 50, "monday", RecordingState.RECORDING, second + 1.0)
talk(recorder, FIRST + 400, FIRST + 449)
while recorder._rooms["hall"].recording._inbox._waiting:
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.timeout(60)  # starts a process and FFmpeg eight times
def test_a_killed_process_loses_less_than_two_seconds(tmp_path: Path) -> None:
    """`kill -9` at the worst moment, 20 ms before a second is over: all files play, to 2 s at most.

    They do so as they are, and the manifest says the same once it is repaired.
    """
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    folder, spoken_s = tmp_path / "monday", 449 * 0.02
    paths = ["mix.ogg", "tracks/1-Ann.ogg", "exact/1-Ann.flac"]
    raw = {path: len(decode(folder / path)) / 48_000 for path in paths}
    assert all(spoken_s - 2 <= seconds <= spoken_s for seconds in raw.values()), raw
    manifest = shelf.repair(folder)
    assert manifest is not None
    assert manifest.state is RecordingState.INTERRUPTED
    for file in manifest.files:
        assert file.seconds == len(decode(folder / file.path)) / 48_000
        assert spoken_s - 2 <= file.seconds <= raw[file.path]
