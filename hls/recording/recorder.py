"""Every room's recording, each written by a thread of its own: nobody waits for a disk."""

import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from time import monotonic

from hls.core.webvtt import Cue
from hls.errors import BadSpec
from hls.recording.core.heard import TICK_SAMPLES, Heard
from hls.recording.inbox import Allowance
from hls.recording.recording import TICK_S, Recording
from hls.recording.scribe import Moment, Order
from hls.types import BroadcastSpec, Caption, RecordingReport, RecordingSpec, RecordingState

MAX_WAITING_BYTES = 32 << 20  # 20 s of ten people to the sample, should the disk hang
MAX_WAITING_BYTES_OF_ALL = 256 << 20  # a folder that hangs is that of all recordings
MAX_RECORDINGS = 64  # at a time: each has a thread and up to 250 files
ADVANCE_TICKS = 50  # 1 s: with half a second's hold, what a crash can cost
CLOSE_S = 0.4  # of the 0.7 s that a worker has to end
SAMPLE_RATE = 48_000

_REMEMBERED_ROOMS = 4096  # whose versions are, against a late spec
_NAME = re.compile(r"[\w][\w .-]{0,99}")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Room:
    """What a room's spec said last, and its recording if there is one."""

    spec: BroadcastSpec
    recording: Recording | None = None

    def moment(self, tick: int) -> Moment:
        """Return a tick with its wall clock."""
        return Moment(tick, self.spec.base_unix_s + (tick - self.spec.base_tick) * TICK_S)

    def sample(self, unix_s: float) -> int:
        """Return the sample at a time of the wall clock."""
        since_base = round((unix_s - self.spec.base_unix_s) * SAMPLE_RATE)
        return self.spec.base_tick * TICK_SAMPLES + since_base


