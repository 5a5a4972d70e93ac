"""A time-based jitter buffer: packets in as they arrive, 20 ms of one stream out per tick.

The buffer keeps a *position* in the sender's media time, which moves by one frame per tick, so a
loss changes nothing but its own place. How far the position lies behind the packets, the *offset*,
is steered into a band one frame wide whose lower edge follows the measured jitter: playout starts
when the offset is there, moves back when packets come too late for the position, and moves forward
when they wait for longer than they need. That is all a drifting clock needs too.
"""

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil
from operator import attrgetter

from mixer.core.admission import MAX_MISORDER, Admission, Refused
from mixer.core.jitter_target import GUARD_S, JitterTarget
from mixer.core.reception import Arrival, Conceal, Continue, Idle, JitterStatistics, Play
from mixer.core.sequence import extend
from mixer.core.toc import DTX_BYTES, has_fec, opus_duration
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S

__all__ = [
    "Arrival",
    "Conceal",
    "Continue",
    "Idle",
    "JitterBuffer",
    "JitterStatistics",
    "Play",
]

MAX_CONCEALED = 5  # 100 ms; a decoder has faded out by then, and more sounds like a robot
TRIM_SILENT_AFTER = 10  # ticks in a row above the band: 200 ms are a fair sample of jitter
SHRINK_AFTER = 50  # 1 s; to change the pace of a word must be worth it
WAIT_FOR_PAUSE = 100  # 2 s, unless much is to be won: most pauses of speech come sooner
MUCH_S = 3 * TICK_S  # above the target
TRIM_VOICE_AFTER = 250  # 5 s: nobody could play it faster
TRIM_VOICE_EVERY = 5  # 100 ms between cuts
MAX_JUMP = SAMPLE_RATE  # 1 s: a timestamp farther off is a new beginning (RFC 3550 leaves it open)
MAX_PACKETS = 128  # of 2.5 ms packets, 10 frames are 80
STOP_AFTER = 50  # 1 s without a packet: no DTX pauses so long (an update comes every 400 ms)


@dataclass(slots=True)  # frozen would cost three times as much to make, and nobody changes it
class _Packet:
    sequence: int
    timestamp: int
    samples: int
    payload: bytes
    silent: bool
    is_copy: bool = False  # from another packet's redundancy

    @property
    def end(self) -> int:
        return self.timestamp + self.samples


_BY_TIMESTAMP = attrgetter("timestamp")
_IDLE = Idle()
_PAUSE = Idle(comfort=True)
_CONTINUE = Continue()


