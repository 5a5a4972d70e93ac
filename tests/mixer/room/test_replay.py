"""A recorded room and its replay: bit for bit the same, other settings another result."""

import io
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mixer.core.frame_ring import FrameRing
from mixer.core.jitter import Arrival
from mixer.core.recording import (
    ROOM,
    BadRecording,
    Call,
    Fed,
    Lost,
    Record,
    Seat,
    Sent,
    Tick,
    read_header,
    read_records,
    write_record,
)
from mixer.opus import Application, Encoder
from mixer.room.player import Target
from mixer.room.recorder import CHUNK_BYTES, Journal, Limits, RecordedRoom, Recorder
from mixer.room.replay import (
    MAX_FED_FRAMES,
    MAX_SEATS,
    MAX_TICKS_APART,
    Replay,
    ReplaySettings,
)
from mixer.room.stage import MAX_PLAYING
from mixer.types import (
    FRAME_SAMPLES,
    TICK_S,
    AnchorSpec,
    Delivery,
    Int16Frame,
    Outgoing,
    PeerId,
    Profile,
    Quality,
    RoomId,
    RoomSpec,
    Tapped,
)
from tests.support.webrtc_client import level_db, tone

HALL = RoomId("hall")
ENCODER = Encoder(application=Application.AUDIO, complexity=5)
VOICES = {
    hertz: [ENCODER.encode(tone(hertz)(number)) for number in range(100)] for hertz in (440, 1000)
}


class Shelf:
    """An ArrivalSink in memory that loses every chunk whose number is listed."""

    def __init__(self, *lost: int) -> None:
        self.files: dict[str, bytes] = {}
        self.chunks = 0
        self._lost = lost

    def write(self, name: str, chunk: bytes) -> bool:
        self.chunks += 1
        if self.chunks - 1 in self._lost:
            return False
        self.files[name] = self.files.get(name, b"") + chunk
        return True


class Nowhere:
    """A tap that is there, and keeps nothing."""

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        pass

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        pass


def a_spec(**more: Any) -> RoomSpec:
    names = ("ann", "bob", "cyd")
    anchors = more.pop("anchors", tuple(AnchorSpec(PeerId(name)) for name in names))
    return RoomSpec(HALL, 1, anchors, on_air=True, **more)


class Call3:
    """Three people: two talk over a bad network, one hears; what was really sent is kept."""

    def __init__(self, shelf: Shelf, *, limit_bytes: int = 1 << 30, seed: int = 7) -> None:
        self.recorder = Recorder(shelf, HALL, "call", Limits(limit_bytes))
        self.journal = Journal()
        self.journal.recorder = self.recorder
        self.room = RecordedRoom(HALL, Nowhere(), self.journal)
        self.room.configure(a_spec())
        self.sent: list[tuple[int, Outgoing]] = []
        self._dice = random.Random(seed)
        self._tick = 5000
        self._coming: list[tuple[float, int, Arrival]] = []
        self.anchors = [
            self.journal.make_anchor(PeerId(name), row)
            for row, name in enumerate(("ann", "bob", "cyd"))
        ]
        for anchor in self.anchors:
            self.room.add(anchor)
            self.room.connect(anchor.peer)

    def run(
        self, ticks: int, *, speaking: tuple[int, ...] = (0, 1), jitter_s: float = 0.03
    ) -> None:
        for _ in range(ticks):
            self._tick += 1
            now = self._tick * TICK_S + self._dice.random() * 0.001
            for row in speaking:
                if self._dice.random() < 0.03:
                    continue
                packet = Arrival(
                    self._tick & 0xFFFF,
                    self._tick * FRAME_SAMPLES & 0xFFFFFFFF,
                    VOICES[(440, 1000)[row]][self._tick % 100],
                    now + self._dice.random() * jitter_s,
                    silent=False,
                )
                self._coming.append((packet.arrival_s, row, packet))
            self._coming.sort(key=lambda entry: entry[0])
            while self._coming and self._coming[0][0] <= now:
                arrival, row, packet = self._coming.pop(0)
                anchor = self.anchors[row]
                if anchor.arrived(packet, -20, arrival):
                    self.room.wake(anchor)
            self.sent += [(self._tick, frame) for frame in self.room.tick(self._tick, now)]