class Recorder:
    """The recordings of all rooms; `now_tick` is floor(CLOCK_MONOTONIC / 20 ms)."""

    def __init__(self, *, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_waiting_bytes = max_waiting_bytes
        self._allowance = Allowance(MAX_WAITING_BYTES_OF_ALL)
        self._rooms: dict[str, _Room] = {}
        self._ending: list[Recording] = []
        self._counters: Counter[str] = Counter()

    def apply(self, spec: BroadcastSpec, now_tick: int) -> None:
        """Begin, pause, change or end a room's recording. Raises BadSpec, changing nothing.

        A spec whose version is not above the applied one is ignored. A recording that has failed is
        not begun again under the same name.
        """
        room = self._rooms.pop(spec.room, None)
        if room is not None and spec.version <= room.spec.version:
            self._rooms[spec.room] = room
            return
        try:
            self._check(spec.recording, room)
        except BadSpec:
            if room is not None:
                self._rooms[spec.room] = room
            raise
        recording = None if room is None else room.recording
        self._rooms[spec.room] = room = _Room(spec)  # as the newest, the oldest are forgotten
        room.recording = self._settled(recording, room, now_tick)
        self._forget()

    def _settled(self, recording: Recording | None, room: _Room, now_tick: int) -> Recording | None:
        """Return the recording that is wanted, made from the one there is if it is the same."""
        wanted, now = room.spec.recording, room.moment(now_tick)
        if recording is not None and (wanted is None or wanted.name != recording.spec.name):
            recording.finish(now)
            self._ending.append(recording)
            recording = None
        if wanted is None:
            return None
        if recording is None:
            self._counters["room_recordings_started_total"] += 1
            order = Order(room.spec.room, room.spec.channels, wanted)
            return Recording(order, now, self._max_waiting_bytes, self._allowance)
        if wanted != recording.spec:
            recording.change(wanted, now)
        return recording

    def _check(self, wanted: RecordingSpec | None, room: _Room | None) -> None:
        if wanted is None:
            return
        if _NAME.fullmatch(wanted.name) is None:
            raise BadSpec(
                "recording", "its name must be up to 100 letters, digits, spaces, - and _"
            )
        if not PurePosixPath(wanted.folder).is_absolute() or "\0" in wanted.folder:
            raise BadSpec("recording", "its folder must be an absolute path")
        before = None if room is None else room.recording
        if before is not None and before.spec.name == wanted.name:
            return
        # Those that end count too: on a disk that hangs each keeps its thread and what waits.
        ending = sum(not one.is_over for one in self._ending)
        if ending + self._count >= MAX_RECORDINGS:  # without the room in question
            raise BadSpec("recording", f"{MAX_RECORDINGS} rooms are recorded already")

    @property
    def _count(self) -> int:
        return sum(room.recording is not None for room in self._rooms.values())

    def _forget(self) -> None:
        """Forget the rooms that were told of longest ago, unless they are recorded."""
        idle = [name for name, room in self._rooms.items() if room.recording is None]
        for name in idle[: max(0, len(idle) - _REMEMBERED_ROOMS)]:
            del self._rooms[name]

    @property
    def is_busy(self) -> bool:
        """Whether anything is recorded, or still has to be made whole."""
        return bool(self._ending) or self._count > 0

    def is_recording(self, room: str) -> bool:
        """Whether what is heard in a room is written."""
        found = self._rooms.get(room)
        return found is not None and found.recording is not None and not found.recording.is_over

    def hear(self, room: str, heard: Heard) -> None:
        """Take what a room made of a tick; what nobody records is counted. Never waits."""
        found = self._rooms.get(room)
        if found is None or found.recording is None:
            self._counters["room_recording_ticks_unknown_room_total"] += 1
        elif not found.recording.hear(heard):
            self._counters["room_recording_ticks_lost_total"] += 1

    def caption(self, room: str, caption: Caption) -> bool:
        """Write down what is said in a recorded room; whether it is taken. Never waits.

        It is not where the room is not captioned in that language. In a pause it is taken, and not
        written.
        """
        found = self._rooms.get(room)
        if found is None or found.recording is None or found.recording.is_over:
            return False
        if caption.language not in {one.language for one in found.spec.captions}:
            return False
        start, end = found.sample(caption.start_unix_s), found.sample(caption.end_unix_s)
        is_taken = found.recording.caption(caption.language, Cue(start, end, caption.text))
        self._counters[f"room_recording_captions{'' if is_taken else '_lost'}_total"] += 1
        return is_taken

    def poll(self, now_tick: int) -> list[RecordingReport]:
        """Have a second made safe when it is over; return what has changed of whom.

        To be called a few times a second.
        """
        for room in self._rooms.values():
            recording = room.recording
            if recording is not None and now_tick - recording.advanced >= ADVANCE_TICKS:
                recording.advance(room.moment(now_tick))
        running = [room.recording for room in self._rooms.values() if room.recording is not None]
        new = [recording for recording in (*self._ending, *running) if recording.has_news]
        changed = [recording.news for recording in new]
        # The end may have come a moment ago: then it is the next news.
        self._ending = [one for one in self._ending if not one.is_over or one.has_news]
        for recording in new:
            for name, count in recording.counted().items():
                self._counters[f"room_recording_{name}_total"] += count
        failed = sum(report.state is RecordingState.FAILED for report in changed)
        self._counters["room_recordings_failed_total"] += failed
        return changed

    def close(self, now_tick: int, timeout_s: float = CLOSE_S) -> None:
        """End every take, each to be gone on with; wait until they are whole, so long in all."""
        running = [room for room in self._rooms.values() if room.recording is not None]
        for room in running:
            if room.recording is not None:
                room.recording.finish(room.moment(now_tick), RecordingState.INTERRUPTED)
                self._ending.append(room.recording)
                room.recording = None
        deadline = monotonic() + timeout_s
        for recording in self._ending:
            if not recording.join(max(0.0, deadline - monotonic())):
                _log.error("a recording's disk is too slow: its last seconds may be lost")
        self._ending.clear()

    def statistics(self) -> dict[str, int]:
        """Return counters (their names end in `_total`) and gauges (the others)."""
        return {**self._counters, "room_recordings_running": self._count}
