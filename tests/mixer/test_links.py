"""What is sent follows what the links report: an engine, and people behind bad links."""

import asyncio
from collections.abc import AsyncIterator
from heapq import heappop, heappush
from random import Random

import pytest

from mixer.core import rtcp
from mixer.core.red import split_red
from mixer.core.rtcp import ReceiverReport, ReceptionStatistics, SenderReport
from mixer.types import TICK_S, LinkMode, PeerId, RoomId, tick_at
from tests.support.callers import RED_PAYLOAD_TYPE, Address, Caller
from tests.support.house import VOICE, House, spec
from tests.support.netem import Bottleneck

WIDE_BPS, NARROW_BPS = 10e6, 40_000
REPORT_TICKS = 60  # 1.2 s: browsers report every 1 to 5


class Listener:
    """Somebody behind a link of their own, who reports as RFC 3550 wants it."""

    def __init__(self, house: House, caller: Caller, *, loss: float = 0.0, seed: int = 1) -> None:
        self.caller = caller
        self.link = Bottleneck(WIDE_BPS)
        self.loss = loss
        self.payloads: list[bytes] = []
        self.octets = 0
        self._house = house
        self._dice = Random(seed)
        self._ways: list[tuple[float, int, bytes]] = []
        self._sent = 0
        self._reception: ReceptionStatistics | None = None

    def send(self, datagram: bytes) -> None:
        """Give a datagram to the link."""
        self._sent += 1
        arrival = self.link.carry(self._house.clock(), len(datagram))
        if arrival is not None and self._dice.random() >= self.loss:
            heappush(self._ways, (arrival, self._sent, datagram))

    def tick(self, tick: int) -> None:
        """Take what has arrived, and report now and then."""
        now, caller = self._house.clock(), self.caller
        while self._ways and self._ways[0][0] <= now:
            arrival, _, datagram = heappop(self._ways)
            heard, reports = len(caller.heard), len(caller.reports)
            caller.deliver(datagram)
            for packet in caller.heard[heard:]:
                self._receive(packet, arrival)
            for packet in caller.reports[reports:]:
                self._read(packet, arrival)
        if tick % REPORT_TICKS == 0 and self._reception is not None:
            block = self._reception.block(now)
            caller.send(caller.rtcp(rtcp.serialise((ReceiverReport(caller.ssrc, (block,)),))))

    def _receive(self, packet: bytes, arrival: float) -> None:
        if self._reception is None:
            self._reception = ReceptionStatistics(int.from_bytes(packet[8:12], "big"))
        sequence, timestamp = packet[2:4], packet[4:8]
        self._reception.receive(
            int.from_bytes(sequence, "big"), int.from_bytes(timestamp, "big"), arrival
        )
        self.octets += len(packet)
        is_red = packet[1] & 0x7F == RED_PAYLOAD_TYPE
        self.payloads.append(split_red(packet[20:])[-1].payload if is_red else packet[20:])

    def _read(self, packet: bytes, arrival: float) -> None:
        for report in rtcp.parse(packet):
            if isinstance(report, SenderReport) and self._reception is not None:
                self._reception.sender_report(report.ntp, arrival)


