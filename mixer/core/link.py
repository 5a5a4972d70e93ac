"""The way to one person: what it carries by their reports, and how they are sent the mix."""

from dataclasses import dataclass
from math import ceil, inf

from mixer.core.congestion import Congestion, Feedback, Verdict
from mixer.types import Delivery, LinkMode

MIX_BPS = 96_000
# Loss is believed quickly and forgotten slowly: a browser reports every 1 to 5 s, and help that is
# taken away too early costs more than help that stays.
RISING, FALLING = 0.5, 0.125
HELP_FROM, HELP_UNTIL = 0.03, 0.01  # of our packets lost: begins and ends redundancy or FEC
# One earlier frame leaves 1 % of holes at 10 % loss, two leave 0.1 %.
TWICE_FROM, TWICE_UNTIL = 0.08, 0.04
BACK_OFF = 0.85  # of what was sent: the queue must drain
LEAST_BPS = 16_000  # below it no report is believed: no speech is left
SETTLE_S = 1.5  # the report after a step down is still of the time before it
WAIT_S, MAX_WAIT_S = 10.0, 320.0  # after congestion, before the estimate grows again
RELAPSE_S = 30.0  # congestion so soon after a step up: it came too early
FORGIVE_S = 300.0  # without congestion, and everything fits
GROWTH = 1.05  # a second
MAX_GAP_S = 10.0  # of growth at once
IN_VAIN, LESS = 3, 0.8  # times that less was sent, and of what was lost before not even less
DOUBT = 0.2  # more lost than what was shown to be chance
AMPLE = 4  # times the mix: more than we ever send
THIN_SHARE = 2 / 3  # of the mix: at 64 kb/s SILK is better than CELT (4.3 for 3.8 of PESQ)
REMB_S = 10.0  # senders of it repeat it every second
HEADERS_BPS = 20_000  # IP, UDP, RTP and SRTP of 50 packets: an REMB counts them
# Percent, told to the encoder. Told less than 10 libopus leaves FEC out below 40 kb/s: at 5 % loss
# that would be 2.1 of PESQ in place of 2.9.
FEC_STEP, LEAST_FEC, MOST_FEC = 5, 10, 30
ROBUST_STEP_BPS, CLEAR_STEP_BPS = 4_000, 8_000
EVERY_S = 1.0  # a room regroups for each change

