"""One recording of a room, and the thread that writes it, which ends with it."""

import threading
from collections import Counter

from hls.core.webvtt import Cue
from hls.recording.core.heard import Heard
from hls.recording.inbox import Allowance, Gap, Inbox
from hls.recording.scribe import Moment, Order, Scribe
from hls.types import RecordingReport, RecordingSpec, RecordingState

TICK_S = 0.02

# What an object of each kind takes beside its sound, measured with tracemalloc: a little more.
_TICK_BYTES, _PACKET_BYTES, _FRAME_BYTES = 500, 450, 250
_CHANGE_BYTES = _PERSON_BYTES = 200


class Recording:
    """Steps for a scribe, which its thread does. Nothing here waits but `join`.

    Sound that finds no room is lost, and the manifest says where it is missing. A change that finds
    none is told later, and what is said before it is told is lost as well.
    """

    def __init__(self, order: Order, now: Moment, max_bytes: int, allowance: Allowance) -> None:
        self.spec = order.spec
        self.advanced = now.tick
        self._reported: RecordingReport | None = None
        self._counted: Counter[str] = Counter()
        self._changed = now
        self._is_told = True
        self._is_advancing = False
        self._gap: Gap | None = None
        self._scribe = Scribe(order)
        self._inbox = Inbox(max_bytes, allowance)
        self._inbox.put(lambda: self._scribe.begin(now))
        # A daemon: a disk that hangs must not keep the process.
        self._thread = threading.Thread(
            target=self._run, name=f"recording {order.room}", daemon=True
        )
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be written."""
        return self._scribe.is_over

    @property
    def has_news(self) -> bool:
        """Whether it is otherwise than it was reported."""
        return self._scribe.report is not self._reported

    @property
    def news(self) -> RecordingReport:
        """How it is, which is no news from now on."""
        self._reported = self._scribe.report
        return self._reported

    def counted(self) -> Counter[str]:
        """Return how much was left out, by what it was, since this was asked last."""
        now = Counter(self._scribe.counts)
        since, self._counted = now - self._counted, now
        return since

    def hear(self, heard: Heard) -> bool:
        """Take a tick; False if it is lost."""
        if self.is_over:
            return True
        if self._tell() and self._inbox.offer(lambda: self._scribe.hear(heard), _size(heard)):
            self._gap = None
            return True
        if self.spec.is_paused:  # it is left out anyway
            return True
        if self._gap is None or not self._gap.grow():
            self._gap = gap = Gap()
            moment = self._moment(heard.tick)
            # At the place of what is missing; few, for something was taken between any two.
            self._inbox.put(lambda: self._scribe.lose(gap.note(), moment))
        return False

    def caption(self, language: str, cue: Cue) -> bool:
        """Take a caption, which says itself when it is; False if it is lost."""
        size_bytes = _TICK_BYTES + 4 * len(cue.text)
        return self._inbox.offer(lambda: self._scribe.caption(language, cue), size_bytes)

    def change(self, spec: RecordingSpec, now: Moment) -> None:
        """Be what another spec of the same recording says."""
        self.spec, self._changed = spec, now
        size_bytes = _CHANGE_BYTES + _PERSON_BYTES * len(spec.people)
        self._is_told = self._inbox.offer(lambda: self._scribe.change(spec, now), size_bytes)

    def advance(self, now: Moment) -> None:
        """Have what there is made safe, unless that is to be done already."""
        if not self._is_advancing and self._tell():
            self.advanced, self._is_advancing = now.tick, True
            self._inbox.put(lambda: self._advance(now))

    def finish(self, now: Moment, state: RecordingState = RecordingState.FINISHED) -> None:
        """End it."""
        if not self._is_told:
            spec, changed = self.spec, self._changed
            self._inbox.put(lambda: self._scribe.change(spec, changed))
        self._inbox.put(lambda: self._scribe.finish(now, state))

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; whether that came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _tell(self) -> bool:
        """Tell the thread of a change for which there was no room; whether it knows all."""
        if not self._is_told:
            self.change(self.spec, self._changed)
        return self._is_told

    def _moment(self, tick: int) -> Moment:
        return Moment(tick, self._changed.unix_s + (tick - self._changed.tick) * TICK_S)

    # In the thread

    def _run(self) -> None:
        while not self._scribe.is_over:
            step = self._inbox.take()
            step()
        self._inbox.close()

    def _advance(self, now: Moment) -> None:
        self._is_advancing = False  # what comes while the disk is slow is made safe by the next
        self._scribe.advance(now)


def _size(heard: Heard) -> int:
    """Return what a tick takes in memory, in bytes."""
    pcm = 0 if heard.mix_pcm is None else heard.mix_pcm.nbytes
    packets = sum(_PACKET_BYTES + len(packet.payload) for packet in heard.packets)
    frames = sum(_FRAME_BYTES + frame.pcm.nbytes for frame in heard.frames)
    return _TICK_BYTES + len(heard.mix_packet) + pcm + packets + frames
