"""A network that loses, delays, reorders and repeats what it carries: seeded, without a clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Network:
    """What happens to each packet, as probabilities and seconds. The default does nothing.

    Two networks that are equal do the same to the same packets.
    """

    seed: int = 0
    delay_s: float = 0.02
    loss: float = 0.0
    """Independent loss, outside bursts."""
    burst_enter: float = 0.0
    """Gilbert-Elliott: the chance, per packet, that a burst begins."""
    burst_leave: float = 1.0
    """The chance, per packet, that it ends: its mean length is `1 / burst_leave`."""
    burst_loss: float = 1.0
    """The loss within a burst."""
    jitter_s: float = 0.0
    """Mean of the exponential delay on top; as in a queue, it reorders nothing."""
    spread_s: float = 0.0
    """Each packet is delayed by up to this on top, all delays alike: what overtakes, reorders."""
    reorder: float = 0.0
    """The chance that a packet takes a way that is `reorder_s` longer, alone."""
    reorder_s: float = 0.03
    duplicate: float = 0.0
    drift_ppm: float = 0.0
    """How much faster the sender's clock runs than the receiver's."""

    def carry(self, sent: Iterable[tuple[float, T]]) -> Iterator[tuple[float, T]]:
        """Yield (arrival, packet) in order of arrival, for packets in order of sending.

        Times are seconds: those of `sent` on the sender's clock, the others on the receiver's.
        """
        random = Random(self.seed)
        waiting: list[tuple[float, int, T]] = []
        count = 0
        queue_s = 0.0
        is_burst = False
        for sent_s, packet in sent:
            left_s = sent_s / (1 + self.drift_ppm * 1e-6)
            while waiting and waiting[0][0] <= left_s:
                arrival_s, _, first = heappop(waiting)
                yield arrival_s, first
            is_burst = random.random() < (1 - self.burst_leave if is_burst else self.burst_enter)
            # All dice are thrown for each packet, so that one probability does not move another.
            is_lost = random.random() < (self.burst_loss if is_burst else self.loss)
            jitter_s = random.expovariate(1.0) * self.jitter_s
            is_detour = random.random() < self.reorder
            is_double = random.random() < self.duplicate
            spread_s = random.random() * self.spread_s
            queue_s = max(queue_s, left_s + self.delay_s + jitter_s)
            if is_lost:
                continue
            for copy in range(1 + is_double):
                late_s = spread_s + self.reorder_s * is_detour + 0.001 * copy
                heappush(waiting, (queue_s + late_s, count, packet))
                count += 1
        while waiting:
            arrival_s, _, last = heappop(waiting)
            yield arrival_s, last


class Bottleneck:
    """A link of `rate_bps` with a queue of `queue_s` in front; what finds it full is dropped.

    For senders that answer to what they cause: each packet is asked about as it is sent.
    """

    def __init__(self, rate_bps: float, *, delay_s: float = 0.02, queue_s: float = 0.3) -> None:
        self.rate_bps = rate_bps
        self._delay_s, self._queue_s = delay_s, queue_s
        self._free_at = 0.0

    def carry(self, now: float, octets: int) -> float | None:
        """Return when a packet sent now arrives; None: it does not."""
        waits_s = max(0.0, self._free_at - now)
        if waits_s > self._queue_s:
            return None
        self._free_at = now + waits_s + 8 * octets / self.rate_bps
        return self._free_at + self._delay_s
