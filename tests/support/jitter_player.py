"""A jitter buffer with its ticker, and packets that carry their number."""

from collections.abc import Iterable, Iterator

from mixer.core.jitter import Arrival, Conceal, Continue, Idle, JitterBuffer, JitterStatistics, Play
from tests.support.netem import Network

TICK_S = 0.02
FRAME = 960
TOC = {2.5: 0xE0, 10: 0xF0, 20: 0xF8, 40: 0x50, 60: 0x58}
WITH_FEC = b"\x48\x40"  # SILK, 20 ms, its LBRR bit set
Outcome = Play | Continue | Conceal | Idle


def payload(number: int, milliseconds: float = 20) -> bytes:
    """Return a packet of that duration which carries its number."""
    return bytes([TOC[milliseconds]]) + number.to_bytes(4, "big")


def number_of(played: bytes) -> int:
    """Return the number such a packet carries."""
    return int.from_bytes(played[1:5], "big")


def packet(number: int, **fields: object) -> Arrival:
    """Return the stream's packet of that number: 20 ms, arriving every 20 ms from 0 s."""
    arrival = Arrival(
        sequence=number & 0xFFFF,
        timestamp=number * FRAME & 0xFFFFFFFF,
        payload=payload(number),
        arrival_s=number * TICK_S,
        silent=False,
    )
    return arrival._replace(**fields)  # type: ignore[arg-type]


class Player:
    """A buffer with its ticker: takes packets in order of arrival, pops at every tick."""

    def __init__(self, buffer: JitterBuffer | None = None, phase_s: float = 0.015) -> None:
        self.buffer = buffer or JitterBuffer()
        self.now = phase_s
        self.outcomes: list[Outcome] = []
        self.depths: list[int] = []
        self.waits_s: list[float] = []
        self._arrivals: dict[bytes, float] = {}

    def run(self, arrivals: Iterable[Arrival], more: int = 0) -> list[Outcome]:
        """Tick until all packets have arrived, then `more` times; return all outcomes so far."""
        for arrival in arrivals:
            while self.now <= arrival.arrival_s:
                self.tick()
            self.buffer.push(arrival)
            self._arrivals[arrival.payload] = arrival.arrival_s
        for _ in range(more):
            self.tick()
        return self.outcomes

    def tick(self) -> Outcome:
        self.depths.append(self.buffer.depth_frames)
        outcome = self.buffer.pop(self.now)
        if isinstance(outcome, Play):
            first = outcome.payloads[0]
            self.waits_s.append(self.now - self._arrivals.get(first, self.now))
        self.outcomes.append(outcome)
        self.now += TICK_S
        return outcome

    @property
    def played(self) -> list[int]:
        """The numbers of the packets played, in order."""
        plays = (outcome for outcome in self.outcomes if isinstance(outcome, Play))
        return [number_of(each) for play in plays for each in play.payloads]

    @property
    def kinds(self) -> str:
        """The outcomes as letters: Play, Continue (+), Conceal, Idle."""
        letters = {Play: "P", Continue: "+", Conceal: "C", Idle: "I"}
        return "".join(letters[type(outcome)] for outcome in self.outcomes)

    @property
    def statistics(self) -> JitterStatistics:
        return self.buffer.statistics()


def through(network: Network, count: int, first: int = 0) -> Iterator[Arrival]:
    """Send `count` packets through a network."""
    sent = ((number * TICK_S, packet(first + number)) for number in range(count))
    for arrival_s, each in network.carry(sent):
        yield each._replace(arrival_s=arrival_s)