class Street(House):
    """A room with a speaker, and listeners behind links."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: dict[Address, Listener] = {}
        self.modes: dict[str, list[LinkMode]] = {}
        self.ticks = 0
        self.on_deliver = self._carry

    def _carry(self, datagram: bytes, address: Address) -> bool:
        listener = self.listeners.get(address)
        if listener is None:
            return True
        listener.send(datagram)
        return False

    async def people(self, *names: str) -> None:
        """Let them in; the first speaks."""
        self.engine.apply(spec("r", *names))
        self.speaker = await self.join(1, names[0])
        for number, name in enumerate(names[1:], 2):
            caller = await self.join(number, name, red=True, fec=True)
            self.listeners[caller.address] = Listener(self, caller, seed=number)
            self.modes[name] = []

    def ears(self, name: str) -> Listener:
        """Return a listener by name."""
        return list(self.listeners.values())[list(self.modes).index(name)]

    async def live(self, seconds: float) -> None:
        """Let time pass while the speaker speaks."""
        for _ in range(round(seconds / TICK_S)):
            self.ticks += 1
            self.speaker.send(self.speaker.rtp(VOICE[self.ticks % 100]))
            self.clock.advance(TICK_S)
            self.engine._tick(tick_at(self.clock()))
            self.exchange()
            for listener in self.listeners.values():
                listener.tick(self.ticks)
            for one in self.engine.peers(RoomId("r"))[1:]:
                self.modes[one.peer].append(one.transport.mode)
            await asyncio.sleep(0)

    def mode(self, name: str) -> LinkMode:
        """Return how somebody is sent the mix now."""
        return self.modes[name][-1]


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    made = Street()
    yield made
    assert await made.close() == []


async def test_a_link_narrows_and_recovers(street: Street) -> None:
    """40 kb/s with a queue: robust packets that fit, and the whole mix again when it is over.

    Somebody else's payload is, packet by packet, what it is in a room where nothing happens.
    """
    calm = Street()
    for one in (calm, street):
        await one.people("ann", "bob", "cyd")
        await one.live(8)
    bob = street.ears("bob")
    bob.link.rate_bps = NARROW_BPS
    await street.live(12)
    assert street.mode("bob") is LinkMode.ROBUST
    came, octets = len(bob.payloads), bob.octets
    await street.live(5)
    assert len(bob.payloads) - came > 0.95 * 5 / TICK_S
    assert (bob.octets - octets) * 8 / 5 < NARROW_BPS
    bob.link.rate_bps = WIDE_BPS
    await street.live(45)
    assert street.mode("bob") is LinkMode.CLEAR
    cyd = street.ears("cyd")
    assert bob.payloads[-100:] == cyd.payloads[-100:]
    await calm.live(62)
    assert cyd.payloads == calm.ears("cyd").payloads
    assert set(street.modes["cyd"]) == {LinkMode.CLEAR}
    assert await calm.close() == []


async def test_random_loss_is_answered_by_redundancy_alone(street: Street) -> None:
    """10 %: the two frames before come along, and nobody is sent less for it."""
    await street.people("ann", "bob", "cyd")
    street.ears("bob").loss = 0.1
    await street.live(40)
    modes = street.modes["bob"]
    assert modes[-1] is LinkMode.RED2
    assert LinkMode.ROBUST not in modes
    assert modes[500:].count(LinkMode.RED2) > 0.9 * len(modes[500:])
    assert set(street.modes["cyd"]) == {LinkMode.CLEAR}
    gauges = street.engine.statistics().gauges
    assert (gauges["peers_sent_clear"], gauges["peers_sent_red2"]) == (2, 1)


async def test_redundancy_that_fills_a_queue_ends(street: Street) -> None:
    """A link that carries the mix and not the mix thrice: loss by chance is answered, not fed."""
    await street.people("ann", "bob")
    bob = street.ears("bob")
    bob.loss, bob.link.rate_bps = 0.1, 180_000
    await street.live(60)
    modes = street.modes["bob"]
    assert LinkMode.ROBUST not in modes
    assert 0 < modes.count(LinkMode.RED1) + modes.count(LinkMode.RED2) < 0.5 * len(modes)


async def test_who_wants_fewer_bits_gets_them(street: Street) -> None:
    """`maxaveragebitrate` below that of the mix, once it is known, and no longer than it holds."""
    await street.people("ann", "bob", "cyd")
    peer = street.peer("bob")
    for limit, mode in ((";maxaveragebitrate=32000", LinkMode.ROBUST), ("", LinkMode.CLEAR)):
        offer = street.ears("bob").caller.offer()
        street.engine.accept_offer(
            RoomId("r"),
            PeerId("bob"),
            offer.replace("useinbandfec=1", f"useinbandfec=1{limit}"),
            addresses=("192.0.2.99",),
            udp_port=10_000,
        )
        came = len(street.ears("bob").payloads)
        await street.live(4)
        assert peer.link.mode is mode
        sent = sum(map(len, street.ears("bob").payloads[came + 100 :]))
        assert (sent * 8 / 2 < 36_000) is bool(limit)
    assert (
        street.engine._seats[RoomId("r")].room.anchors[PeerId("bob")].delivery.bitrate_bps is None
    )
