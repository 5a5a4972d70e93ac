"""Whether a way is congested, by what comes back from it."""

from mixer.core.congestion import (
    HALF_WINDOW_S,
    LEAST_PACKETS,
    REMEMBER_S,
    Congestion,
    Feedback,
    Verdict,
)

UNKNOWN, FREE, DELAYED, LOSSY = Verdict

MIX = 12_000  # octets a second at 96 kb/s


def said(
    lost: float = 0.0,
    *,
    rtt: float | None = 0.05,
    jitter: float = 0.0,
    packets: int = 50,
    frames: int = 1,
) -> Feedback:
    """A second's report; each packet carried so many frames of the mix."""
    return Feedback(lost, jitter, rtt, packets, packets * frames * MIX // 50)


def test_the_rate_is_that_of_sound() -> None:
    """Pauses, in which hardly anything is sent, do not make it smaller; no packets are no rate."""
    assert said(packets=25).rate_bps == said(packets=50).rate_bps == 96_000
    assert said(packets=0).rate_bps == 0


def test_steady_loss_is_no_congestion() -> None:
    """Whatever the share, as long as nothing becomes later."""
    congestion = Congestion()
    assert [congestion.note(said(0.1), float(second)) for second in range(20)] == [FREE] * 20


def test_loss_with_delay_is_congestion() -> None:
    """A queue fills; the round trip alone, a little longer, says nothing."""
    congestion = Congestion()
    assert congestion.note(said(), 0.0) is FREE
    assert congestion.note(said(rtt=0.2), 1.0) is FREE
    assert congestion.note(said(0.1, rtt=0.1), 2.0) is FREE
    assert congestion.note(said(0.1, rtt=0.12), 3.0) is DELAYED


def test_a_deep_queue_is_congestion_before_it_loses() -> None:
    """Everything a quarter of a second later than it could be."""
    congestion = Congestion()
    congestion.note(said(), 0.0)
    assert congestion.note(said(rtt=0.31), 1.0) is DELAYED


def test_without_a_round_trip_jitter_tells() -> None:
    """It has to grow: a way that always jitters is what it is."""
    congestion = Congestion()
    assert [congestion.note(said(0.1, rtt=None, jitter=0.04), float(s)) for s in range(3)] == [
        FREE
    ] * 3
    assert congestion.note(said(0.1, rtt=None, jitter=0.07), 4.0) is DELAYED
    assert congestion.note(said(0.0, rtt=None, jitter=0.2), 5.0) is FREE


def test_jitter_beside_a_steady_round_trip_is_the_ways_own() -> None:
    """Where the round trip is known it is believed."""
    congestion = Congestion()
    congestion.note(said(), 0.0)
    assert congestion.note(said(0.1, jitter=0.08), 1.0) is FREE


def test_of_a_few_packets_nothing_can_be_said() -> None:
    """In silence hardly anything is sent; but its round trip is the best there is."""
    congestion = Congestion()
    assert congestion.note(said(0.5, packets=LEAST_PACKETS - 1), 0.0) is UNKNOWN
    assert congestion.note(said(0.1, rtt=0.2), 1.0) is DELAYED


def test_more_sent_and_no_more_arrived_is_congestion() -> None:
    """A policer delays nothing: 150 kb/s carry the mix, and not the mix twice."""
    congestion = Congestion()
    assert congestion.note(said(0.04), 0.0) is FREE
    assert congestion.note(said(0.26, frames=2), 1.0) is LOSSY


def test_more_loss_of_more_sent_can_be_chance() -> None:
    """What arrives has grown nearly as much as what is sent."""
    congestion = Congestion()
    congestion.note(said(0.04), 0.0)
    assert congestion.note(said(0.20, frames=2), 1.0) is FREE
    assert congestion.note(said(0.10, frames=2), 2.0) is FREE


def test_what_a_lower_rate_delivered_is_forgotten() -> None:
    """After half a minute at the higher rate that is the measure."""
    congestion = Congestion()
    congestion.note(said(0.04), 0.0)
    assert congestion.note(said(0.04, frames=2), REMEMBER_S + 1) is FREE
    assert congestion.note(said(0.30, frames=2), REMEMBER_S + 2) is FREE


def test_a_way_may_become_longer() -> None:
    """One to two minutes after, the longer round trip is the way itself."""
    congestion = Congestion()
    congestion.note(said(), 0.0)
    verdicts = [
        congestion.note(said(0.1, rtt=0.15), float(second))
        for second in range(1, round(2 * HALF_WINDOW_S) + 5)
    ]
    assert verdicts[0] is DELAYED
    assert verdicts[-1] is FREE


def test_very_much_loss_is_probably_congestion() -> None:
    """A full queue loses the reports that would tell of it."""
    congestion = Congestion()
    assert congestion.note(said(0.39), 0.0) is FREE
    assert congestion.note(said(0.4, rtt=None), 1.0) is LOSSY


def test_once_less_is_sent_less_should_be_lost() -> None:
    """Then 8 % are still too much, beside what is lost by chance."""
    congestion = Congestion()
    assert congestion.note(said(0.07), 0.0, usual=0.0) is FREE
    assert congestion.note(said(0.08), 1.0, usual=0.0) is LOSSY
    assert congestion.note(said(0.17), 2.0, usual=0.1) is FREE
    assert congestion.note(said(0.2), 3.0, usual=0.1) is LOSSY
