"""Loss that comes of sending too much, told from loss that comes by itself."""

from dataclasses import dataclass
from enum import Enum
from math import inf

from mixer.types import TICK_S

LEAST_PACKETS = 20  # since the last report: of fewer a share says nothing, as in silence
LOSSY = 0.03
GROWN_S = 0.06  # of round trip beside loss: more than radio and schedulers add by themselves
FLOODED_S = 0.25  # without loss: a queue that is still filling, and everything is late
JITTERY_S = 0.02  # of jitter, where no round trip is known: a filling queue spaces packets out
HALF_WINDOW_S = 60.0  # the least of one to two minutes is the way itself
STEPPED = 1.4  # times the rate: redundancy has begun, or fewer bits have ended
REMEMBER_S = 30.0  # what was delivered at a lower rate
USEFUL = 2 / 3  # of what is sent more: so much at least arrives where loss is chance
WORSE = 0.1  # of packets, lost at the higher rate beside what was lost before
# Where nothing tells of delay: a full queue loses the sender reports too, by which round trips are
# known. So much is more than redundancy could mend; and once less is sent, no more than before
# should be lost, but for a few.
HEAVY, STILL_LOSSY = 0.4, 0.08


class Verdict(Enum):
    """What a report says of a way."""

    UNKNOWN = "unknown"  # too little was sent to tell
    FREE = "free"  # what is lost is lost by chance
    DELAYED = "delayed"  # a queue has filled
    LOSSY = "lossy"  # probably one has: so much is lost, or so much more


@dataclass(frozen=True, slots=True)
class Feedback:
    """One report of a receiver, and what it was sent since the one before.

    `lost` is 0..1 (RFC 3550 §6.4.1), `octets` are payload.
    """

    lost: float
    jitter_s: float = 0.0
    round_trip_s: float | None = None
    packets: int = 0
    octets: int = 0

    @property
    def rate_bps(self) -> float:
        """Payload bits a second while there was something to send."""
        return 8 * self.octets / (max(1, self.packets) * TICK_S)


class Congestion:
    """Judges reports. A queue that fills delays what it does not lose, radio does not.

    A policer delays nothing; but if it is sent more, no more arrives. Loss alone proves nothing.
    """

    def __init__(self) -> None:
        self._round_trip = _Lowest()
        self._jitter = _Lowest()
        self._leaner: tuple[float, Feedback] | None = None  # when, and what came of it

    def note(self, feedback: Feedback, now: float, *, usual: float | None = None) -> Verdict:
        """Judge a report; `usual` is what is lost by chance, while less is sent for congestion."""
        jitter_s = feedback.jitter_s - self._jitter.note(feedback.jitter_s, now)
        late_s: float | None = None
        if feedback.round_trip_s is not None:
            late_s = feedback.round_trip_s - self._round_trip.note(feedback.round_trip_s, now)
        if feedback.packets < LEAST_PACKETS:
            return Verdict.UNKNOWN
        is_outsent = self._is_outsent(feedback, now)
        if feedback.lost < LOSSY:
            is_flooded = late_s is not None and late_s > FLOODED_S
            return Verdict.DELAYED if is_flooded else Verdict.FREE
        if jitter_s > JITTERY_S if late_s is None else late_s > GROWN_S:
            return Verdict.DELAYED
        too_much = HEAVY if usual is None else usual + STILL_LOSSY
        return Verdict.LOSSY if is_outsent or feedback.lost >= too_much else Verdict.FREE

    def _is_outsent(self, feedback: Feedback, now: float) -> bool:
        """Whether sending more has brought about more loss and not much more sound."""
        rate, leaner = feedback.rate_bps, self._leaner
        if leaner is None or now - leaner[0] > REMEMBER_S or rate <= leaner[1].rate_bps * 1.1:
            self._leaner = now, feedback
            return False
        before = leaner[1]
        more = rate / max(1.0, before.rate_bps)
        delivered = before.rate_bps * (1 - before.lost)
        return (
            more >= STEPPED
            and feedback.lost >= before.lost + WORSE
            and rate * (1 - feedback.lost) < delivered * (1 + (more - 1) * USEFUL)
        )


class _Lowest:
    """The least of the last one to two half windows."""

    def __init__(self) -> None:
        self._before = self._current = inf
        self._since = -inf

    def note(self, value: float, now: float) -> float:
        if now - self._since >= HALF_WINDOW_S:
            self._before, self._current, self._since = self._current, value, now
        self._current = min(self._current, value)
        return min(self._before, self._current)
