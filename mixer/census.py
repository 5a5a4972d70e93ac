"""The census: what the rooms of an engine and the people in them amount to, in numbers."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

from mixer.core.lateness import Lateness
from mixer.core.level import SILENCE_DBOV
from mixer.room.anchor import Anchor
from mixer.room.recorder import Journal
from mixer.room.room import Room
from mixer.rtc.peers import Peer
from mixer.rtc.port import WebRtcPort
from mixer.types import LinkMode, PeerId, PeerState, PeerStatistics, PlaneStatistics


class Counted(Protocol):
    """A room of the engine."""

    @property
    def room(self) -> Room:
        """The mixer's part of it."""

    @property
    def peers(self) -> Mapping[PeerId, Peer]:
        """Who is connected."""

    @property
    def listeners(self) -> Collection[PeerId]:
        """Who of them only listens."""

    @property
    def journal(self) -> Journal:
        """Its recording."""


def of_room(one: Counted) -> Counter[str]:
    """Return what a room and its recordings have counted."""
    counters = Counter(one.room.counters())
    counters.update(one.journal.counters())
    return counters


def of_anchors(anchors: Iterable[Anchor]) -> Counter[str]:
    """Return the sums of what anchors have counted."""
    counters: Counter[str] = Counter()
    for anchor in anchors:
        counters.update(anchor.counters())
    return counters


def of_rooms(rooms: Collection[Counted]) -> dict[str, float]:
    """Return gauges of rooms with people: how many listen, and peers by state and by link."""
    peers = [peer for one in rooms for peer in one.peers.values()]
    states = Counter(peer.state for peer in peers)
    modes = Counter(peer.link.mode for peer in peers)
    gauges = {
        f"peers_{state.value}": float(states[state])
        for state in PeerState
        if state is not PeerState.GONE
    }
    gauges |= {f"peers_sent_{mode.value}": float(modes[mode]) for mode in LinkMode}
    gauges["listeners"] = float(sum(len(one.listeners) for one in rooms))
    return gauges


def of_ticks(lateness: Lateness) -> PlaneStatistics:
    """Return how late the ticks were."""
    gauges = {
        "ticks_late_share": lateness.recent_share,
        "tick_lateness_worst_seconds": lateness.worst_s,
        "tick_lateness_p99_seconds": lateness.percentile(0.99),
    }
    histograms = {"tick_lateness_seconds": lateness.histogram()}
    return PlaneStatistics(gauges=gauges, histograms=histograms)


def of_peers(one: Counted, port: WebRtcPort) -> Iterator[PeerStatistics]:
    """Yield how a room's connections are, but for listeners."""
    for peer_id, peer in one.peers.items():
        if peer_id in one.listeners:
            continue
        anchor, reception = one.room.anchors[peer_id], peer.reception
        yield PeerStatistics(
            peer_id,
            peer.state,
            level_dbov=one.room.talking.get(peer_id, SILENCE_DBOV),
            transport=port.statistics(peer),
            received=0 if reception is None else reception.received,
            lost=0 if reception is None else reception.lost,
            reception=anchor.statistics(),
        )
