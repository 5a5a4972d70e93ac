"""How well people are connected, coarse enough that it seldom changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mixer.types import PeerState, PeerStatistics

LOSS_STEP: Final = 0.01
JITTER_STEP_MS: Final = 10
ROUND_TRIP_STEP_MS: Final = 50
# Above these (loss, jitter in ms, round trip in ms) a connection is no better than the word; RED
# and FEC carry 5 % without a trace, 20 % is more than they can.
_LIMITS: Final = (("bad", 0.2, 150, 1000), ("poor", 0.05, 60, 400), ("good", 0.01, 30, 200))


@dataclass(frozen=True, slots=True)
class Quality:
    """One person's connection, both ways: losses are 0..1, `sending` is how we send to them."""

    word: str
    loss_in: float
    loss_out: float
    jitter_ms: int
    round_trip_ms: int | None
    sending: str

    def entry(self) -> dict[str, object]:
        """Return it as it travels."""
        return {
            "quality": self.word,
            "lossIn": self.loss_in,
            "lossOut": self.loss_out,
            "jitterMs": self.jitter_ms,
            "roundTripMs": self.round_trip_ms,
            "sending": self.sending,
        }


def judge(peer: PeerStatistics) -> Quality:
    """Return how a connection is."""
    way = peer.transport
    jitter_ms = 1000 * max(way.jitter_in_s, way.jitter_out_s)
    round_trip_ms = None if way.round_trip_s is None else 1000 * way.round_trip_s
    return Quality(
        _word(peer.state, max(way.loss_in, way.loss_out), jitter_ms, round_trip_ms or 0.0),
        _coarse_loss(way.loss_in),
        _coarse_loss(way.loss_out),
        JITTER_STEP_MS * round(jitter_ms / JITTER_STEP_MS),
        None
        if round_trip_ms is None
        else ROUND_TRIP_STEP_MS * round(round_trip_ms / ROUND_TRIP_STEP_MS),
        way.mode.value,
    )


def changed(before: Mapping[str, Quality], now: Mapping[str, Quality]) -> Mapping[str, Quality]:
    """Return what the people of a room are to be told: everything, if somebody is new there."""
    if now.keys() - before.keys():
        return now
    return {user: one for user, one in now.items() if before[user] != one}


def _word(state: PeerState, loss: float, jitter_ms: float, round_trip_ms: float) -> str:
    if state is not PeerState.LIVE:
        return "lost"
    for word, most_loss, most_jitter_ms, most_round_trip_ms in _LIMITS:
        if loss > most_loss or jitter_ms > most_jitter_ms or round_trip_ms > most_round_trip_ms:
            return word
    return "excellent"


def _coarse_loss(loss: float) -> float:
    return round(LOSS_STEP * round(loss / LOSS_STEP), 2)
