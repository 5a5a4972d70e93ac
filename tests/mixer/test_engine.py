"""All the rooms of a process, with callers in memory."""

import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mixer.core.red import split_red
from mixer.engine import MAX_PEERS
from mixer.errors import ClientMistake, NoCapacity, PeerGone
from mixer.room.room import Room
from mixer.rtc.peers import Peer
from mixer.types import (
    FRAME_SAMPLES,
    AnchorSpec,
    GoneReason,
    Int16Frame,
    Outgoing,
    PeerId,
    PeerState,
    Played,
    PlayerSpec,
    Profile,
    RoomId,
    Talking,
    tick_at,
)
from tests.support.house import House, sounding, spec
from tests.support.webrtc_client import tone


@pytest.fixture
async def house(caplog: pytest.LogCaptureFixture) -> AsyncIterator[House]:
    made = House()
    yield made
    assert await made.close() == []
    assert [r for r in caplog.get_records("call") if r.levelno >= logging.WARNING] == []


# Rooms


async def test_people_of_a_room_hear_each_other(house: House) -> None:
    """And those of another room do not."""
    house.engine.apply(spec("r", "ann", "bob"))
    house.engine.apply(spec("s", "cyd"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    cyd = await house.join(3, "cyd", "s")
    await house.run(1.0, ann)
    assert sounding(bob.heard) > 40
    assert sounding(ann.heard) == sounding(cyd.heard) == 0


async def test_who_is_not_listed_cannot_connect(house: House) -> None:
    """Neither an unknown person nor an unknown room."""
    house.engine.apply(spec("r", "ann"))
    for name, room in (("eve", "r"), ("ann", "nowhere")):
        with pytest.raises(PeerGone):
            house.answer(house.caller(), name, room)


async def test_a_bad_offer_changes_nothing(house: House) -> None:
    """The earlier connection goes on."""
    house.engine.apply(spec("r", "ann"))
    await house.join(1, "ann")
    with pytest.raises(ClientMistake):
        house.engine.accept_offer(
            RoomId("r"), PeerId("ann"), "v=0", addresses=("192.0.2.99",), udp_port=1
        )
    assert house.changes("ann") == [(PeerState.LIVE, None)]
    assert house.port.table.count == 1


async def test_rows_are_finite(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One above is told that there is no capacity."""
    house.engine.apply(spec("r", "ann"))
    monkeypatch.setattr(type(house.port.table), "count", MAX_PEERS)
    with pytest.raises(NoCapacity):
        house.answer(house.caller(), "ann")


async def test_an_ice_restart_keeps_the_seat(house: House) -> None:
    """The same RTCPeerConnection with other credentials: nobody is gone, audio goes on."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    await house.run(0.4, ann)
    before = sounding(bob.heard)
    for caller, name in ((ann, "ann"), (bob, "bob")):
        caller.ufrag = "again"
        caller.accept(house.answer(caller, name))
        await house.run(0.2, ann)
        caller.send(caller.check())
        await house.run(0.2, ann)
    assert sounding(bob.heard) - before >= 38
    assert house.changes("ann") == house.changes("bob") == [(PeerState.LIVE, None)]
    assert house.counter("ice_restarts") == 2
    assert house.counter("dtls_handshakes") == 2


async def test_a_full_server_still_restarts_its_peers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart needs no row."""
    house.engine.apply(spec("r", "ann"))
    ann = await house.join(1, "ann")
    monkeypatch.setattr(type(house.port.table), "count", MAX_PEERS)
    ann.ufrag = "again"
    assert "a=setup:passive" in house.answer(ann, "ann")


async def test_who_stops_to_listen_is_sent_nothing(house: House) -> None:
    """A change of direction on the way, and back."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    heard = []
    for direction in ("sendrecv", "sendonly", "sendrecv"):
        bob.direction = direction
        bob.accept(house.answer(bob, "bob"))
        await house.run(0.3, ann)
        bob.heard.clear()
        await house.run(0.5, ann)
        heard.append(sounding(bob.heard))
    assert heard[1] == 0
    assert min(heard[0], heard[2]) >= 24
    assert house.changes("bob") == [(PeerState.LIVE, None)]


async def test_who_loses_packets_hears_each_frame_twice(house: House) -> None:
    """The frames before come along, from the second packet of a sound on; others get one each."""
    house.engine.apply(spec("r", "ann", "bob", "cyd"))
    ann = await house.join(1, "ann")
    bob, cyd = await house.join(2, "bob", red=True), await house.join(3, "cyd", red=True)
    row = house.peer("bob").row
    bob.send(bob.report(lost=0.3, about=int(house.port.table.ssrc_out[row])))
    await house.run(0.5, ann)
    plain = [packet[20:] for packet in cyd.heard if len(packet) > 21]
    packed = [split_red(packet[20:]) for packet in bob.heard if packet[1] & 0x7F == 63]
    assert [blocks[-1].payload for blocks in packed] == plain[1:]
    assert [blocks[-2].payload for blocks in packed] == plain[:-1]
    assert [blocks[0].payload for blocks in packed[1:]] == plain[:-2]
    assert [[block.offset for block in blocks] for blocks in packed[1:]] == [[1920, 960, 0]] * len(
        plain[2:]
    )
    (told,) = (one for one in house.engine.peers(RoomId("r")) if one.peer == "bob")
    assert told.transport.loss_out == pytest.approx(0.15, abs=0.01)


async def test_offering_again_replaces_the_connection(house: House) -> None:
    """The old one ends as replaced, the new one is heard."""
    house.engine.apply(spec("r", "ann", "bob"))
    bob = await house.join(2, "bob")
    old = await house.join(1, "ann")
    await house.run(0.3, old)
    new = await house.join(3, "ann")
    bob.heard.clear()
    await house.run(1.0, new)
    assert house.changes("ann") == [
        (PeerState.LIVE, None),
        (PeerState.GONE, GoneReason.REPLACED),
        (PeerState.LIVE, None),
    ]
    assert sounding(bob.heard) > 40
    assert old.dtls.state == "closed"
    assert house.port.table.count == 2


async def test_who_is_no_longer_listed_is_removed(house: House) -> None:
    """A newer spec without a person ends their connection."""
    house.engine.apply(spec("r", "ann", "bob"))
    await house.join(1, "ann")
    house.engine.apply(spec("r", "bob", version=2))
    await house.settle()
    assert house.changes("ann")[-1] == (PeerState.GONE, GoneReason.REMOVED)


async def test_an_old_spec_is_ignored(house: House) -> None:
    """Equal and lower versions change nothing, and a room cannot be closed by one."""
    house.engine.apply(spec("r", "ann", version=5))
    await house.join(1, "ann")
    house.engine.apply(spec("r", version=5))
    house.engine.apply(spec("r", version=4, closed=True))
    await house.settle()
    assert house.changes("ann") == [(PeerState.LIVE, None)]


async def test_a_spec_says_how_a_room_is_mixed(house: House) -> None:
    """Buses and personal gains, before people come and while they are there."""
    plain = spec("r", "ann", "bob", "cyd")
    ann, *others = plain.anchors
    muting = [replace(one, for_me={ann.peer: None}) for one in others]
    house.engine.apply(replace(plain, anchors=(ann, muting[0], others[1])))
    callers = [
        await house.join(number, name) for number, name in enumerate(("ann", "bob", "cyd"), 1)
    ]
    await house.run(0.5, callers[0])
    assert [sounding(caller.heard) > 15 for caller in callers] == [False, False, True]
    house.engine.apply(replace(plain, version=2, anchors=(ann, others[0], muting[1])))
    for caller in callers:
        caller.heard.clear()
    await house.run(0.5, callers[0])
    assert [sounding(caller.heard) > 15 for caller in callers] == [False, True, False]


async def test_a_spec_out_of_range_changes_nothing(house: House) -> None:
    """Nobody comes, nobody goes."""
    house.engine.apply(spec("r", "ann"))
    ann = await house.join(1, "ann")
    with pytest.raises(ClientMistake):
        house.engine.apply(replace(spec("r", version=2), loudest=-1))
    await house.run(0.5)
    assert house.changes("ann")[-1][0] is PeerState.LIVE
    assert len(ann.heard) > 0


async def test_a_music_room_asks_for_stereo(house: House) -> None:
    """At a rate that is worth it, without pauses; a voice room does not."""
    house.engine.apply(spec("r", "ann", profile=Profile.MUSIC))
    house.engine.apply(spec("s", "bob"))
    answers = [house.answer(house.caller(1), "ann"), house.answer(house.caller(2), "bob", "s")]
    asked = [
        [wish in answer for wish in ("stereo=1", "maxaveragebitrate=128000", "usedtx=1")]
        for answer in answers
    ]
    assert asked == [[True, True, False], [False, False, True]]


@pytest.mark.parametrize("room", Profile)
@pytest.mark.parametrize("own", Profile)
async def test_a_person_of_another_profile(house: House, room: Profile, own: Profile) -> None:
    """Is asked for what theirs is, whatever the room's."""
    wanted = spec("r", profile=room)
    house.engine.apply(replace(wanted, anchors=(AnchorSpec(PeerId("ann"), profile=own),)))
    answer = house.answer(house.caller(1), "ann")
    assert ("stereo=1" in answer) is (own is Profile.MUSIC)


async def test_a_closed_room_removes_everybody(house: House) -> None:
    """And is gone itself; closing what is not there is nothing."""
    house.engine.apply(spec("r", "ann", "bob"))
    await house.join(1, "ann")
    await house.join(2, "bob")
    house.engine.apply(spec("r", version=2, closed=True))
    house.engine.apply(spec("s", closed=True))
    await house.settle()
    assert house.changes("ann")[-1] == house.changes("bob")[-1]
    assert house.engine.statistics().gauges["rooms"] == 0
    with pytest.raises(PeerGone):
        house.answer(house.caller(3), "ann")


async def test_leaving_is_told(house: House) -> None:
    """close_notify is LEFT, and the others are told that nobody talks any more."""
    house.engine.apply(spec("r", "ann"))
    ann = await house.join(1, "ann")
    await house.run(1.0, ann)
    await ann.dtls.stop()
    await house.settle()
    assert house.changes("ann")[-1] == (PeerState.GONE, GoneReason.LEFT)
    talking = [event.levels for event in house.events if isinstance(event, Talking)]
    assert talking == [{PeerId("ann"): -21}, {}]


async def test_mute_is_silence_within_100_ms(house: House) -> None:
    """Counted where it is sent: nothing with sound leaves five ticks after the spec was applied."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    await house.run(1.0, ann)
    house.engine.apply(spec("r", "ann", "bob", version=2, muted="ann"))
    await house.run(0.1, ann)
    bob.heard.clear()
    await house.run(1.0, ann)
    assert sounding(bob.heard) == 0
    house.engine.apply(spec("r", "ann", "bob", version=3))
    await house.run(0.5, ann)
    assert sounding(bob.heard) > 20


async def test_who_joins_muted_is_not_heard(house: House) -> None:
    """The spec's word counts from the first packet."""
    house.engine.apply(spec("r", "ann", "bob", muted="ann"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    await house.run(0.5, ann)
    assert sounding(bob.heard) == 0


async def test_a_muted_persons_packets_are_not_decrypted(house: House) -> None:
    """But for one a second, which proves that they are still there."""
    house.engine.apply(spec("r", "ann", muted="ann"))
    ann = await house.join(1, "ann")
    await house.run(4.0, ann)
    assert house.counter("rtp_received") <= 5
    assert house.counter("rtp_skipped") >= 190


async def test_silent_people_are_neither_decrypted_nor_mixed(house: House) -> None:
    """Known silence costs one decryption a second and no encode; a voice is heard at once."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    await house.run(4.0, ann, level_dbov=-70)
    assert house.counter("rtp_skipped") >= 180
    assert house.counter("opus_encodes") == 0
    await house.run(0.1, ann)
    assert sounding(bob.heard) >= 3


async def test_a_new_ssrc_is_heard_at_once(house: House) -> None:
    """A sender that begins a new stream, numbers far from the old ones, is not taken for late."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    await house.run(0.5, ann)
    ann.ssrc, ann.sequence = 0x7777, 500
    bob.heard.clear()
    await house.run(0.5, ann)
    assert sounding(bob.heard) >= 22
    assert house.counter("jitter_late") == 0


# Loss

SILK_OR_HYBRID = range(16)


def configurations(packets: list[bytes]) -> list[int]:
    """The Opus configuration of each packet (RFC 6716 §3.1), behind a header of 20."""
    return [packet[20] >> 3 for packet in packets if len(packet) > 21]


async def test_who_loses_packets_and_takes_no_redundancy_gets_fec(house: House) -> None:
    """By their receiver reports, and until these say that nothing is lost any more."""
    house.engine.apply(spec("r", "ann", "bob", "cyd"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob", fec=True)
    cyd = await house.join(3, "cyd", fec=True)
    about = int(house.port.table.ssrc_out[house.peer("bob").row])
    await house.run(0.5, ann)
    bob.send(bob.report(lost=0.2, about=about))
    await house.run(1.0, ann)
    assert set(configurations(bob.heard[-30:])) <= set(SILK_OR_HYBRID)
    assert not set(configurations(cyd.heard)) & set(SILK_OR_HYBRID)
    for _ in range(30):
        bob.send(bob.report(lost=0.0, about=about))
        await house.run(0.1, ann)
    assert bob.heard[-5:][-1][20:] == cyd.heard[-1][20:]


async def test_redundancy_goes_before_fec(house: House) -> None:
    """Who takes redundancy goes on with the packets of all, carried twice."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob", fec=True, red=True)
    await house.run(0.5, ann)
    bob.send(bob.report(lost=0.2, about=int(house.port.table.ssrc_out[house.peer("bob").row])))
    before = house.counter("opus_encodes")
    await house.run(0.5, ann)
    assert house.counter("opus_encodes") - before == 25
    assert house.counter("red_sent") > 20


# Statistics


async def test_counters_never_fall(house: House) -> None:
    """People and rooms take nothing with them when they go."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann = await house.join(1, "ann")
    await house.join(2, "bob")
    await house.run(0.5, ann)
    ann.sequence += 5
    await house.run(0.5, ann)
    seen = [Counter(house.engine.statistics().counters)]
    for change in (spec("r", "bob", version=2), spec("r", version=3)):
        house.engine.apply(change)
        await house.settle()
        seen.append(Counter(house.engine.statistics().counters))
    house.engine.apply(spec("r", version=9, closed=True))
    seen.append(Counter(house.engine.statistics().counters))
    assert seen[0]["jitter_concealed"] == 5
    assert seen[0]["opus_encodes"] > 40
    for earlier, later in itertools.pairwise(seen):
        assert all(later[name] >= count for name, count in earlier.items())


async def test_gauges_tell_who_is_there(house: House) -> None:
    """People by state, and rooms."""
    house.engine.apply(spec("r", "ann", "bob"))
    await house.join(1, "ann")
    house.answer(house.caller(2), "bob")
    gauges = house.engine.statistics().gauges
    assert gauges["peers_live"] == gauges["peers_connecting"] == gauges["rooms"] == 1
    assert gauges["peers_interrupted"] == 0


# Failures


async def test_a_failing_room_does_not_stop_the_others(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted each tick, and logged once."""
    house.engine.apply(spec("bad", "eve"))
    house.engine.apply(spec("r", "ann", "bob"))
    await house.join(3, "eve", "bad")
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    tick = Room.tick

    def fail(self: Room, *now: Any) -> list[Outgoing]:
        if self.id == "bad":
            raise RuntimeError("cursed")
        return tick(self, *now)

    monkeypatch.setattr(Room, "tick", fail)
    await house.run(0.5, ann)
    assert sounding(bob.heard) > 20
    assert house.counter("tick_failures") == 25
    assert [record.getMessage() for record in caplog.records] == ["the ticker failed at room bad"]
    caplog.clear()


@pytest.mark.parametrize("step", ["poll", "send", "tick"])
async def test_a_failing_port_does_not_end_the_ticker(
    house: House,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """Whatever fails once a tick is tried again in the next."""
    house.engine.apply(spec("r", "ann", "bob"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")

    def fail(*_arguments: Any, **_more: Any) -> None:
        raise RuntimeError("cursed")

    with monkeypatch.context() as patch:
        patch.setattr(house.port, step, fail)
        for _ in range(3):
            house.engine._tick(tick_at(house.clock()))
    await house.run(0.5, ann)
    assert sounding(bob.heard) > 20
    assert len(caplog.records) <= 1
    caplog.clear()


async def test_one_peers_trouble_is_not_the_blocks(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet that breaks its anchor does not keep those behind it from being read."""
    house.engine.apply(spec("r", "ann", "bob", "cyd"))
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    cyd = await house.join(3, "cyd")
    arrived = house.engine.arrived

    def fail(peer: Peer, *rest: Any, **more: Any) -> None:
        if peer.id == "ann":
            raise RuntimeError("cursed")
        arrived(peer, *rest, **more)

    monkeypatch.setattr(house.engine, "arrived", fail)
    await house.run(0.5, ann, bob)
    assert sounding(cyd.heard) > 20
    assert house.counter("datagram_failures") == 25
    caplog.clear()


def gong(frames: int) -> Int16Frame:
    """Return some frames of a tone."""
    return np.array([tone(1000)(number) for number in range(frames)]).reshape(-1, FRAME_SAMPLES)


def feed(house: House, frames: int, name: str = "gong") -> None:
    """Give a player its frames and its end."""
    house.engine.players.feed(RoomId("r"), name, gong(frames))
    house.engine.players.feed(RoomId("r"), name, gong(0))


async def test_a_room_is_ticked_for_what_it_plays(house: House) -> None:
    """Nobody is there: it is ticked until that is over, and costs nothing after."""
    house.engine.apply(spec("r"))
    house.engine.play(RoomId("r"), PlayerSpec("gong"))
    feed(house, 25)
    assert house.engine.statistics().gauges["players"] == 1
    await house.run(1.0)
    taken = [one.frames for one in house.events if isinstance(one, Played)]
    assert taken == sorted(taken)
    assert len(taken) >= 3
    assert house.events[-1] == Played(RoomId("r"), "gong", 25, is_over=True)
    assert not house.engine._occupied


async def test_people_hear_what_is_played(house: House) -> None:
    """Though nobody speaks; who leaves does not end it, nor does it keep their room when over."""
    house.engine.apply(spec("r", "ann"))
    ann = await house.join(1, "ann")
    house.engine.play(RoomId("r"), PlayerSpec("gong"))
    feed(house, 40)
    await house.run(0.5)
    assert sounding(ann.heard) > 20
    house.engine.apply(spec("r", version=2))
    await house.run(0.2)
    assert house.engine._occupied
    await house.run(0.5)
    assert not house.engine._occupied
    assert house.events[-1] == Played(RoomId("r"), "gong", 40, is_over=True)


async def test_a_closed_room_plays_no_more(house: House) -> None:
    """Nothing is left of it, and nobody is told; nothing can be played in it."""
    house.engine.apply(spec("r"))
    house.engine.play(RoomId("r"), PlayerSpec("gong"))
    feed(house, 40)
    house.engine.apply(spec("r", version=2, closed=True))
    await house.run(0.5)
    assert house.events == []
    assert (len(house.engine.players), house.engine._occupied) == (0, {})
    with pytest.raises(PeerGone):
        house.engine.play(RoomId("r"), PlayerSpec("gong"))


@pytest.mark.parametrize("wrong", [{"gain_db": 99.0}, {"bus": "fr"}])
async def test_what_cannot_be_played_occupies_nothing(house: House, wrong: Any) -> None:
    """A gain out of its range, a bus that is not there."""
    house.engine.apply(spec("r"))
    with pytest.raises(ClientMistake):
        house.engine.play(RoomId("r"), PlayerSpec("gong", **wrong))
    assert not house.engine._occupied


async def test_a_bus_of_the_room_may_be_played_to(house: House) -> None:
    """The floor, and those the spec names."""
    house.engine.apply(spec("r", buses=("fr",)))
    house.engine.play(RoomId("r"), PlayerSpec("gong", bus="fr"))
    house.engine.play(RoomId("r"), PlayerSpec("bell", bus="floor"))
    assert len(house.engine.players) == 2