def recorded(shelf: Shelf, name: str = "call") -> Iterator[Record]:
    stream = io.BytesIO(shelf.files[name])
    assert read_header(stream.read).room == HALL
    return read_records(stream.read)


def replay(
    records: Iterator[Record], settings: ReplaySettings | None = None
) -> tuple[Replay, list[tuple[int, Outgoing]]]:
    made, sent = Replay(HALL, settings), []
    for record in records:
        if (played := made.feed(record)) is not None:
            sent += [(played.tick, frame) for frame in played.sent]
    return made, sent


def comparable(sent: list[tuple[int, Outgoing]]) -> list[tuple[int, list[int], bytes, bool]]:
    return [(tick, frame.rows.tolist(), frame.payload, frame.marker) for tick, frame in sent]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def eventful(shelf: Shelf) -> Call3:  # noqa: PLR0915 - a story
    """A call in which all happens that can."""
    call = Call3(shelf)
    call.run(150)
    call.anchors[0].mute(True)
    call.run(40)
    call.anchors[0].mute(False)
    call.run(60, jitter_s=0.08)
    call.anchors[1].restart()
    call.run(80, speaking=(0,))
    jingle = FrameRing()
    call.room.play("jingle", jingle, gain_db=-6.0)
    for number in range(30):
        jingle.push(tone(3000)(number))
    call.run(10)
    call.room.set_volume("jingle", -20.0)
    jingle.close()
    call.run(40)
    gong = FrameRing()
    call.room.play("gong", gong, to=Target(PeerId("cyd")))
    for number in range(10):
        gong.push(tone(2000)(number))
    call.run(4)
    call.room.stop("gong")
    louder = AnchorSpec(
        PeerId("ann"), gain_db=6.0, for_me={PeerId("bob"): None}, profile=Profile.VOICE
    )
    others = (AnchorSpec(PeerId("bob"), pan=0.5), AnchorSpec(PeerId("cyd")))
    call.room.configure(a_spec(anchors=(louder, *others), automix=True))
    call.run(60)
    call.room.spend(Quality(max_bitrate_bps=48_000, loudest=1, robust_complexity=8))
    call.run(20)
    call.room.deliver(PeerId("ann"), Delivery(is_robust=True, loss_percent=10, bitrate_bps=28_000))
    call.run(20)
    call.room.deliver(PeerId("bob"), Delivery(bitrate_bps=72_000))
    call.room.spend(Quality(robust_complexity=3))
    call.run(20)
    call.room.deliver(PeerId("ann"), Delivery())
    call.room.disconnect(PeerId("cyd"))
    call.run(20)
    call.room.connect(PeerId("cyd"))
    call.room.spend(Quality())
    call.room.configure(a_spec(anchors=(louder, *others), profile=Profile.MUSIC, loudest=1))
    call.run(60)
    call.room.configure(a_spec())
    call.run(10, speaking=(0,))
    call.room.remove(PeerId("bob"))
    call.run(120, speaking=(0,))
    call.run(100, speaking=())
    again = call.journal.make_anchor(PeerId("bob"), 5)
    call.anchors[1] = again
    call.room.add(again)
    call.room.connect(again.peer)
    call.run(100)
    call.recorder.close()
    return call


def test_a_replay_sends_what_was_sent(shelf: Shelf) -> None:
    """Every payload, to the same rows in the same ticks, with every event in between."""
    call = eventful(shelf)
    made, sent = replay(recorded(shelf))
    assert len(sent) > 1000
    assert comparable(sent) == comparable(call.sent)
    assert made.is_as_recorded
    assert made.recorded_digest == made.digest.value()
    assert made.room.encodes == call.room.encodes


