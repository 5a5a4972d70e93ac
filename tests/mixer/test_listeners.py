"""People who only hear: no anchors, not in the room's spec, heard by nobody."""

import io
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mixer.core.recording import read_header, read_records
from mixer.engine import Engine
from mixer.errors import NoCapacity, PeerGone
from mixer.room.replay import Replay
from mixer.seats import Recordings
from mixer.types import GoneReason, OverloadLevel, PeerId, PeerState, RoomId
from tests.support.callers import Caller
from tests.support.house import House, sounding, spec

ROOM = RoomId("r")


class Hall(House):
    """A house that lets listeners in."""

    async def listen(self, number: int, name: str, direction: str = "recvonly") -> Caller:
        caller = self.caller(number, direction=direction)
        caller.accept(self.take(caller, name))
        caller.send(caller.check())
        self.exchange()
        handshake = self.tasks(caller.handshake(), name="handshake")
        await self.settle()
        await handshake
        return caller

    def take(self, caller: Caller, name: str, room: str = "r") -> str:
        return self.engine.accept_offer(
            RoomId(room),
            PeerId(name),
            caller.offer(),
            addresses=("192.0.2.99",),
            udp_port=10_000,
            listener=True,
        )

    @property
    def listening(self) -> float:
        return self.engine.statistics().gauges["listeners"]


@pytest.fixture
async def hall(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Hall]:
    made = Hall()
    yield made
    assert await made.close() == []
    assert [r for r in caplog.get_records("call") if r.levelno >= logging.WARNING] == []


async def test_a_listener_hears_and_is_counted(hall: Hall) -> None:
    """What everybody hears, without a word about them in the spec or among the connections."""
    hall.engine.apply(spec("r", "ann", "bob", listeners=True))
    ann, bob = await hall.join(1, "ann"), await hall.join(2, "bob")
    eve = await hall.listen(3, "eve")
    before = hall.counter("opus_encodes")
    await hall.run(1.0, ann)
    assert sounding(eve.heard) > 40
    assert {packet[20:] for packet in eve.heard[-20:]} == {p[20:] for p in bob.heard[-20:]}
    assert hall.counter("opus_encodes") - before <= 52  # one for both of them
    assert hall.listening == 1
    assert [one.peer for one in hall.engine.peers(ROOM)] == ["ann", "bob"]
    assert hall.changes("eve") == [(PeerState.LIVE, None)]


@pytest.mark.parametrize("direction", ["sendrecv", "sendonly", "recvonly"])
async def test_nobody_hears_a_listener(hall: Hall, direction: str) -> None:
    """Whatever their offer says and their client sends; the answer takes nothing from them."""
    hall.engine.apply(spec("r", "ann", listeners=True))
    ann = await hall.join(1, "ann")
    answer = hall.take(hall.caller(8, direction=direction), "mallory")
    assert re.search("a=(sendonly|inactive)\r", answer)
    eve = await hall.listen(3, "eve", direction)
    await hall.run(1.0, eve)
    assert sounding(ann.heard) == 0
    assert hall.engine._seats[ROOM].room.talking == {}
    assert hall.changes("eve") == [(PeerState.LIVE, None)]


async def test_only_where_the_room_lets_them(hall: Hall) -> None:
    """Not without its spec's word, not in no room, and not under the name of somebody listed."""
    hall.engine.apply(spec("r", "ann"))
    hall.engine.apply(spec("s", "bob", listeners=True))
    for name, room in (("eve", "r"), ("eve", "nowhere"), ("bob", "s")):
        with pytest.raises(PeerGone):
            hall.take(hall.caller(), name, room)
    with pytest.raises(PeerGone):
        hall.answer(hall.caller(), "eve", "s")  # as an anchor
    assert hall.port.table.count == 0


async def test_specs_leave_listeners_alone(hall: Hall) -> None:
    """Anchors come, go and are muted; a spec that wants no listeners ends them."""
    hall.engine.apply(spec("r", "ann", listeners=True))
    await hall.join(1, "ann")
    await hall.listen(3, "eve")
    hall.engine.apply(spec("r", "ann", "bob", version=2, muted="ann", listeners=True))
    hall.engine.apply(spec("r", version=3, listeners=True))
    assert hall.changes("eve") == [(PeerState.LIVE, None)]
    hall.engine.apply(spec("r", version=4))
    assert hall.changes("eve")[1:] == [(PeerState.GONE, GoneReason.REMOVED)]
    assert hall.listening == 0