_AS_IT_IS = Delivery()
_RATES = {LinkMode.ROBUST: 0, LinkMode.CLEAR: 1, LinkMode.RED1: 2, LinkMode.RED2: 3}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person's offer says, and what their room's mix has."""

    takes_red: bool = False
    takes_fec: bool = False
    limit_bps: int = 0  # maxaveragebitrate (RFC 7587 §6.1); 0: none
    mix_bps: int = MIX_BPS


class Link:
    """Chooses how a person is sent the mix: as clear as their link carries, as safe as it needs.

    Loss by chance brings redundancy, or FEC where that is not taken. Congestion lowers the estimate
    of what the link carries: redundancy goes first, then the mix's bit rate. The estimate grows
    again after a while, twice as late each time that this proved too early. Where less was sent in
    vain the loss is chance after all.
    """

    def __init__(self) -> None:
        self.terms = Terms()
        self.loss = 0.0
        """Of our packets, 0..1, smoothed."""
        self.mode = LinkMode.CLEAR
        self._congestion = Congestion()
        self._capacity_bps: float | None = None  # of payload; None: all we would send
        self._remb: tuple[float, float] | None = None  # when, and payload bits a second
        self._chance_loss = 0.0  # smoothed, of what congestion did not take
        self._vain = 0  # times less was sent and no less was lost
        self._blamed = 0.0  # what was lost at the last
        self._acquitted: tuple[float, float] | None = None  # until when, and up to which loss
        self._help = 0  # earlier frames that the loss alone asks for
        self._wait_s = WAIT_S
        self._congested_at = self._stepped_up_at = -inf
        self._reported_at = 0.0
        self._is_news = False  # since the delivery was last thought over
        self._delivery = _AS_IT_IS
        self._delivered_at = -inf

    @property
    def is_plain(self) -> bool:
        """Whether everything is sent as it is, and nothing is known that would change that."""
        return (
            self._capacity_bps is None
            and self._remb is None
            and self.mode is LinkMode.CLEAR
            and self._delivery == _AS_IT_IS
        )

    def agree(self, terms: Terms, now: float) -> None:
        """Take other terms."""
        if terms != self.terms:
            self.terms = terms
            self._choose(now)

    def report(self, feedback: Feedback, now: float) -> None:
        """Take a receiver's report."""
        lost = feedback.lost
        self.loss = smoothed(self.loss, lost)
        usual = None if self._capacity_bps is None else self._chance_loss
        verdict = self._congestion.note(feedback, now, usual=usual)
        if verdict is Verdict.LOSSY and self._is_acquitted(lost, now):
            verdict = Verdict.FREE
        if verdict is Verdict.DELAYED or verdict is Verdict.LOSSY:
            if now - self._congested_at >= SETTLE_S:
                self._narrow(feedback, verdict, now)
        else:
            self._chance_loss = smoothed(self._chance_loss, lost)
            if verdict is Verdict.FREE:
                self._widen(now)
        self._reported_at = now
        self._choose(now)

    def limit(self, bitrate_bps: float, now: float) -> None:
        """Take a receiver's estimate (REMB), headers included; it holds for REMB_S."""
        self._remb = now, max(LEAST_BPS, bitrate_bps - HEADERS_BPS)
        self._choose(now)

    def capacity_bps(self, now: float) -> float | None:
        """Return how much payload the link carries, None where it is all we would send."""
        known = [] if self._capacity_bps is None else [self._capacity_bps]
        if self._remb is not None and now - self._remb[0] < REMB_S:
            known.append(self._remb[1])
        return min(known, default=None)

    def delivery(self, now: float) -> Delivery:
        """Return what suits the link; it changes in steps, and once a second at most."""
        if self._is_news and now - self._delivered_at >= EVERY_S:
            self._is_news = False
            if (wanted := self._wanted(now)) != self._delivery:
                self._delivery, self._delivered_at = wanted, now
        return self._delivery

    def _narrow(self, feedback: Feedback, verdict: Verdict, now: float) -> None:
        is_vain = verdict is Verdict.LOSSY and feedback.lost >= LESS * self._blamed > 0
        self._vain, self._blamed = self._vain + 1 if is_vain else 0, feedback.lost
        self._congested_at = now
        if self._vain >= IN_VAIN:
            self._capacity_bps, self._vain, self._blamed = None, 0, 0.0
            self._acquitted = now + FORGIVE_S, feedback.lost + DOUBT
            return
        found = max(LEAST_BPS, feedback.rate_bps * min(BACK_OFF, 1 - feedback.lost))
        self._capacity_bps = min(found, self._capacity_bps or inf)
        if now - self._stepped_up_at < RELAPSE_S:
            self._wait_s = min(2 * self._wait_s, MAX_WAIT_S)

    def _is_acquitted(self, lost: float, now: float) -> bool:
        """Whether such loss has been shown to come by chance."""
        return (
            self._acquitted is not None and now < self._acquitted[0] and lost < self._acquitted[1]
        )

    def _widen(self, now: float) -> None:
        calm_s = now - self._congested_at
        if self._capacity_bps is None:
            if calm_s >= FORGIVE_S:
                self._wait_s = WAIT_S
        elif calm_s >= self._wait_s:
            self._capacity_bps *= GROWTH ** min(MAX_GAP_S, now - self._reported_at)
            if self._capacity_bps >= AMPLE * self.terms.mix_bps:
                self._capacity_bps = None

    def _choose(self, now: float) -> None:
        before, self.mode, self._is_news = self.mode, self._suitable(now), True
        if _RATES[self.mode] > _RATES[before]:
            self._stepped_up_at = now

    def _suitable(self, now: float) -> LinkMode:
        terms = self.terms
        capacity = self.capacity_bps(now) or inf
        self._help = _helpful(self._chance_loss, self._help)
        enough = terms.mix_bps * (1 if self.mode is LinkMode.ROBUST else THIN_SHARE)
        if capacity < enough or 0 < terms.limit_bps < terms.mix_bps:
            return LinkMode.ROBUST
        if not terms.takes_red:
            return LinkMode.ROBUST if self._help and terms.takes_fec else LinkMode.CLEAR
        depth = min(self._help, max(0, int(min(capacity / terms.mix_bps, AMPLE)) - 1))
        return (LinkMode.CLEAR, LinkMode.RED1, LinkMode.RED2)[depth]

    def _wanted(self, now: float) -> Delivery:
        capacity, terms = self.capacity_bps(now), self.terms
        if self.mode is LinkMode.ROBUST:
            loss = FEC_STEP * ceil(self._chance_loss * 100 / FEC_STEP)
            carried = []
            if capacity is not None and capacity < terms.mix_bps:
                carried.append(_step(capacity, ROBUST_STEP_BPS))
            if terms.limit_bps:
                carried.append(terms.limit_bps)
            is_helped = self._help and terms.takes_fec
            return Delivery(
                is_robust=True,
                loss_percent=max(LEAST_FEC, min(MOST_FEC, loss)) if is_helped else 0,
                bitrate_bps=min(carried, default=None),
            )
        if self.mode is LinkMode.CLEAR and capacity is not None and capacity < terms.mix_bps:
            return Delivery(bitrate_bps=_step(capacity, CLEAR_STEP_BPS))
        return Delivery()


def smoothed(before: float, now: float) -> float:
    """Return a share of loss after one more report."""
    return before + (now - before) * (RISING if now > before else FALLING)


def _helpful(loss: float, before: int) -> int:
    if loss >= (TWICE_UNTIL if before > 1 else TWICE_FROM):
        return 2
    return int(loss >= (HELP_UNTIL if before else HELP_FROM))


def _step(bitrate_bps: float, step_bps: int) -> int:
    return int(bitrate_bps // step_bps) * step_bps
