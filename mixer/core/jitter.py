"""A time-based jitter buffer: packets in as they arrive, 20 ms of one stream out per tick.

The buffer keeps a *position* in the sender's media time, which moves by one frame per tick, so a
loss changes nothing but its own place. How long a packet waits, its *slack*, is steered into a band
one frame wide whose lower edge is the margin against jitter: playout starts when the first packet
has waited that long, moves back when packets come too late for the position, and moves forward, by
dropping packets, when nothing has come late for a while. That is all a drifting clock needs too.
"""

from bisect import insort
from dataclasses import dataclass
from math import ceil, inf
from operator import attrgetter

from mixer.core.sequence import distance, extend
from mixer.core.toc import DTX_BYTES, opus_duration
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S

MAX_CONCEALED = 5  # 100 ms; a decoder has faded out by then, and more sounds like a robot
TRIM_SILENT_AFTER = 10  # packets in a row with too much slack: 200 ms are a fair sample of jitter
TRIM_VOICE_AFTER = 50  # 1 s; a cut in a word must be worth it
TRIM_VOICE_EVERY = 5  # 100 ms between cuts
MAX_JUMP = SAMPLE_RATE  # 1 s: a timestamp farther off is a new beginning (RFC 3550 leaves it open)
MAX_MISORDER = 100  # RFC 3550 A.1: an older number is late up to here, suspicious beyond
MAX_PACKETS = 128  # of 2.5 ms packets, 10 frames are 80
STOP_AFTER = 50  # 1 s without a packet: no DTX pauses so long (an update comes every 400 ms)

_SEEN_BITS = 128  # how far back duplicates are told from late packets: beyond MAX_MISORDER
_SEEN_MASK = (1 << _SEEN_BITS) - 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """One decrypted RTP packet of an Opus stream.

    An empty payload stands for 20 ms that are known to be silent and were not decrypted.
    """

    sequence: int
    """As on the wire: 16 bit."""
    timestamp: int
    """As on the wire: 32 bit, 48 kHz."""
    payload: bytes
    arrival_s: float
    """On the clock that `pop` is asked with."""
    silent: bool
    """Known to hold nobody's voice."""
    redundancy: tuple[tuple[int, bytes], ...] = ()
    """Earlier frames that came with this one: timestamp units before it, and payload."""


@dataclass(frozen=True, slots=True)
class Play:
    """Decode these packets, in order; they begin in this tick.

    Mostly one packet of 20 ms. Shorter packets come several at once: if they hold less than a
    frame, the rest is missing and to be concealed. Longer ones fill this tick and the `frames - 1`
    after it, for which `pop` returns `Continue`.
    """

    payloads: tuple[bytes, ...]
    silent: bool
    """All of them are known to be silent."""
    frames: int = 1
    """The ticks that begin with this one and are filled by these packets."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Play what is left of the packet handed out before."""


