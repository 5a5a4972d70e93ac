"""How well people are connected, in words."""

from dataclasses import replace
from typing import Any

import pytest

from mixer.types import LinkMode, PeerId, PeerState, PeerStatistics, TransportStatistics
from server.domain.quality import changed, judge


def peer(*, state: PeerState = PeerState.LIVE, **way: Any) -> PeerStatistics:
    return PeerStatistics(PeerId("ada"), state, transport=TransportStatistics(**way))


@pytest.mark.parametrize(
    ("way", "word"),
    [
        ({}, "excellent"),
        ({"loss_in": 0.011}, "good"),
        ({"jitter_out_s": 0.031}, "good"),
        ({"round_trip_s": 0.201}, "good"),
        ({"loss_out": 0.051}, "poor"),
        ({"jitter_in_s": 0.061}, "poor"),
        ({"round_trip_s": 1.001}, "bad"),
        ({"loss_in": 0.21, "loss_out": 0.02}, "bad"),
    ],
)
def test_words(way: dict[str, Any], word: str) -> None:
    """The worst of loss, jitter and round trip decides."""
    assert judge(peer(**way)).word == word


def test_interrupted() -> None:
    """A connection that nothing comes over is lost, whatever it was before."""
    assert judge(peer(state=PeerState.INTERRUPTED)).word == "lost"


def test_entry() -> None:
    """Numbers travel so coarse that noise does not move them."""
    one = judge(
        peer(
            loss_in=0.0749,
            loss_out=0.004,
            jitter_in_s=0.0131,
            round_trip_s=0.0869,
            mode=LinkMode.RED1,
        )
    )
    assert one.entry() == {
        "quality": "poor",
        "lossIn": 0.07,
        "lossOut": 0.0,
        "jitterMs": 10,
        "roundTripMs": 100,
        "sending": "red1",
    }
    assert judge(peer()).round_trip_ms is None


def test_changes() -> None:
    """Only what changed is told, but everything to a room in which somebody is new."""
    fine = judge(peer())
    worse = replace(fine, word="poor")
    assert changed({}, {"ada": fine}) == {"ada": fine}
    assert changed({"ada": fine}, {"ada": fine}) == {}
    assert changed({"ada": fine, "bob": fine}, {"ada": worse}) == {"ada": worse}
    both = {"ada": fine, "bob": worse}
    assert changed({"ada": fine}, both) == both
