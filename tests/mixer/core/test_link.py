"""How a person is sent the mix, by what their link reports."""

import itertools
import random

import pytest

from mixer.core.congestion import Feedback
from mixer.core.link import (
    EVERY_S,
    FORGIVE_S,
    HEADERS_BPS,
    LEAST_BPS,
    MAX_WAIT_S,
    MIX_BPS,
    REMB_S,
    WAIT_S,
    Link,
    Terms,
)
from mixer.types import Delivery, LinkMode

RED, FEC, NEITHER = Terms(takes_red=True, takes_fec=True), Terms(takes_fec=True), Terms()
CLEAR, RED1, RED2, ROBUST = LinkMode
FRAMES = {RED1: 2, RED2: 3}


class Road:
    """A link whose person reports once a second what a way of `carries_bps` does to our packets."""

    def __init__(self, terms: Terms = RED, carries_bps: float = 1e9, loss: float = 0.0) -> None:
        self.link = Link()
        self.link.agree(terms, 0.0)
        self.carries_bps = carries_bps
        self.loss = loss
        self.now = 0.0

    def run(self, seconds: int) -> list[LinkMode]:
        """Return the mode after each second; a shared mix, whose robust packets have 40 kb/s."""
        return [self.report() for _ in range(seconds)]

    def report(self) -> LinkMode:
        """Pass a second."""
        self.now += 1.0
        sent_bps = FRAMES.get(self.link.mode, 1) * MIX_BPS
        if self.link.mode is ROBUST:
            sent_bps = max(24_000, min(40_000, self.link.delivery(self.now).bitrate_bps or 40_000))
        is_full = sent_bps > self.carries_bps
        lost = max(self.loss, 1 - self.carries_bps / sent_bps)
        self.link.report(Feedback(lost, 0.0, 0.4 if is_full else 0.05, 50, sent_bps // 8), self.now)
        return self.link.mode


def test_without_loss_nothing_is_spent() -> None:
    """Each frame is sent once, at the bit rate of the mix."""
    road = Road()
    assert set(road.run(100)) == {CLEAR}
    assert road.link.delivery(road.now) == Delivery()
    assert road.link.capacity_bps(road.now) is None


def test_loss_brings_redundancy() -> None:
    """3 % one frame before, 8 % two; it never makes the mix worse."""
    assert Road(loss=0.05).run(60)[-1] is RED1
    road = Road(loss=0.10)
    assert set(road.run(60)) <= {RED1, RED2}
    assert road.link.mode is RED2
    assert road.link.delivery(road.now) == Delivery()


@pytest.mark.parametrize("seed", range(10))
def test_random_loss_is_not_taken_for_congestion(seed: int) -> None:
    """10 % as fifty packets show it: redundancy within three reports, of two frames for good."""
    dice, road, modes = random.Random(seed), Road(), []
    for _ in range(300):
        road.loss = sum(dice.random() < 0.1 for _ in range(50)) / 50
        modes.append(road.report())
    assert CLEAR not in modes[3:]
    assert ROBUST not in modes
    assert modes[30:].count(RED2) > 260


def test_redundancy_has_hysteresis() -> None:
    """It begins at 3 %, ends below 1; the second frame at 8 %, ends below 4."""
    road = Road()
    modes = []
    for loss in (0.02, 0.03, 0.02, 0.09, 0.05, 0.03, 0.02, 0.005):
        road.loss = loss
        modes.append(road.run(80)[-1])
    assert modes == [CLEAR, RED1, RED1, RED2, RED2, RED1, RED1, CLEAR]


def test_who_takes_no_redundancy_gets_fec() -> None:
    """The mix with FEC, weighed by the loss in steps; who takes neither is sent what all are."""
    road = Road(FEC, loss=0.12)
    assert road.run(60)[-1] is ROBUST
    assert road.link.delivery(road.now) == Delivery(is_robust=True, loss_percent=15)
    road.loss = 0.04
    road.run(60)
    assert road.link.delivery(road.now).loss_percent == 10
    road.loss = 0.39
    road.run(60)
    assert road.link.delivery(road.now).loss_percent == 30
    assert set(Road(NEITHER, loss=0.12).run(60)) == {CLEAR}


def test_congestion_ends_redundancy_first() -> None:
    """A way that carries the mix and not the mix thrice: it is sent once."""
    road = Road(loss=0.1, carries_bps=150_000)
    modes = road.run(30)
    assert RED1 in modes
    assert (modes[-1], ROBUST in modes) == (CLEAR, False)


def test_a_thin_way_is_sent_less() -> None:
    """40 kb/s: few seconds of too much, then as many bits as it carries, and no FEC for queues."""
    road = Road()
    road.run(60)
    road.carries_bps = 40_000
    modes = road.run(8)
    assert modes[-1] is ROBUST
    delivery = road.link.delivery(road.now)
    assert delivery.is_robust
    assert 24_000 <= (delivery.bitrate_bps or 0) <= 40_000
    assert road.link.capacity_bps(road.now) == pytest.approx(40_000, rel=0.2)


def test_it_recovers_and_waits_longer_each_time_that_was_too_early() -> None:
    """10 s of calm, then 5 % a second; while the way stays thin the tries become rare."""
    road = Road()
    road.run(10)
    road.carries_bps = 50_000
    modes = road.run(3000)
    tries = [
        now for now, (a, b) in enumerate(itertools.pairwise(modes)) if (a, b) == (ROBUST, CLEAR)
    ]
    gaps = [b - a for a, b in itertools.pairwise(tries)]
    assert gaps[-1] >= MAX_WAIT_S
    assert len(tries) < 20
    assert modes.count(ROBUST) > 0.95 * len(modes)
    road.carries_bps = 1e9
    again = road.run(round(MAX_WAIT_S) + 60)
    assert again[-1] is CLEAR
    road.run(round(FORGIVE_S) + 100)
    assert road.link.capacity_bps(road.now) is None
    road.carries_bps = 50_000
    road.run(10)
    road.carries_bps = 1e9
    assert road.run(round(WAIT_S) + 40)[-1] is CLEAR


def test_where_the_mix_nearly_fits_a_private_one_may_have_less() -> None:
    """Between two thirds and all of the mix it stays clear, and says what the link carries."""
    road = Road()
    road.run(10)
    road.link.report(Feedback(0.05, 0.0, 0.4, 50, MIX_BPS // 8), 11.0)
    assert road.link.mode is CLEAR
    assert road.link.delivery(12.0) == Delivery(bitrate_bps=80_000)


def test_an_estimate_of_theirs_holds_for_a_while() -> None:
    """REMB counts headers; it has no effect once no more come, and nonsense stays within bounds."""
    link = Link()
    link.agree(RED, 0.0)
    link.limit(30_000.0 + HEADERS_BPS, 1.0)
    assert link.mode is ROBUST
    assert link.delivery(1.0) == Delivery(is_robust=True, bitrate_bps=28_000)
    link.report(Feedback(0.0, 0.0, 0.05, 50, 5000), 1.0 + REMB_S)
    assert link.mode is CLEAR
    link.limit(0.0, 20.0)
    assert link.capacity_bps(20.0) == LEAST_BPS
    link.limit(float(0x3FFFF << 63), 21.0)
    assert link.mode is CLEAR


def test_an_offer_may_want_less_than_the_mix_has() -> None:
    """`maxaveragebitrate` below the mix's bit rate: packets that keep to it."""
    link = Link()
    link.agree(Terms(takes_red=True, takes_fec=True, limit_bps=20_000), 0.0)
    assert link.mode is ROBUST
    assert link.delivery(0.0) == Delivery(is_robust=True, bitrate_bps=20_000)
    link.agree(Terms(takes_red=True, limit_bps=MIX_BPS), 1.0)
    assert link.mode is CLEAR


def test_too_little_to_tell_changes_no_estimate() -> None:
    """Reports of silence neither narrow it nor let it grow."""
    road = Road()
    road.run(10)
    road.carries_bps = 30_000
    road.run(10)
    known = road.link.capacity_bps(road.now)
    for second in range(100):
        road.link.report(Feedback(0.0, 0.0, 0.05, 3, 3), road.now + second)
    assert road.link.capacity_bps(road.now) == known


def test_the_report_after_a_step_is_not_counted_twice() -> None:
    """What it says is still of the time before."""
    link = Link()
    link.agree(RED, 0.0)
    link.report(Feedback(0.0, 0.0, 0.05, 50, 12_000), 1.0)
    link.report(Feedback(0.1, 0.0, 0.5, 50, 12_000), 2.0)
    known = link.capacity_bps(2.0)
    link.report(Feedback(0.3, 0.0, 0.5, 50, 12_000), 3.0)
    assert link.capacity_bps(3.0) == known


def test_deliveries_are_paced() -> None:
    """However often somebody reports, a room regroups for them once a second at most."""
    link, dice, changes = Link(), random.Random(1), 0
    link.agree(FEC, 0.0)
    before = link.delivery(0.0)
    for number in range(1000):
        now = number / 100
        link.report(Feedback(dice.random(), 0.0, dice.random(), 50, dice.randrange(50_000)), now)
        changes += (after := link.delivery(now)) != before
        before = after
    assert 1 <= changes <= 10 / EVERY_S


class Radio(Road):
    """A way that loses by chance, whatever is sent, and delays nothing."""

    def report(self) -> LinkMode:
        self.now += 2.0
        sent_bps = FRAMES.get(self.link.mode, 1) * MIX_BPS
        if self.link.mode is ROBUST:
            sent_bps = 40_000
        self.link.report(Feedback(self.loss, 0.0, 0.05, 50, sent_bps // 8), self.now)
        return self.link.mode


def test_where_less_is_sent_in_vain_loss_is_chance() -> None:
    """Half of all packets: after three steps without effect as much is sent as helps."""
    road = Radio(loss=0.5)
    modes = road.run(100)
    assert modes[0] is ROBUST
    assert modes.index(RED2) <= 5
    assert set(modes[10:]) == {RED2}


def test_an_acquittal_holds_for_such_loss_and_for_a_while() -> None:
    """Much more loss, or the same five minutes later, is judged anew."""
    road = Radio(loss=0.45)
    road.run(20)
    road.loss = 0.7
    assert road.report() is not RED2
    road = Radio(loss=0.45)
    modes = road.run(200)
    assert 2 * modes.index(CLEAR, 10) >= FORGIVE_S
    assert modes.count(RED2) > 0.75 * len(modes)


def test_loss_of_congestion_asks_for_no_help() -> None:
    """What a full queue took is not what redundancy is for, once the queue is empty."""
    road = Road()
    road.run(10)
    road.carries_bps = 40_000
    road.run(10)
    road.carries_bps = 1e9
    assert not set(road.run(100)) & {RED1, RED2}
    assert road.link.loss < 0.01
