"""A hundred people who join at once, and the ticks of those who talk already, in virtual time."""

import asyncio
import json
import math
import socket
from collections import Counter

from mixer.engine import Engine
from mixer.rtc.port import OFFER_BUDGET_S, WebRtcPort
from mixer.types import RoomId
from server.media import wire
from server.media.worker import MAX_CALLS
from server.rpc.codec import Request, encode
from server.rpc.dispatch import Dispatcher
from server.rpc.framing import FrameKind, FrameReader, frame_head
from server.rpc.peer import Peer
from server.rpc.unix import adopt
from tests.support.house import House, spec
from tests.support.virtual_time import VirtualLoop, run_virtually

COUNT, A_ROOM = 100, 10
CALL_S = 0.0007  # what an offer takes here: rather more than it does
MOST_A_TICK = math.ceil(OFFER_BUDGET_S / CALL_S)


class Storm:
    """The mixer's end of the link to the control process, with a hundred offers on their way."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.house = House()
        self.engine = self.house.engine = Engine(
            emit=self.house.events.append, tap=None, clock=loop.time, unix_clock=loop.time
        )
        self.house.port = WebRtcPort(
            self.house.socket, self.engine, clock=loop.time, spawn=self.house.tasks
        )
        self.engine.attach(self.house.port)
        self.accepted: Counter[int] = Counter()  # offers, by how many ticks there were before
        self.dispatcher = Dispatcher(wire.refusal)
        self.dispatcher.add("acceptOffer", wire.Offer, self._accept_offer)

    async def _accept_offer(self, params: wire.Offer) -> object:
        async with self.engine.turn():
            self.loop.stall(CALL_S)
            self.accepted[self.engine.statistics().counters.get("ticks", 0)] += 1
            return self.engine.accept_offer(
                params.room, params.peer, params.sdp, addresses=("192.0.2.99",), udp_port=10_000
            )

    def offers(self) -> bytes:
        """Return the offers as the control process writes them, without a pause between."""
        stream = b""
        for number in range(COUNT):
            room, name = RoomId(f"r{number // A_ROOM}"), f"p{number}"
            sdp = self.house.caller(number + 2).offer()
            call = {"room": room, "peer": name, "sdp": sdp, "listener": False}
            text = encode(Request(number, "acceptOffer", call)).encode()
            stream += frame_head(FrameKind.JSON, len(text)) + text
        return stream

    async def run(self) -> list[object]:
        """Return what was answered."""
        for first in range(0, COUNT, A_ROOM):
            people = [f"p{number}" for number in range(first, first + A_ROOM)]
            self.engine.apply(spec(f"r{first // A_ROOM}", *people))
        self.engine.apply(spec("talk", "ann"))
        self.house.answer(self.house.caller(), "ann", "talk")
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(False)
            peer = Peer(await adopt(ours), self.dispatcher, max_in_flight=MAX_CALLS)
            running = [asyncio.create_task(self.engine.run()), asyncio.create_task(peer.run())]
            await self.loop.sock_sendall(theirs, self.offers())
            answers = await self._answers(theirs)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert await self.house.close() == []
        return answers

    async def _answers(self, theirs: socket.socket) -> list[object]:
        reader, found = FrameReader(), list[object]()
        while len(found) < COUNT:
            frames = reader.feed(await self.loop.sock_recv(theirs, 65_536))
            found += [json.loads(frame.body) for frame in frames]
        return found


def test_a_hundred_offers_at_once_make_no_tick_late() -> None:
    """No tick has more of them than its budget and one, none comes late, and all are answered."""
    loop = VirtualLoop()
    storm = Storm(loop)
    answers = run_virtually(storm.run(), loop)
    assert all(isinstance(answer, dict) and "result" in answer for answer in answers)
    assert storm.accepted.total() == COUNT
    assert max(storm.accepted.values()) == MOST_A_TICK
    statistics = storm.engine.statistics()
    assert statistics.counters["ticks"] >= COUNT // MOST_A_TICK
    assert statistics.counters["ticks_late"] == 0
    assert statistics.gauges["tick_lateness_worst_seconds"] < CALL_S