class JitterBuffer:
    """Heals reordering, hides jitter and keeps the delay near its target; bounded in everything.

    The target is what `percentile` of the last `window` packets would have needed, at least
    `min_frames`: a packet that came as fast as any waits `min_frames - 1` frames and 5 ms, or up to
    one frame more. The target is at most `max_frames`, and one frame more is kept.

    A reader that can change the pace of what it plays looks at `steering` before each tick, and
    then may call `ahead` beside `pop`, or `hold` in place of it. From one that does not, packets
    are dropped when the delay is too long, and the delay grows by what is concealed.
    """

    def __init__(
        self,
        *,
        percentile: float = 0.97,
        window: int = 200,
        min_frames: int = 1,
        max_frames: int = 10,
    ) -> None:
        max_frames = max(min_frames, max_frames)
        self._target = JitterTarget(
            percentile=percentile, window=window, min_frames=min_frames, max_frames=max_frames
        )
        self._limit = max_frames + 1  # the band is a frame wide
        self._admission = Admission()
        self._packets: list[_Packet] = []  # by timestamp
        self._position: int | None = None  # the next frame's media time; None while not playing
        self._timestamp = 0  # of the packet with the highest sequence number, extended
        self._last: _Packet | None = None  # handed out last
        self._covered: int | None = None  # media time up to which packets were handed out
        self._gap = 0  # frames concealed in a row
        self._starved = 0  # ticks in a row that found the buffer empty
        self._roomy = 0  # ticks in a row with an offset above the band
        self._is_deep = False  # whether the last tick found it far above
        self._is_short = False  # or below
        self._transit_s = 0.0  # of the packet with the highest sequence number
        self._played_sequence: int | None = None  # the last that had its turn
        self._received = 0
        self._played = 0
        self._late = 0
        self._duplicate = 0
        self._lost = 0
        self._recovered_red = 0
        self._recovered_fec = 0
        self._concealed = 0
        self._trimmed = 0
        self._compressed = 0
        self._expanded = 0
        self._resyncs = 0

    def push(self, packet: Arrival) -> None:
        """Take a packet. Late and repeated ones are counted and dropped."""
        self._received += 1
        highest = self._admission.highest
        sequence = self._admit(packet)
        if sequence is None:
            return
        timestamp = extend(packet.timestamp, self._timestamp, 32)
        is_newer = highest is None or sequence > highest
        if is_newer:
            self._lead(packet, timestamp, 0 if highest is None else sequence - highest - 1)
        elif self._is_jump(timestamp):
            self._late += 1
            return
        self._target.add(packet.arrival_s - timestamp / SAMPLE_RATE)
        if self._is_late(timestamp, is_newer=is_newer):
            self._late += 1
        else:
            samples = opus_duration(packet.payload) or FRAME_SAMPLES
            silent = packet.silent or len(packet.payload) <= DTX_BYTES
            self._keep(_Packet(sequence, timestamp, samples, packet.payload, silent))
        for offset, payload in packet.redundancy:
            self._fill(sequence, timestamp - offset, payload, offset)
        self._bound()

    def pop(self, now: float) -> Play | Continue | Conceal | Idle:
        """Return what to play in this tick. To be called exactly once per 20 ms."""
        if self._position is None:
            if not self._is_primed(now):
                return _IDLE
            self._position = self._packets[0].timestamp
        if self._starved and self._packets:
            self._settle(self._position, now)
        head = self._due()
        if head is not None:
            self._steer(head, self._position, now)
            if self._may_trim(head):
                self._trim(head)
                head = self._due()
        self._position += FRAME_SAMPLES
        if head is not None:
            return self._play(head, self._position)
        if self._covered is not None and self._covered >= self._position:
            return _CONTINUE
        return self._miss(self._position)

    @property
    def steering(self) -> int:
        """1: it should be played slower for a while; 0: as it is; -1, -2: faster.

        At -1 only where nobody speaks, at -2 anywhere.
        """
        if self._position is None:
            return 0
        if self._is_short:
            return 1
        if self._roomy >= (SHRINK_AFTER if self._is_deep else WAIT_FOR_PAUSE):
            return -2
        return -1 if self._roomy >= TRIM_SILENT_AFTER else 0

    def ahead(self, now: float) -> Play | None:
        """Return, beside what `pop` has, what the next tick would play, if it can be spared.

        The reader plays both in the time of the first, sooner or later.
        """
        if self._position is None or self._position != self._covered or not self._packets:
            return None
        head = self._packets[0]
        if head.timestamp != self._position:
            return None
        spare_s = now - self._position / SAMPLE_RATE - self._target.level_s
        frames = max(1, head.samples // FRAME_SAMPLES)
        if self._roomy < TRIM_SILENT_AFTER or spare_s < (frames - 1) * TICK_S:
            return None
        self._position += frames * FRAME_SAMPLES
        self._compressed += frames
        self._roomy = min(self._roomy, SHRINK_AFTER) - 1
        return self._play(head, head.timestamp + FRAME_SAMPLES)

    def hold(self) -> None:
        """Let a tick pass in which the reader plays what it has stretched; in place of `pop`."""
        self._expanded += 1
        self._is_short = False

    def pause(self) -> None:
        """Forget what is buffered: the reader will not play it, and what follows may have gaps."""
        self._packets.clear()
        self._stop()
        self._covered = None
        self._played_sequence = None
        self._admission.reset()

    def reset(self) -> None:
        """Forget the stream, for instance because its SSRC changed; the counters go on."""
        self.pause()
        self._target.forget()

    @property
    def depth_frames(self) -> int:
        """The frames from the position to the end of the newest packet."""
        if not self._packets:
            return 0
        start = self._packets[0].timestamp if self._position is None else self._position
        return max(0, -((start - self._packets[-1].end) // FRAME_SAMPLES))

    def statistics(self) -> JitterStatistics:
        """Return the counters."""
        return JitterStatistics(
            received=self._received,
            played=self._played,
            late=self._late,
            duplicate=self._duplicate,
            lost=self._lost,
            recovered_red=self._recovered_red,
            recovered_fec=self._recovered_fec,
            concealed=self._concealed,
            trimmed=self._trimmed,
            compressed=self._compressed,
            expanded=self._expanded,
            resyncs=self._resyncs,
            depth_frames=self.depth_frames,
            target_frames=self._target.frames,
        )

    def _admit(self, packet: Arrival) -> int | None:
        """Return the packet's extended sequence number, or None if it is not wanted."""
        is_first = self._admission.highest is None
        sequence = self._admission.admit(packet.sequence)
        if isinstance(sequence, int):
            if is_first:
                self._timestamp = packet.timestamp + (1 << 32)
            return sequence
        if sequence is Refused.RESTARTED:
            self.reset()
            self._resyncs += 1
            return self._admit(packet)
        if sequence is Refused.DUPLICATE:
            self._duplicate += 1
        else:
            self._late += 1
        return None

    def _lead(self, packet: Arrival, timestamp: int, missing: int) -> None:
        """Take note of a packet that is ahead of all others."""
        self._timestamp = timestamp
        if self._is_jump(timestamp):
            self._restart()
        self._transit_s = packet.arrival_s - timestamp / SAMPLE_RATE
        repairable = 0
        if missing > 0:
            farthest = max((offset for offset, _ in packet.redundancy), default=0)
            repairable = min(missing, farthest // FRAME_SAMPLES) or int(has_fec(packet.payload))
        self._target.note_order(repairable=repairable)

    def _is_jump(self, timestamp: int) -> bool:
        if self._position is not None:
            return abs(timestamp - self._position) > MAX_JUMP
        return bool(self._packets) and abs(timestamp - self._packets[-1].timestamp) > MAX_JUMP

    def _is_late(self, timestamp: int, *, is_newer: bool) -> bool:
        if self._position is not None:
            # What starving ticks concealed may still be played, see _settle.
            return timestamp < self._position - self._starved * FRAME_SAMPLES
        return not is_newer and self._covered is not None and timestamp < self._covered

    def _keep(self, packet: _Packet) -> None:
        """Put a packet in its place, for good if a copy is there."""
        if not self._packets or packet.timestamp > self._packets[-1].timestamp:
            self._packets.append(packet)
            return
        at = bisect_left(self._packets, packet.timestamp, key=_BY_TIMESTAMP)
        if self._packets[at].timestamp == packet.timestamp and self._packets[at].is_copy:
            self._packets[at] = packet
        else:
            self._packets.insert(at, packet)

    def _fill(self, sequence: int, timestamp: int, payload: bytes, offset: int) -> None:
        """Put a copy of an earlier packet where a hole is that has not been played."""
        samples = opus_duration(payload)
        start = self._covered
        if start is None and self._packets:
            start = self._packets[0].end  # nothing begins with a copy
        if samples == 0 or offset < samples or start is None or timestamp < start:
            return
        if self._is_late(timestamp, is_newer=False) or self._is_jump(timestamp):
            return
        at = bisect_left(self._packets, timestamp, key=_BY_TIMESTAMP)
        if at > 0 and self._packets[at - 1].end > timestamp:
            return
        if at < len(self._packets) and self._packets[at].timestamp < timestamp + samples:
            return
        number = sequence - offset // samples
        silent = len(payload) <= DTX_BYTES
        self._packets.insert(at, _Packet(number, timestamp, samples, payload, silent, is_copy=True))

    def _restart(self) -> None:
        self._resyncs += 1
        self._packets.clear()
        self._stop()
        self._covered = None
        self._played_sequence = None
        self._target.forget()

    def _stop(self) -> None:
        """Stop playing: the next packet begins anew, at its own time."""
        self._position = None
        self._last = None
        self._gap = 0
        self._starved = 0
        self._calm()

    def _calm(self) -> None:
        self._roomy = 0
        self._is_deep = self._is_short = False

    def _bound(self) -> None:
        """Keep at most the limit: skip what is missing, then drop what is oldest."""
        while (excess := self.depth_frames - self._limit) > 0 or len(self._packets) > MAX_PACKETS:
            head = self._packets[0]
            if self._position is not None:
                missing = (head.timestamp - self._position) // FRAME_SAMPLES
                if excess > 0 and missing > 0:
                    self._position += min(missing, excess) * FRAME_SAMPLES
                    continue
            if len(self._packets) == 1:
                return  # longer than the limit by itself
            self._drop(head)
            if self._position is not None:
                self._position = max(self._position, head.end)

    def _drop(self, head: _Packet) -> None:
        del self._packets[0]
        self._trimmed += not head.is_copy
        self._played_sequence = head.sequence

    def _is_primed(self, now: float) -> bool:
        if not self._packets:
            return False
        offset_s = now - self._packets[0].timestamp / SAMPLE_RATE
        return offset_s >= self._target.level_s or self.depth_frames >= self._limit

    def _settle(self, position: int, now: float) -> None:
        """Packets came after the buffer had run empty: move back if they came too late.

        The newest packet decides, because those that a burst delayed come with one that it did not:
        then the concealed ones are lost and the delay stays as it was. The position never moves
        back by more than was concealed.
        """
        starved, self._starved = self._starved, 0
        if self._packets[0].timestamp >= position:
            return
        newest = self._packets[-1]
        offset_s = now - position / SAMPLE_RATE
        lacking_s = max(self._target.level_s, self._transit_s) - offset_s
        passed = ceil((position - newest.timestamp) / FRAME_SAMPLES)  # at least it must be played
        back = max(0, passed, ceil(lacking_s / TICK_S))
        self._position = position - min(starved, back) * FRAME_SAMPLES
        self._calm()

    def _due(self) -> _Packet | None:
        """Return the packet that begins in this tick; drop what begins before it."""
        assert self._position is not None, "only called while playing"
        while self._packets:
            head = self._packets[0]
            if head.timestamp >= self._position:
                return head if head.timestamp < self._position + FRAME_SAMPLES else None
            del self._packets[0]
            self._late += not head.is_copy
        return None

    def _steer(self, head: _Packet, position: int, now: float) -> None:
        """Compare the offset with the band."""
        spare_s = now - position / SAMPLE_RATE - self._target.level_s
        is_roomy = spare_s >= max(TICK_S, head.samples / SAMPLE_RATE)
        self._roomy = self._roomy + 1 if is_roomy else 0
        self._is_deep = spare_s >= MUCH_S
        self._is_short = spare_s < -GUARD_S / 2  # before anything is late

    def _may_trim(self, head: _Packet) -> bool:
        """Whether dropping `head` costs nothing but itself and leaves enough."""
        if self._roomy < (TRIM_SILENT_AFTER if head.silent else TRIM_VOICE_AFTER):
            return False
        return len(self._packets) > 1 and self._packets[1].timestamp == head.end

    def _trim(self, head: _Packet) -> None:
        assert self._position is not None, "only called while playing"
        self._drop(head)
        self._last = head
        self._position += head.samples
        self._roomy = min(self._roomy, TRIM_VOICE_AFTER - TRIM_VOICE_EVERY)

    def _play(self, head: _Packet, end: int) -> Play:
        """Hand out what begins before `end`, no more than fills the tick."""
        del self._packets[0]
        self._count(head)
        last, samples, silent = head, head.samples, head.silent
        payloads: tuple[bytes, ...] = (head.payload,)
        while samples < FRAME_SAMPLES and self._packets and self._packets[0].timestamp < end:
            last = self._packets.pop(0)
            self._count(last)
            samples += last.samples
            silent = silent and last.silent
            payloads = (*payloads, last.payload)
        self._last = last
        self._covered = last.end
        self._gap = 0
        self._starved = 0
        return Play(payloads, silent, max(1, samples // FRAME_SAMPLES))

    def _count(self, packet: _Packet) -> None:
        """Count a packet that is played, and those missing before it."""
        self._played += 1
        if packet.is_copy:
            self._lost += 1
            self._recovered_red += 1
        if self._played_sequence is not None:
            missing = packet.sequence - self._played_sequence - 1
            if 0 < missing <= MAX_MISORDER:
                self._lost += missing
        self._played_sequence = packet.sequence

    def _miss(self, position: int) -> Conceal | Idle:
        """Nothing begins in the tick before `position`: a loss, a pause or the end?"""
        assert self._last is not None, "playing began with a packet"
        if self._packets:
            return self._miss_between(self._last, self._packets[0], position)
        self._starved += 1
        if self._last.silent:
            if self._starved >= STOP_AFTER:
                self._stop()
                return _IDLE
            return _PAUSE if 0 < len(self._last.payload) <= DTX_BYTES else _IDLE
        if self._gap == MAX_CONCEALED:
            self._stop()
            return _IDLE
        return self._conceal(None)

    def _miss_between(self, last: _Packet, head: _Packet, position: int) -> Conceal | Idle:
        """A gap in the sequence numbers is a loss; one in the timestamps alone is a pause."""
        lost = head.sequence - last.sequence - 1
        if self._gap >= min(MAX_CONCEALED, ceil(lost * last.samples / FRAME_SAMPLES)):
            return _IDLE if lost else _PAUSE
        is_next = head.timestamp < position + FRAME_SAMPLES and head.samples == FRAME_SAMPLES
        return self._conceal(head.payload if is_next and has_fec(head.payload) else None)

    def _conceal(self, next_payload: bytes | None) -> Conceal:
        self._gap += 1
        if next_payload is None:
            self._concealed += 1
        else:
            self._recovered_fec += 1
        return Conceal(next_payload)