def test_a_replay_counts_what_was_counted(shelf: Shelf) -> None:
    """The jitter buffers' statistics, person by person, those who left included."""
    call = eventful(shelf)
    made, _ = replay(recorded(shelf))
    counted = [
        (seat.peer, numbers["late"], numbers["concealed"]) for seat, numbers in made.statistics()
    ]
    assert [peer for peer, _, _ in counted] == ["ann", "bob", "cyd", "bob"]
    ann = call.anchors[0].jitter.statistics()
    assert counted[0] == ("ann", ann.late, ann.concealed)
    assert ann.concealed > 5


def test_other_settings_give_another_result(shelf: Shelf) -> None:
    """A larger target of the jitter buffer: fewer packets come too late."""
    eventful(shelf)
    plain, _ = replay(recorded(shelf))
    patient, _ = replay(recorded(shelf), ReplaySettings(jitter_min_frames=6, jitter_max_frames=12))
    late = [sum(int(n["late"]) for _, n in one.statistics()) for one in (plain, patient)]
    assert late[1] < late[0]
    assert plain.digest.value() != patient.digest.value()
    assert not patient.is_as_recorded


def test_the_mix_can_be_heard(shelf: Shelf) -> None:
    """Both voices are in the full mix of each tick."""
    eventful(shelf)
    made = Replay(HALL)
    mixes = [
        p.mix for r in recorded(shelf) if (p := made.feed(r)) is not None and p.mix is not None
    ]
    pcm = np.concatenate(mixes[20:140])
    assert min(level_db(pcm, 440), level_db(pcm, 1000)) > -14


def test_a_lost_chunk_is_counted_and_the_replay_goes_on() -> None:
    """It says so, and does not claim to be exact."""
    shelf = Shelf(2)
    call = Call3(shelf)
    call.run(500)
    call.recorder.close()
    made, sent = replay(recorded(shelf))
    assert call.recorder.counters["recording_chunks_lost"] == made.lost_chunks == 1
    assert not made.is_as_recorded
    assert len(sent) > 100


def test_chunks_lost_in_a_row_are_summed() -> None:
    """One mark stands for all of them."""
    shelf = Shelf(1, 2, 3)
    call = Call3(shelf)
    call.run(900)
    call.recorder.close()
    assert replay(recorded(shelf))[0].lost_chunks == 3


def test_a_seat_that_is_lost_is_no_mistake() -> None:
    """Packets of nobody known are left out."""
    made = Replay(HALL)
    strangers: list[Record] = [Call(9, "mute", (True,)), Call(ROOM, "connect", ("ann",))]
    for record in strangers:
        made.feed(record)
    shelf = Shelf()
    Call3(shelf).run(300)
    for record in recorded(shelf):
        if not isinstance(record, Seat | Tick):
            made.feed(record)
    assert not made.is_as_recorded


def test_chunks_are_bounded_and_the_limit_holds(shelf: Shelf) -> None:
    """At the limit recording ends; what is there can be run."""
    call = Call3(shelf, limit_bytes=3 * CHUNK_BYTES)
    call.run(1000)
    call.recorder.close()
    assert len(shelf.files["call"]) < 4 * CHUNK_BYTES
    assert call.recorder.counters["recordings_full"] == 1
    made, sent = replay(recorded(shelf))
    assert made.is_as_recorded
    assert comparable(sent) == comparable(call.sent)[: len(sent)]