@dataclass(frozen=True, slots=True)
class Conceal:
    """A frame is due and missing.

    `next_payload` is the 20 ms packet that follows the gap, if it is here: its in-band FEC may
    hold the missing frame. It will be played at the next tick all the same.
    """

    next_payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is due: the stream has not begun, has ended, or pauses (DTX)."""


@dataclass(frozen=True, slots=True)
class JitterStatistics:
    """Counters since the beginning, in packets unless said otherwise, and the present depth."""

    received: int
    played: int
    late: int
    """Came after their place had been concealed or passed."""
    duplicate: int
    concealed: int
    """Frames, not packets."""
    trimmed: int
    """Dropped to win back delay."""
    resyncs: int
    """New beginnings: jumps of timestamp or sequence number."""
    depth_frames: int
    target_frames: int


@dataclass(slots=True)  # frozen would cost three times as much to make, and nobody changes it
class _Packet:
    sequence: int
    timestamp: int
    samples: int
    arrival_s: float
    payload: bytes
    silent: bool


_BY_TIMESTAMP = attrgetter("timestamp")
_IDLE = Idle()
_CONTINUE = Continue()


class JitterBuffer:
    """Heals reordering, hides jitter and keeps the delay near its target; bounded in everything.

    `target_frames` may be set at any time: a packet then waits between `target_frames - 1.5` and
    `target_frames - 0.5` frames (for a target of 1: up to one frame). Never more than `max_frames`
    are kept, if the target is not above that.
    """

    def __init__(self, *, target_frames: int = 2, max_frames: int = 10) -> None:
        self.target_frames = target_frames
        self.max_frames = max_frames
        self._packets: list[_Packet] = []  # by timestamp
        self._position: int | None = None  # the next frame's media time; None while not playing
        self._first_arrival_s = 0.0  # of the packets that wait for playout to start
        self._highest: int | None = None  # sequence number, extended
        self._timestamp = 0  # of that packet, extended
        self._seen = 0  # bit n: the packet n before the highest was here
        self._suspect: int | None = None  # a sequence number too old to be merely late
        self._last: _Packet | None = None  # handed out last
        self._covered: int | None = None  # media time up to which packets were handed out
        self._gap = 0  # frames concealed in a row
        self._starved = 0  # ticks in a row that found the buffer empty
        self._roomy = 0  # packets in a row with slack above the band
        self._least_slack_s = inf  # among those
        self._received = 0
        self._played = 0
        self._late = 0
        self._duplicate = 0
        self._concealed = 0
        self._trimmed = 0
        self._resyncs = 0

    def push(self, packet: Arrival) -> None:
        """Take a packet. Late and repeated ones are counted and dropped."""
        self._received += 1
        highest = self._highest
        sequence = self._admit(packet)
        if sequence is None:
            return
        is_newer = highest is None or sequence > highest
        timestamp = extend(packet.timestamp, self._timestamp, 32)
        if is_newer:
            self._timestamp = timestamp
            if self._is_jump(timestamp):
                self._restart()
        elif self._is_jump(timestamp):
            self._late += 1
            return
        if self._is_late(timestamp, is_newer=is_newer):
            self._late += 1
            return
        if not self._packets:
            self._first_arrival_s = packet.arrival_s
        kept = _Packet(
            sequence,
            timestamp,
            opus_duration(packet.payload) or FRAME_SAMPLES,
            packet.arrival_s,
            packet.payload,
            packet.silent or len(packet.payload) <= DTX_BYTES,
        )
        if self._packets and timestamp < self._packets[-1].timestamp:
            insort(self._packets, kept, key=_BY_TIMESTAMP)
        else:
            self._packets.append(kept)
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
        if head is not None and self._may_trim(head, now):
            self._trim(head)
            head = self._due()
        self._position += FRAME_SAMPLES
        if head is not None:
            return self._play(head, self._position)
        if self._covered is not None and self._covered >= self._position:
            return _CONTINUE
        return self._miss(self._position)

    def reset(self) -> None:
        """Forget the stream, for instance because its SSRC changed; the counters go on."""
        self._packets.clear()
        self._stop()
        self._covered = None
        self._highest = None
        self._suspect = None

    @property
    def depth_frames(self) -> int:
        """The frames from the position to the end of the newest packet."""
        if not self._packets:
            return 0
        newest = self._packets[-1]
        start = self._packets[0].timestamp if self._position is None else self._position
        return max(0, -((start - newest.timestamp - newest.samples) // FRAME_SAMPLES))

    def statistics(self) -> JitterStatistics:
        """Return the counters."""
        return JitterStatistics(
            received=self._received,
            played=self._played,
            late=self._late,
            duplicate=self._duplicate,
            concealed=self._concealed,
            trimmed=self._trimmed,
            resyncs=self._resyncs,
            depth_frames=self.depth_frames,
            target_frames=self.target_frames,
        )

    @property
    def _margin_s(self) -> float:
        """The least slack we want: below it jitter would show, a frame above it is wasted."""
        return max(0.0, self.target_frames - 1.5) * TICK_S

    def _admit(self, packet: Arrival) -> int | None:
        """Return the packet's extended sequence number, or None for one that was here before."""
        if self._highest is None:
            # A circle up, so that what was sent before it has positive numbers.
            self._highest = packet.sequence + (1 << 16)
            self._timestamp = packet.timestamp + (1 << 32)
            self._seen = 1
            return self._highest
        sequence = extend(packet.sequence, self._highest)
        behind = self._highest - sequence
        if behind < 0:
            self._highest = sequence
            self._seen = (self._seen << min(-behind, _SEEN_BITS) | 1) & _SEEN_MASK
            self._suspect = None
            return sequence
        if behind > MAX_MISORDER:
            return self._admit_suspect(packet)
        if self._seen >> behind & 1:
            self._duplicate += 1
            return None
        self._seen |= 1 << behind
        return sequence

    def _admit_suspect(self, packet: Arrival) -> int | None:
        """Two packets in order, far behind: the sender began anew (RFC 3550 A.1)."""
        if self._suspect is None or distance(packet.sequence, self._suspect) != 1:
            self._suspect = packet.sequence
            self._late += 1
            return None
        self.reset()
        self._resyncs += 1
        return self._admit(packet)

    def _is_jump(self, timestamp: int) -> bool:
        if self._position is not None:
            return abs(timestamp - self._position) > MAX_JUMP
        return bool(self._packets) and abs(timestamp - self._packets[-1].timestamp) > MAX_JUMP

    def _is_late(self, timestamp: int, *, is_newer: bool) -> bool:
        if self._position is not None:
            # What starving ticks concealed may still be played, see _settle.
            return timestamp < self._position - self._starved * FRAME_SAMPLES
        return not is_newer and self._covered is not None and timestamp < self._covered

    def _restart(self) -> None:
        self._resyncs += 1
        self._packets.clear()
        self._stop()
        self._covered = None

    def _stop(self) -> None:
        """Stop playing: the next packet begins anew, at its own time."""
        self._position = None
        self._last = None
        self._gap = 0
        self._starved = 0
        self._calm()

    def _calm(self) -> None:
        self._roomy = 0
        self._least_slack_s = inf

    def _bound(self) -> None:
        """Keep at most `max_frames`: skip what is missing, then drop what is oldest."""
        limit = max(self.max_frames, self.target_frames)
        while (excess := self.depth_frames - limit) > 0 or len(self._packets) > MAX_PACKETS:
            head = self._packets[0]
            if self._position is not None:
                missing = (head.timestamp - self._position) // FRAME_SAMPLES
                if excess > 0 and missing > 0:
                    self._position += min(missing, excess) * FRAME_SAMPLES
                    continue
            if len(self._packets) == 1:
                return  # longer than the limit by itself
            del self._packets[0]
            self._trimmed += 1
            if self._position is not None:
                self._position = max(self._position, head.timestamp + head.samples)

    def _is_primed(self, now: float) -> bool:
        if not self._packets:
            return False
        waited_s = now - self._first_arrival_s
        return waited_s >= self._margin_s or self.depth_frames >= self.max_frames

    def _slack_s(self, packet: _Packet, position: int, now: float) -> float:
        """Return how long the packet will have waited at the tick it begins in."""
        ticks = (packet.timestamp - position) // FRAME_SAMPLES
        return now - packet.arrival_s + ticks * TICK_S

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
        lacking_s = self._margin_s - self._slack_s(newest, position, now)
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
            self._late += 1
        return None

    def _may_trim(self, head: _Packet, now: float) -> bool:
        """Whether dropping `head` costs nothing but itself and leaves slack enough."""
        assert self._position is not None, "only called while playing"
        slack_s = self._slack_s(head, self._position, now)
        threshold_s = self._margin_s + max(TICK_S, head.samples / SAMPLE_RATE)
        self._roomy += 1
        self._least_slack_s = min(self._least_slack_s, slack_s)
        if self._least_slack_s < threshold_s:
            self._calm()
            return False
        if self._roomy < (TRIM_SILENT_AFTER if head.silent else TRIM_VOICE_AFTER):
            return False
        end = head.timestamp + head.samples
        return len(self._packets) > 1 and self._packets[1].timestamp == end

    def _trim(self, head: _Packet) -> None:
        assert self._position is not None, "only called while playing"
        del self._packets[0]
        self._trimmed += 1
        self._last = head
        self._position += head.samples
        self._least_slack_s -= head.samples / SAMPLE_RATE
        self._roomy = min(self._roomy, TRIM_VOICE_AFTER - TRIM_VOICE_EVERY)

    def _play(self, head: _Packet, end: int) -> Play:
        """Hand out what begins before `end`, no more than fills the tick."""
        del self._packets[0]
        last, samples, silent = head, head.samples, head.silent
        payloads: tuple[bytes, ...] = (head.payload,)
        while samples < FRAME_SAMPLES and self._packets and self._packets[0].timestamp < end:
            last = self._packets.pop(0)
            samples += last.samples
            silent = silent and last.silent
            payloads = (*payloads, last.payload)
        self._last = last
        self._covered = last.timestamp + last.samples
        self._gap = 0
        self._starved = 0
        self._played += len(payloads)
        return Play(payloads, silent, max(1, samples // FRAME_SAMPLES))

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
        if self._gap == MAX_CONCEALED:
            self._stop()
            return _IDLE
        return self._conceal(None)

    def _miss_between(self, last: _Packet, head: _Packet, position: int) -> Conceal | Idle:
        """A gap in the sequence numbers is a loss; one in the timestamps alone is a pause."""
        lost_samples = (head.sequence - last.sequence - 1) * last.samples
        if self._gap >= min(MAX_CONCEALED, ceil(lost_samples / FRAME_SAMPLES)):
            return _IDLE
        is_next = head.timestamp < position + FRAME_SAMPLES and head.samples == FRAME_SAMPLES
        return self._conceal(head.payload if is_next else None)

    def _conceal(self, next_payload: bytes | None) -> Conceal:
        self._gap += 1
        self._concealed += 1
        return Conceal(next_payload or None)
