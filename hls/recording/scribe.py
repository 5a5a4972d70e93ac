"""Writes one recording: takes, people, pauses and failures. What it does may wait for a disk."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import thread_time
from typing import NamedTuple

from hls.core.webvtt import Cue
from hls.recording import shelf
from hls.recording.core.heard import Heard
from hls.recording.core.manifest import (
    FILE_NAME,
    BadManifest,
    Event,
    EventKind,
    Manifest,
    Person,
    Take,
    TakeEnd,
)
from hls.recording.take import TakeWriter
from hls.types import (
    RecordedPerson,
    RecordingFailure,
    RecordingReport,
    RecordingSpec,
    RecordingState,
)

MAX_EVENTS = 20_000  # a manifest of a few MB; a room of a thousand comes and goes ten times
KEPT_EVENTS = 1_000  # of those, for what says how sound and time belong together
SAVE_TICKS = 50  # 1 s
SAVE_SHARE = 20  # a manifest of 20,000 events takes 0.25 s: 5 % of a core at most
TICKS_PER_S = 50
SENTENCES = {
    RecordingFailure.FULL: "The disk is full, so the recording has ended.",
    RecordingFailure.GONE: "The recording's folder is not there any more.",
    RecordingFailure.DENIED: "The recording's folder may not be written to.",
    RecordingFailure.BROKEN: "The recording could not be written and has ended.",
}

_OF_TIME = {EventKind.PAUSED, EventKind.RESUMED, EventKind.TAKE, EventKind.LOST}

_log = logging.getLogger(__name__)


class Moment(NamedTuple):
    """A tick, and what the wall clock shows then."""

    tick: int
    unix_s: float


@dataclass(frozen=True, slots=True)
class Order:
    """What a recording is of: a room with so many channels, as its spec says."""

    room: str
    channels: int
    spec: RecordingSpec


class Scribe:
    """One recording from its first take in this process on. One thread at a time."""

    def __init__(self, order: Order) -> None:
        self.report = RecordingReport(order.room, order.spec.name, RecordingState.RECORDING)
        """How it is; another object after each change, so that any thread may look."""
        self.counts: dict[str, int] = {}
        """How much was left out, as `TakeWriter.counts`; another object, likewise."""
        self._order = order
        self._spec = order.spec
        self._folder = Path(order.spec.folder)
        self._manifest: Manifest | None = None
        self._writer: TakeWriter | None = None
        self._people: dict[str, RecordedPerson] = {}
        self._claim: int | None = None
        self._saved_tick = 0
        self._saved_files = 0
        self._save_s = 0.0  # what the last one took of the processor

    @property
    def is_over(self) -> bool:
        """Whether nothing more is written."""
        return self.report.state not in {RecordingState.RECORDING, RecordingState.PAUSED}

    def begin(self, now: Moment) -> None:
        """Begin the first take, or the next of a recording that is there already."""
        self._attempt(lambda: self._begin(now))

    def hear(self, heard: Heard) -> None:
        """Take a tick."""
        self._attempt(lambda: self._open.hear(heard))

    def caption(self, language: str, cue: Cue) -> None:
        """Take what can be read, as `TakeWriter.caption` does."""
        self._attempt(lambda: self._open.caption(language, cue))

    def lose(self, ticks: int, now: Moment) -> None:
        """Note that so many ticks were lost on their way here."""
        self._attempt(lambda: self._lose(ticks, now))

    def change(self, spec: RecordingSpec, now: Moment) -> None:
        """Pause, go on, note who came and went."""
        self._attempt(lambda: self._change(spec, now))

    def advance(self, now: Moment) -> None:
        """Make safe what there is, once a second."""
        self._attempt(lambda: self._advance(now))

    def finish(self, now: Moment, state: RecordingState = RecordingState.FINISHED) -> None:
        """End the recording; INTERRUPTED if it will go on with another take."""
        self._attempt(lambda: self._finish(now, state))

    # Each may raise OSError

    def _begin(self, now: Moment) -> None:
        shelf.make_folder(self._folder)
        self._claim = shelf.claim(self._folder, wait=True)  # until who repairs it is ready
        try:
            manifest = shelf.repair(self._folder)
        except BadManifest as error:
            _log.warning("the manifest in %s is put aside: %s", self._folder, error)
            name = self._folder / FILE_NAME
            name.replace(name.with_suffix(f".{int(now.unix_s)}.json"))
            manifest = None
        shelf.make_folder(self._folder)  # what was given up in the repair
        self._manifest = manifest = manifest or self._new_manifest(now)
        number, offset_s = self._next_take(), 0.0
        if manifest.takes:
            last = manifest.takes[-1]
            gap_s = now.unix_s - (manifest.ended_unix_s or last.began_unix_s + last.seconds)
            if manifest.is_paused:
                gap_s = 0.0  # left out like the rest of the pause
            offset_s = last.offset_s + last.seconds + max(0.0, gap_s)
        manifest.takes.append(Take(number, now.unix_s, offset_s, ended_unix_s=now.unix_s))
        manifest.state, manifest.ended_unix_s = RecordingState.RECORDING, None
        manifest.failure, manifest.sentence = None, ""
        writer = TakeWriter(self._folder, manifest, self._spec, self._order.channels)
        writer.begin(now.tick)
        self._writer = writer
        if len(manifest.takes) > 1:
            self._note(EventKind.TAKE, now)
        self._greet(self._spec, now)
        if self._spec.is_paused:
            self._pause(now)
        self._save(now)

    def _new_manifest(self, now: Moment) -> Manifest:
        spec = self._spec
        return Manifest(self._order.room, spec.name, now.unix_s, spec.mix, spec.tracks, spec.exact)

    def _next_take(self) -> int:
        """Return the first number from the manifest's on that no file has."""
        takes = [] if self._manifest is None else self._manifest.takes
        number = max((take.number for take in takes), default=0) + 1
        while any(self._folder.glob("mix.*" if number == 1 else f"mix.take{number}.*")):
            number += 1
        return number

    def _change(self, spec: RecordingSpec, now: Moment) -> None:
        self._greet(spec, now)
        if spec.is_paused == self._spec.is_paused:
            return  # who came and went is saved with the next second
        if spec.is_paused:
            self._pause(now)
        else:
            self._open.clock.resume(now.tick)
            self._note(EventKind.RESUMED, now)
        self._spec = replace(self._spec, is_paused=spec.is_paused)
        self._save(now)

    def _pause(self, now: Moment) -> None:
        self._open.clock.pause(now.tick)
        self._note(EventKind.PAUSED, now)

    def _greet(self, spec: RecordingSpec, now: Moment) -> None:
        """Note who came, who went, who was muted and who is called otherwise."""
        people = {person.peer: person for person in spec.people}
        for peer, before in self._people.items():
            if peer not in people:
                self._note(EventKind.LEFT, now, before)
        for peer, person in people.items():
            known = self._people.get(peer)
            if known is None or known.name != person.name:  # they may be a thousand
                self._enrol(person)
            if known is None:
                self._note(EventKind.JOINED, now, person)
            elif known.name != person.name:
                self._note(EventKind.RENAMED, now, person)
            if person.is_muted != (known is not None and known.is_muted):
                self._note(EventKind.MUTED if person.is_muted else EventKind.UNMUTED, now, person)
        self._people = people

    def _enrol(self, person: RecordedPerson) -> None:
        people = self._known.people
        for one in people:
            if one.peer == person.peer:
                one.name = person.name
                return
        people.append(Person(len(people) + 1, person.peer, person.name))

    def _lose(self, ticks: int, now: Moment) -> None:
        self._known.lost += ticks
        self._note(EventKind.LOST, now)

    def _advance(self, now: Moment) -> None:
        self._open.advance(now.tick)
        self._known.takes[-1].ended_unix_s = now.unix_s
        due = max(SAVE_TICKS, SAVE_SHARE * TICKS_PER_S * self._save_s)
        if len(self._known.files) > self._saved_files or now.tick - self._saved_tick >= due:
            self._save(now)
        else:
            self._tell()

    def _finish(self, now: Moment, state: RecordingState) -> None:
        self._open.finish(now.tick)
        is_over = state is RecordingState.FINISHED
        self._end(now.unix_s, state, TakeEnd.STOPPED if is_over else TakeEnd.INTERRUPTED)
        shelf.save_all(self._folder, self._known)
        self._let_go()
        self._tell()

    def _let_go(self) -> None:
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _end(self, unix_s: float, state: RecordingState, end: TakeEnd) -> None:
        self._known.state, self._known.ended_unix_s = state, unix_s
        take = self._known.takes[-1]
        take.end, take.ended_unix_s = end, unix_s

    # What goes wrong

    def _attempt(self, step: Callable[[], None]) -> None:
        if self.is_over:
            return
        try:
            step()
        except OSError as error:
            self._fail(shelf.failure_of(error), str(error.strerror))
        except Exception as error:  # noqa: BLE001 - a boundary: other recordings go on
            self._fail(RecordingFailure.BROKEN, repr(error))

    def _fail(self, failure: RecordingFailure, reason: str) -> None:
        _log.error("the recording in %s has failed: %s", self._folder, reason)
        sentence = SENTENCES[failure]
        if self._writer is not None:
            self._writer.abandon()
        if self._manifest is not None and self._manifest.takes:
            shelf.mend(self._folder, self._manifest, RecordingState.FAILED, TakeEnd.FAILED)
            self._manifest.failure, self._manifest.sentence = failure, sentence
            with suppress(OSError):
                shelf.save_all(self._folder, self._manifest)
        with suppress(OSError):
            self._let_go()
        self.report = replace(
            self.report, state=RecordingState.FAILED, failure=failure, sentence=sentence
        )

    # What it says

    @property
    def _open(self) -> TakeWriter:
        assert self._writer is not None, "begin() comes first, and if it fails the end"
        return self._writer

    @property
    def _known(self) -> Manifest:
        assert self._manifest is not None, "begin() comes first, and if it fails the end"
        return self._manifest

    def _note(self, kind: EventKind, now: Moment, person: RecordedPerson | None = None) -> None:
        if len(self._known.events) >= MAX_EVENTS - KEPT_EVENTS * (kind not in _OF_TIME):
            return
        at_s = self._known.takes[-1].offset_s + self._open.position_at(now.tick)
        peer, name = (None, "") if person is None else (person.peer, person.name)
        self._known.events.append(Event(round(at_s, 3), round(now.unix_s, 3), kind, peer, name))

    def _save(self, now: Moment) -> None:
        clock = self._open.clock
        self._known.state = RecordingState.PAUSED if clock.is_paused else RecordingState.RECORDING
        began = thread_time()
        shelf.save(self._folder, self._known)
        self._save_s = thread_time() - began
        self._saved_tick, self._saved_files = now.tick, len(self._known.files)
        self._tell()

    def _tell(self) -> None:
        manifest, self.counts = self._known, self._open.counts
        self.report = RecordingReport(
            self._order.room,
            self._order.spec.name,
            manifest.state,
            round(manifest.seconds, 3),
            manifest.size_bytes,
            manifest.takes[-1].number,
            manifest.lost,
        )