def test_a_quiet_room_is_handed_on_too(shelf: Shelf) -> None:
    """Every few seconds, so that little is lost when the process is killed."""
    call = Call3(shelf)
    call.run(251, speaking=())
    assert len(shelf.files["call"]) < CHUNK_BYTES
    assert sum(isinstance(record, Tick) for record in recorded(shelf)) >= 1


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Call(ROOM, "explode", ("ann",)), "explode"),
        (Call(ROOM, "remove"), "remove"),
        (Call(ROOM, "configure", ({},)), "configure"),
        (Call(ROOM, "configure", ({"anchors": [], "loudest": -1},)), "loudest"),
        (Call(ROOM, "configure", (5,)), "configure"),
        (Call(ROOM, "play", ("a", None, None, 99.0)), "gain"),
        (Call(ROOM, "set_volume", ("a", "loud")), "set_volume"),
        (Call(ROOM, "deliver", ("ann", True, 101, None)), "percentage"),
        (Call(ROOM, "deliver", ("ann", True, "much", None)), "deliver"),
        (Call(ROOM, "deliver", ("ann", True, 5, -1)), "bit rate"),
        (Call(ROOM, "spend", (None, 0, 11)), "complexity"),
        (Call(ROOM, "spend", (10**30, 0, 5)), "bit rate"),
        (Call(0, "hear"), "hear"),
        (Tick(10, 1.0), "from tick 10 to 10"),
        (Tick(11 + MAX_TICKS_APART, 1.0), "from tick 10 to"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(record: Record, words: str) -> None:
    """A call nobody knows, a tick that was before, a tick days away."""
    made = Replay(HALL)
    made.feed(Seat(0, "ann"))
    made.feed(Tick(10, 1.0))
    with pytest.raises(BadRecording, match=words):
        made.feed(record)


def test_players_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is what they are fed."""
    made = Replay(HALL)
    made.feed(Call(ROOM, "over", ("nothing",)))
    made.feed(Fed("nothing", np.zeros(FRAME_SAMPLES, np.int16)))
    assert not made.is_as_recorded
    for number in range(MAX_PLAYING):
        made.feed(Call(ROOM, "play", (f"jingle {number}", None, "floor", 0.0)))
    with pytest.raises(BadRecording, match="plays at most"):
        made.feed(Call(ROOM, "play", ("one more", None, "floor", 0.0)))
    monkeypatch.setattr("mixer.room.replay.MAX_PLAYERS", 1)
    made = Replay(HALL)
    made.feed(Call(ROOM, "play", ("jingle", None, None, 0.0)))
    with pytest.raises(BadRecording, match="plays more"):
        made.feed(Call(ROOM, "play", ("gong", None, None, 0.0)))
    for _ in range(MAX_FED_FRAMES):
        made.feed(Fed("jingle", np.zeros(FRAME_SAMPLES, np.int16)))
    with pytest.raises(BadRecording, match="more than it can take"):
        made.feed(Fed("jingle", np.zeros(FRAME_SAMPLES, np.int16)))


def test_people_are_finite() -> None:
    """A file of nothing but seats ends."""
    made = Replay(HALL)
    for row in range(MAX_SEATS):
        made.feed(Seat(row % 5, f"p{row % 5}"))
    with pytest.raises(BadRecording, match="people"):
        made.feed(Seat(1, "one more"))


def test_a_room_that_fails_is_counted(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next tick goes on, as in the engine."""
    made = Replay(HALL)

    def fail(_tick: int, _now: float) -> None:
        raise RuntimeError("cursed")

    monkeypatch.setattr(made.room, "tick", fail)
    made.feed(Tick(1, 1.0))
    assert (made.failures, made.ticks) == (1, 1)


def test_a_wrong_digest_is_told(shelf: Shelf) -> None:
    """For instance when the mixer has changed since."""
    eventful(shelf)
    made, _ = replay(
        replace(record, digest=bytes(32)) if isinstance(record, Sent) else record
        for record in recorded(shelf)
    )
    assert not made.is_as_recorded


@pytest.mark.parametrize("seed", range(30))
def test_hostile_recordings_end_in_a_sentence_or_a_table(seed: int) -> None:
    """Whatever bytes are flipped behind the header."""
    shelf = Shelf()
    Call3(shelf, seed=seed).run(260)
    dice = random.Random(seed)
    data = bytearray(shelf.files["call"])
    for _ in range(40):
        data[dice.randrange(60, len(data))] = dice.randrange(256)
    shelf.files["call"] = bytes(data)
    made = Replay(HALL)
    try:
        for record in recorded(shelf):
            made.feed(record)
    except BadRecording:
        return
    assert made.ticks > 0


def test_lost_is_written_before_what_follows(shelf: Shelf) -> None:
    """Its record is small."""
    assert len(write_record(Lost(1))) == 9


def begun_in_the_middle(shelf: Shelf) -> Call3:
    """A call in which much has happened, recorded from then on."""
    call = Call3(Shelf())
    call.run(100)
    call.room.configure(a_spec(loudest=1))
    call.room.spend(Quality(max_bitrate_bps=48_000))
    call.room.deliver(PeerId("cyd"), Delivery(is_robust=True, loss_percent=10))
    call.room.disconnect(PeerId("bob"))
    call.anchors[1].mute(True)
    jingle, gong, over = (FrameRing() for _ in range(3))
    call.room.play("over", over)
    over.close()
    call.room.play("gone", FrameRing())
    call.run(10)
    call.room.play("jingle", jingle, gain_db=-6.0)
    call.room.play("gong", gong, to=Target(PeerId("cyd")))
    call.room.set_volume("jingle", -12.0)
    call.room.stop("gone")
    call.sent.clear()
    call.room.begin(Recorder(shelf, HALL, "later", Limits(1 << 30), is_whole=False))
    for number in range(30):
        jingle.push(tone(3000)(number))
    call.run(60)
    call.anchors[1].mute(False)
    call.run(100)
    call.journal.end()
    return call


def test_a_recording_from_the_middle_begins_with_how_the_room_is(shelf: Shelf) -> None:
    """Who is there, hears, is muted and protected, how they are mixed, what plays."""
    begun_in_the_middle(shelf)
    stream = io.BytesIO(shelf.files["later"])
    assert not read_header(stream.read).is_whole
    first = list(itertools.islice(read_records(stream.read), 11))
    assert [one.peer for one in first if isinstance(one, Seat)] == ["ann", "bob", "cyd"]
    calls = [(one.row, one.name, one.args) for one in first if isinstance(one, Call)]
    assert [name for _, name, _ in calls[:2]] == ["spend", "configure"]
    assert calls[0][2] == (48_000, 0, 5)
    assert calls[2:] == [
        (ROOM, "connect", ("ann",)),
        (1, "mute", (True,)),
        (ROOM, "connect", ("cyd",)),
        (ROOM, "deliver", ("cyd", True, 10, None)),
        (ROOM, "play", ("jingle", None, None, -12.0)),
        (ROOM, "play", ("gong", "cyd", None, 0.0)),
    ]


def test_a_recording_from_the_middle_is_equal_in_two_replays(shelf: Shelf) -> None:
    """Bit for bit with each other, in the same ticks to the same people as the call was sent."""
    call = begun_in_the_middle(shelf)
    (first, sent), (second, again) = (replay(recorded(shelf, "later")) for _ in range(2))
    assert comparable(sent) == comparable(again)
    assert first.digest.value() == second.digest.value()
    assert first.recorded_digest is None  # the call's own coders knew what was before
    assert first.failures == first.lost_chunks == 0
    heard = {tick: frame.rows.tolist() for tick, frame in sent if len(frame.payload) > 2}
    live = {tick: frame.rows.tolist() for tick, frame in call.sent if len(frame.payload) > 2}
    assert len(live) > 140
    assert len(set(heard) & set(live)) > 0.95 * len(live)


def test_a_recording_ends_at_its_last_tick(shelf: Shelf) -> None:
    """And the room goes on, unrecorded."""
    call = Call3(Shelf())
    call.run(10)
    call.room.begin(Recorder(shelf, HALL, "later", Limits(1 << 30, call._tick + 25)))
    assert call.recorder.is_over
    call.run(50)
    ticks = [one.tick for one in recorded(shelf, "later") if isinstance(one, Tick)]
    assert ticks == list(range(5011, 5036))
    assert call.journal.recorder is None
    assert call.journal.counters()["recorded_bytes"] >= len(shelf.files["later"])
