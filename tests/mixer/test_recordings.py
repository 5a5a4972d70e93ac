"""The engine's recordings: calls over the in-memory port, run again from the file alone."""

import io
from collections import defaultdict
from collections.abc import AsyncIterator

import numpy as np
import pytest

from mixer.core import g711
from mixer.core.recording import Seat, read_header, read_records
from mixer.room.replay import Replay
from mixer.seats import Recordings
from mixer.types import (
    AnchorSpec,
    ArrivalsSpec,
    PeerId,
    PlayerSpec,
    RoomId,
    RoomSpec,
    RtpCodec,
)
from tests.mixer.room.test_replay import Shelf
from tests.mixer.test_lines import STUDIO, TRUNK, House, forwarder, trunk
from tests.support.callers import Caller
from tests.support.webrtc_client import tone


class Studio(House):
    """A house that records."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        super().__init__(Recordings(self.shelf, 1 << 30))


@pytest.fixture
async def house() -> AsyncIterator[Studio]:
    made = Studio()
    yield made
    assert await made.close() == []


def replayed(shelf: Shelf, name: str) -> tuple[Replay, dict[str, list[bytes]]]:
    """Run a recording; return what each person was sent."""
    stream = io.BytesIO(shelf.files[name])
    made = Replay(RoomId(read_header(stream.read).room))
    sent: dict[str, list[bytes]] = defaultdict(list)
    peers: dict[int, str] = {}
    for record in read_records(stream.read):
        if isinstance(record, Seat):
            peers[record.row] = record.peer
        if (played := made.feed(record)) is not None:
            for frame in played.sent:
                for row in frame.rows.tolist():
                    sent[peers[row]].append(frame.payload)
    return made, sent


def payloads(caller: Caller) -> list[bytes]:
    """What a caller was really sent, decrypted: 20 bytes of header, then the payload."""
    return [packet[20:] for packet in caller.heard]


async def test_a_replay_sends_what_the_port_sent(house: Studio) -> None:
    """Byte for byte what the callers decrypted, with mutes, plain RTP and leaving in between."""
    house.apply("ann", "bob", "cyd", rtp=(trunk(),), forwarders=(forwarder(),))
    callers = {name: await house.join(n, name) for n, name in enumerate(("ann", "bob", "cyd"), 1)}
    ann, bob = callers["ann"], callers["bob"]
    await house.run(1.0, ann)
    await house.run(0.5, ann, bob, plain=RtpCodec.OPUS)
    muted = AnchorSpec(PeerId("ann"), muted=True)
    others = (AnchorSpec(PeerId("bob")), AnchorSpec(PeerId("cyd")))
    house._version += 1
    house.engine.apply(
        RoomSpec(
            RoomId("r"), house._version, (muted, *others), rtp=(trunk(),), forwarders=(forwarder(),)
        )
    )
    await house.run(0.5, ann, bob)
    house.apply("ann", "cyd", rtp=(trunk(),), forwarders=(forwarder(),))
    await house.settle()
    await house.run(0.5, ann)
    house.apply()
    await house.settle()
    (name,) = house.shelf.files
    made, sent = replayed(house.shelf, name)
    assert made.is_as_recorded
    assert made.recorded_digest == made.digest.value()
    for person, caller in callers.items():
        assert sent[person] == payloads(caller), person
    sounding = [body for body in sent["forwarder:studio"] if len(body) > 2]
    assert sounding
    assert sounding == [body for body in house.heard[STUDIO] if len(body) > 3]


async def test_g711_is_replayed_too(house: Studio) -> None:
    """Its decoder is known from the seat."""
    codec = RtpCodec.PCMA
    house.apply("ann", rtp=(trunk(codec=codec, payload_type=g711.STATIC_PAYLOAD_TYPES[codec]),))
    ann = await house.join(1, "ann")
    await house.run(1.0, ann, plain=codec)
    house.apply()
    await house.settle()
    (name,) = house.shelf.files
    made, sent = replayed(house.shelf, name)
    assert made.is_as_recorded
    assert sent["ann"] == payloads(ann)
    assert len(house.heard[TRUNK]) >= 45


async def test_each_call_is_a_recording_of_its_own(house: Studio) -> None:
    """From the first who comes to the last who leaves; the room begins as new."""
    for number in (1, 2):
        house.apply("ann", "bob")
        ann = await house.join(10 * number, "ann")
        await house.join(10 * number + 1, "bob")
        await house.run(0.6, ann)
        house.apply()
        await house.settle()
    assert len(house.shelf.files) == 2
    for name in house.shelf.files:
        assert name.startswith("r-")
        made, sent = replayed(house.shelf, name)
        assert made.is_as_recorded
        assert len(sent["bob"]) >= 25
    assert house.counter("recorded_bytes") == sum(map(len, house.shelf.files.values()))
    assert house.counter("opus_encodes") >= 50


async def test_what_is_left_is_handed_on_at_the_end(house: Studio) -> None:
    """A plane that closes in the middle of a call."""
    house.apply("ann")
    ann = await house.join(1, "ann")
    await house.run(0.2, ann)
    before = sum(map(len, house.shelf.files.values()))
    house.engine.end_recordings()
    (name,) = house.shelf.files
    assert len(house.shelf.files[name]) > before
    assert replayed(house.shelf, name)[0].ticks >= 10


async def test_without_recordings_rooms_are_plain() -> None:
    """Nothing is written, nothing is counted."""
    house = House()
    house.apply("ann")
    await house.join(1, "ann")
    await house.run(0.1)
    assert "recorded_bytes" not in house.engine.statistics().counters
    assert await house.close() == []


class OnRequest(House):
    """A house that records when it is asked to."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        super().__init__(Recordings(self.shelf))

    def wish(self, seconds: float = 3600.0, limit_bytes: int = 1 << 30) -> ArrivalsSpec:
        return ArrivalsSpec(f"w{seconds}", limit_bytes, self.clock() + 1e9 + seconds)

    def names(self) -> list[str]:
        return sorted(self.shelf.files)


