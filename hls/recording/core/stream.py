"""One stretch of somebody's RTP stream: its clock against ours, and what is not laid yet."""

from bisect import insort
from collections import deque
from typing import NamedTuple

from hls.recording.core.heard import HeardPacket

SECOND = 48_000
WINDOW = 10 * SECOND  # a clock 300 ppm off strays by 3 ms meanwhile
JUMP = SECOND // 5  # more than jitter makes of a pause
MISORDER = 1000  # packets (RFC 3550 A.1 allows 100; a stall holds back more)


class Held(NamedTuple):
    """A packet in a stretch; by its time first, so that they can be sorted."""

    timestamp: int
    is_copy: bool
    samples: int
    sequence: int
    packet: HeardPacket

    @property
    def end(self) -> int:
        """The timestamp behind it."""
        return self.timestamp + self.samples


class Stretch:
    """Packets whose timestamps belong together.

    The fastest of the last ten seconds tells how their clock lies to ours: a packet's time is its
    timestamp and what that one took to come.
    """

    def __init__(self, first: HeardPacket, samples: int) -> None:
        self.stream = first.stream
        self.waiting: list[Held] = []
        self._sequence = first.sequence + (1 << 16)
        self._timestamp = first.timestamp + (1 << 32)
        self._arrival = first.arrival
        self._samples = 0
        self._transits: deque[tuple[int, int]] = deque()  # (arrival, transit), transits ascending
        self._lead(first, samples)

    def continues(self, packet: HeardPacket, samples: int) -> bool:
        """Whether a packet is of this stretch: if not, another begins with it."""
        if packet.stream != self.stream:
            return False
        ahead = _distance(packet.sequence, self._sequence, 16)
        behind = _distance(self._timestamp, packet.timestamp, 32)
        if ahead <= 0:
            return ahead > -MISORDER and abs(behind) < MISORDER * max(samples, self._samples)
        gap = -behind - self._samples
        if abs(gap - (ahead - 1) * samples) <= samples:
            return True  # the packets between are lost
        waited = packet.arrival - self._arrival - self._samples
        return abs(gap - waited) <= JUMP

    def push(self, packet: HeardPacket, samples: int) -> bool:
        """Take a packet of this stretch; False if it is there already, or too old to matter."""
        if not packet.is_copy and _distance(packet.sequence, self._sequence, 16) > 0:
            self._sequence += _distance(packet.sequence, self._sequence, 16)
            self._timestamp += _distance(packet.timestamp, self._timestamp, 32)
            self._lead(packet, samples)
            return True
        behind = _distance(packet.timestamp, self._timestamp, 32)
        if not -SECOND < behind < 0:
            return False
        sequence = self._sequence + _distance(packet.sequence, self._sequence, 16)
        if packet.is_copy:
            sequence = self._sequence + behind // max(1, samples)
        held = Held(self._timestamp + behind, packet.is_copy, samples, sequence, packet)
        if any(one.timestamp < held.end and held.timestamp < one.end for one in self.waiting):
            return False
        insort(self.waiting, held)
        if not packet.is_copy:
            self._note_transit(packet.arrival, packet.arrival - held.timestamp)
        return True

    def time(self, held: Held) -> int:
        """Return when a packet of this stretch began, on our clock."""
        return held.timestamp + self._transits[0][1]

    def _lead(self, packet: HeardPacket, samples: int) -> None:
        self._arrival, self._samples = packet.arrival, samples
        held = Held(self._timestamp, packet.is_copy, samples, self._sequence, packet)
        insort(self.waiting, held)
        self._note_transit(packet.arrival, packet.arrival - held.timestamp)

    def _note_transit(self, arrival: int, transit: int) -> None:
        transits = self._transits
        while transits and transits[-1][1] >= transit:
            transits.pop()
        transits.append((arrival, transit))
        while transits[0][0] < arrival - WINDOW:
            transits.popleft()


def _distance(a: int, b: int, bits: int) -> int:
    """Return how far `a` is behind `b` on the circle of numbers of so many bits (RFC 1982)."""
    half = 1 << (bits - 1)
    return ((a - b + half) & ((1 << bits) - 1)) - half