async def test_who_is_listed_from_now_on_offers_anew(hall: Hall) -> None:
    """Their connection as a listener ends: as an anchor they would not be heard by it."""
    hall.engine.apply(spec("r", "ann", listeners=True))
    ann = await hall.join(1, "ann")
    await hall.listen(3, "eve")
    hall.engine.apply(spec("r", "ann", "eve", version=2, listeners=True))
    assert hall.changes("eve")[1:] == [(PeerState.GONE, GoneReason.REMOVED)]
    eve = await hall.join(4, "eve")
    await hall.run(0.5, eve)
    assert sounding(ann.heard) > 15


async def test_a_listener_is_dropped(hall: Hall) -> None:
    """And nobody else; who is not there cannot be."""
    hall.engine.apply(spec("r", "ann", listeners=True))
    await hall.join(1, "ann")
    await hall.listen(3, "eve")
    for room, name in ((ROOM, "eve"), (ROOM, "nobody"), (RoomId("nowhere"), "eve")):
        hall.engine.drop_peer(room, PeerId(name))
    assert hall.changes("eve")[1:] == [(PeerState.GONE, GoneReason.REMOVED)]
    assert hall.changes("ann") == [(PeerState.LIVE, None)]


async def test_a_room_of_listeners_is_ticked_until_the_last_goes(hall: Hall) -> None:
    """They get comfort; a closed room ends them."""
    hall.engine.apply(spec("r", listeners=True))
    eve = await hall.listen(3, "eve")
    await hall.run(2.0)
    assert eve.heard
    hall.engine.apply(replace(spec("r", version=2), closed=True))
    assert hall.changes("eve")[1:] == [(PeerState.GONE, GoneReason.REMOVED)]
    assert not hall.engine._occupied


async def test_ice_restarts_under_a_listener(hall: Hall) -> None:
    """The same session with other credentials is the same connection."""
    hall.engine.apply(spec("r", "ann", listeners=True))
    ann = await hall.join(1, "ann")
    eve = await hall.listen(3, "eve")
    before = hall.take(eve, "eve")
    eve.ufrag = "other"
    after = hall.take(eve, "eve")
    ufrags = [re.search(r"a=ice-ufrag:(\S+)", text) for text in (before, after)]
    assert len({found[1] for found in ufrags if found}) == 2
    eve.accept(after)
    eve.send(eve.check())
    hall.exchange()
    await hall.run(0.5, ann)
    assert sounding(eve.heard) > 15
    assert hall.counter("ice_restarts") == 1
    assert hall.listening == 1


async def test_an_overloaded_mixer_takes_no_listener(hall: Hall) -> None:
    """As it takes no anchor."""
    hall.engine.apply(spec("r", listeners=True))
    hall.engine._effort._overload.level = OverloadLevel.FULL
    with pytest.raises(NoCapacity):
        hall.take(hall.caller(), "eve")
    assert hall.listening == 0


class _Sink:
    def __init__(self) -> None:
        self.written = b""

    def write(self, _name: str, chunk: bytes) -> bool:
        self.written += chunk
        return True


async def test_a_recording_with_listeners_replays_bit_for_bit(hall: Hall) -> None:
    """They are rows that hear."""
    sink = _Sink()
    hall.engine = Engine(
        emit=hall.events.append,
        tap=None,
        clock=hall.clock,
        unix_clock=lambda: hall.clock() + 1e9,
        recordings=Recordings(sink, 1 << 24),
    )
    hall.port = hall.open_port(hall.engine)
    hall.engine.attach(hall.port)
    hall.engine.apply(spec("r", "ann", listeners=True))
    ann = await hall.join(1, "ann")
    await hall.listen(3, "eve")
    await hall.run(1.5, ann)
    hall.engine.drop_peer(ROOM, PeerId("eve"))
    await hall.run(0.5, ann)
    hall.engine.apply(spec("r", version=2))
    stream = io.BytesIO(sink.written)
    replay, heard = Replay(RoomId(read_header(stream.read).room)), 0
    for record in read_records(stream.read):
        if (played := replay.feed(record)) is not None:
            heard += sum(len(frame.payload) > 1 for frame in played.sent)
    assert replay.recorded_digest == replay.digest.value()
    assert replay.is_as_recorded
    assert heard > 50  # by the listener alone: who speaks does not hear themselves