@pytest.fixture
async def on_request() -> AsyncIterator[OnRequest]:
    made = OnRequest()
    yield made
    assert await made.close() == []
    assert made.counter("tick_failures") == 0


async def test_a_recording_is_begun_in_the_middle_of_a_call(on_request: OnRequest) -> None:
    """Nobody hears it begin or end; two replays are equal; plain RTP and who comes later are in."""
    house = on_request
    lines = {"rtp": (trunk(),), "forwarders": (forwarder(),)}
    house.apply("ann", "bob", **lines)
    ann, bob = await house.join(1, "ann"), await house.join(2, "bob")
    await house.run(0.5, ann, plain=RtpCodec.OPUS)
    assert house.shelf.files == {}
    wish = house.wish()
    house.apply("ann", "bob", "cyd", arrivals=wish, **lines)
    await house.run(0.5, ann, plain=RtpCodec.OPUS)
    await house.join(3, "cyd")
    house.apply("ann", "bob", "cyd", arrivals=wish, **lines)  # the same wish changes nothing
    await house.run(0.5, ann, plain=RtpCodec.OPUS)
    house.apply("ann", "bob", "cyd", **lines)
    size = len(house.shelf.files[house.names()[0]])
    await house.run(0.5, ann, plain=RtpCodec.OPUS)
    (name,) = house.names()
    assert len(house.shelf.files[name]) == size
    (first, sent), (second, _) = replayed(house.shelf, name), replayed(house.shelf, name)
    assert first.digest.value() == second.digest.value()
    assert first.ticks == 50
    people = [seat.peer for seat, _ in first.statistics()]
    assert people == ["trunk", "forwarder:studio", "ann", "bob", "cyd"]
    assert sum(len(body) > 2 for body in sent["bob"]) > 40
    assert len(bob.heard) > 90


async def test_each_call_is_recorded_until_the_time_is_over(on_request: OnRequest) -> None:
    """Begun for an empty room; a file for each call; nothing after its time."""
    house = on_request
    wish = house.wish(seconds=3.0)
    for number in range(3):
        house.apply("ann", arrivals=wish)
        ann = await house.join(10 + number, "ann")
        await house.run(1.4, ann)
        house.apply(arrivals=wish)
        await house.settle()
    assert len(house.names()) >= 2
    lengths = [replayed(house.shelf, name)[0].ticks for name in house.names()]
    assert lengths[0] >= 70
    assert sum(lengths) <= 151


async def test_a_recording_that_was_asked_for_ends_at_its_size(on_request: OnRequest) -> None:
    """And so does one whose server ends."""
    house = on_request
    house.apply("ann", arrivals=house.wish(limit_bytes=20_000))
    ann = await house.join(1, "ann")
    await house.run(4.0, ann)
    assert 16_000 < len(house.shelf.files[house.names()[0]]) < 40_000
    assert house.counter("recordings_full") == 1
    house.clock.advance(0.01)
    house.apply("ann", arrivals=house.wish(7.0))
    await house.run(0.2, ann)
    house.engine.end_recordings()
    assert replayed(house.shelf, house.names()[1])[0].ticks == 10


async def test_where_every_room_is_recorded_a_wish_changes_nothing(house: Studio) -> None:
    """The whole call is in the file already."""
    house.apply("ann")
    ann = await house.join(1, "ann")
    await house.run(0.2, ann)
    house.apply("ann", arrivals=ArrivalsSpec("w", 1000, 2e9))
    await house.run(0.2, ann)
    house.apply()
    await house.settle()
    (name,) = house.shelf.files
    assert replayed(house.shelf, name)[0].is_as_recorded


async def test_an_announcement_is_replayed_bit_for_bit(house: Studio) -> None:
    """It begins the recording of an empty room, and people who come hear it: all from the file."""
    house.apply("ann")
    house.engine.play(RoomId("r"), PlayerSpec("gong", gain_db=-3.0))
    pcm = np.array([tone(1000)(number) for number in range(50)])
    house.engine.players.feed(RoomId("r"), "gong", pcm)
    await house.run(0.2)
    ann = await house.join(1, "ann")
    await house.run(0.3)
    house.engine.players.set_volume(RoomId("r"), "gong", -12.0)
    await house.run(0.2)
    house.engine.players.stop(RoomId("r"), "gong")
    await house.run(0.4)
    house.apply()
    await house.run(0.1)
    (name,) = house.shelf.files
    made, sent = replayed(house.shelf, name)
    assert made.is_as_recorded
    assert made.failures == 0
    assert sum(len(payload) > 1 for payload in sent["ann"]) > 15
    assert sent["ann"] == payloads(ann)
