"""A lone speaker's packets, sent on as they came: when, until when, and what nobody notices."""

import io
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.core.jitter import Arrival
from mixer.core.recording import ROOM, Call, read_header, read_records
from mixer.core.specjson import read_spec, write_spec
from mixer.core.steadiness import LEAST
from mixer.opus import Application, Decoder, Encoder
from mixer.room.anchor import Anchor
from mixer.room.mix import COMFORT_PAYLOAD
from mixer.room.playout import CATCH_UP
from mixer.room.recorder import Journal, Limits, RecordedRoom, Recorder
from mixer.room.replay import Replay
from mixer.room.room import CROWDED_TICKS, Room
from mixer.types import (
    FRAME_SAMPLES,
    PCM_ROWS,
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
)
from tests.support.hall import TapRecorder

HALL = RoomId("hall")
NAMES = ("ann", "bob", "cyd")
ANN, BOB, CYD = (PeerId(name) for name in NAMES)
LOUD = -20


def vowel(number: int, pitch: float = 140.0) -> Int16Frame:
    """Return the next 20 ms of something like a vowel: SILK and hybrid are for speech."""
    t = (number * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)) / 48_000
    loud = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    wave = sum(np.sin(2 * np.pi * pitch * n * t) / n for n in range(1, 21))
    return np.round(5000 * loud * wave).astype(np.int16)


@cache
def packets(channels: int = 1, application: Application = Application.VOIP) -> tuple[bytes, ...]:
    """Return 4 s as a browser sends them."""
    encoder = Encoder(channels=channels, application=application, bitrate_bps=32_000, complexity=5)
    frames = (np.repeat(vowel(number), channels) for number in range(200))
    return tuple(encoder.encode(frame) for frame in frames)


class House:
    """Three people; what each is sent, and what Cyd hears of it."""

    def __init__(self, tap: TapRecorder | None = None, **more: object) -> None:
        self.room = Room(HALL, tap)
        self.anchors: dict[str, Anchor] = {}
        self.anchors |= {name: Anchor(PeerId(name), row) for row, name in enumerate(NAMES)}
        for anchor in self.anchors.values():
            self.room.add(anchor)
            self.room.connect(anchor.peer)
        self.configure(**more)
        self.tick = CROWDED_TICKS
        self.decoder = Decoder()
        self.heard: list[Int16Frame] = []
        self.lost: set[int] = set()

    def configure(self, *anchors: AnchorSpec, **more: object) -> None:
        own = {spec.peer: spec for spec in anchors}
        all_of_them = tuple(own.get(PeerId(name), AnchorSpec(PeerId(name))) for name in NAMES)
        self.room.configure(RoomSpec(HALL, 1, all_of_them, **more))  # type: ignore[arg-type]

    def say(
        self, name: str, level: int | None = LOUD, sounds: Sequence[bytes] | None = None
    ) -> None:
        sounds = sounds or packets()
        if self.tick in self.lost:
            return
        packet = Arrival(
            self.tick & 0xFFFF,
            self.tick * FRAME_SAMPLES & 0xFFFFFFFF,
            sounds[self.tick % len(sounds)],
            self.tick * TICK_S - 0.003,
            silent=False,
        )
        if self.anchors[name].arrived(packet, level, self.tick * TICK_S):
            self.room.wake(self.anchors[name])

    def run(
        self,
        ticks: int,
        *speakers: str,
        level: int | None = LOUD,
        sounds: Sequence[bytes] | None = None,
    ) -> list[list[Outgoing]]:
        sent = []
        for _ in range(ticks):
            for name in speakers:
                self.say(name, level, sounds)
            sent.append(self.room.tick(self.tick, self.tick * TICK_S + 0.004))
            for outgoing in sent[-1]:
                if self.anchors["cyd"].row in outgoing.rows and outgoing.payload:
                    self.hear(outgoing.payload)
            self.tick += 1
        return sent

    def hear(self, payload: bytes) -> None:
        is_comfort = payload == COMFORT_PAYLOAD
        self.heard.append(self.decoder.conceal() if is_comfort else self.decoder.decode(payload))

    def cost(self, ticks: int, *speakers: str, level: int | None = LOUD) -> tuple[int, int]:
        """Return how many frames were encoded, and how many packets passed, in some ticks."""
        before = self.room.encodes, self.room.passed
        self.run(ticks, *speakers, level=level)
        return self.room.encodes - before[0], self.room.passed - before[1]


class Decodes:
    """Counts what the decoder does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        decode = Decoder.decode

        def counted(decoder: Decoder, payload: bytes) -> Int16Frame:
            self.count += 1
            return decode(decoder, payload)

        monkeypatch.setattr(Decoder, "decode", counted)


@pytest.fixture
def house() -> House:
    return House()


def test_a_lone_speaker_is_neither_decoded_nor_encoded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first packet of a speaker is decoded; all others hear exactly what was sent."""
    monkeypatch.setattr(house, "hear", lambda _: None)
    decodes = Decodes(monkeypatch)
    sent = house.run(50, "ann")
    assert house.room.encodes == 0
    assert decodes.count == 1
    payloads = [one.payload for tick in sent for one in tick if one.is_passed]
    assert payloads == [packets()[n % 200] for n in range(CROWDED_TICKS, CROWDED_TICKS + 50)]
    (last,) = [one for one in sent[-1] if one.is_passed]
    assert last.rows.tolist() == [1, 2]
    assert last.previous == (payloads[-2], payloads[-3])
    assert last.level_dbov == LOUD


def test_a_marker_tells_where_it_begins(house: House) -> None:
    """As with any first frame after silence; nothing earlier is redundant then."""
    first = [one for tick in house.run(3, "ann") for one in tick if one.is_passed]
    assert [one.marker for one in first] == [True, False, False]
    assert first[0].previous == ()


def test_it_can_be_switched_off() -> None:
    """Then all is encoded; a recording holds the setting."""
    house = House(pass_through=False)
    assert house.cost(20, "ann") == (20, 0)
    spec = RoomSpec(HALL, 1, pass_through=False)
    assert read_spec(HALL, write_spec(spec)) == spec
    assert Call(ROOM, "configure", (write_spec(spec),)).args[0]["pass_through"] is False


def change_gain(house: House) -> None:
    house.configure(AnchorSpec(ANN, gain_db=-6.0))


def change_ears(house: House) -> None:
    house.configure(AnchorSpec(BOB, for_me={ANN: -6.0}), AnchorSpec(CYD, for_me={ANN: -6.0}))


def agc(house: House) -> None:
    house.configure(AnchorSpec(ANN, agc_target_dbov=-30))


def lose_packets(house: House) -> None:
    house.room.deliver(BOB, Delivery(is_robust=True, loss_percent=10))
    house.room.deliver(CYD, Delivery(is_robust=True, loss_percent=10))


def overload(house: House) -> None:
    house.room.spend(Quality(max_bitrate_bps=16_000))


def lose_one(house: House) -> None:
    house.lost = {house.tick + 1}


def join(house: House) -> None:
    dan = Anchor(PeerId("dan"), 3)
    house.room.add(dan)
    house.room.connect(dan.peer)


class Hush:
    """A source that is not over, of silence."""

    is_over = False

    def take_nowait(self) -> Int16Frame | None:
        return np.zeros(FRAME_SAMPLES, np.int16)


def play(house: House) -> None:
    house.room.play("jingle", Hush())


REASONS = (change_gain, change_ears, agc, lose_packets, overload, lose_one, join, play)


@pytest.mark.parametrize("change", REASONS, ids=lambda one: str(one.__name__))
def test_whatever_is_not_plain_is_encoded(house: House, change: Callable[[House], None]) -> None:
    """From there on; what was said goes on without a hole and without a click."""
    assert house.cost(30, "ann") == (0, 30)
    change(house)
    house.run(10, "ann")  # a player begins with 100 ms in hand
    encoded, passed = house.cost(20, "ann")
    assert encoded >= 20
    assert passed == 0
    assert len(house.heard) == 60
    assert roughness(house.heard[25:45]) < 1.5 * roughness(house.heard[:25])


def roughness(frames: list[Int16Frame]) -> float:
    """Return the largest bend of a sound: a click is one of many times what a voice has."""
    joined = np.concatenate(frames[1:]).astype(float)
    return float(np.abs(np.diff(joined, 2)).max())


@pytest.mark.parametrize("ticks", [31, 33, 36, 40, 50, 53, 55, 57, 60, 66, 73])
def test_the_change_over_is_as_smooth_as_the_voice(ticks: int) -> None:
    """Wherever in a word: a step into the first frame that is encoded would be heard as noise."""
    bends = []
    for house in (House(), House(pass_through=False)):
        house.run(ticks, "ann")
        house.configure(pass_through=False)
        house.run(3, "ann")
        bends.append(roughness(house.heard[ticks - 2 :]))
    assert bends[0] < 1.15 * bends[1]


def test_a_second_voice_ends_it_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder is brought up to date first: both are heard from the same tick on."""
    house.run(50, "ann")
    decodes = Decodes(monkeypatch)
    monkeypatch.setattr(house, "hear", lambda _: None)
    house.run(1, "ann", "bob")
    assert decodes.count == CATCH_UP + 2
    encoded, passed = house.cost(20, "ann", "bob")
    assert passed == 0
    assert encoded == 60


def test_an_interrupted_speaker_is_encoded_for_a_while(house: House) -> None:
    """Sound in passed packets is 5.5 ms ahead: words in which that changes should be rare."""
    house.run(5, "ann", "bob")
    assert house.cost(200, "ann")[1] == 0
    house.run(60)
    house.tick += CROWDED_TICKS
    assert house.cost(20, "ann") == (0, 20)


def test_a_loss_is_remembered_too(house: House) -> None:
    """For a second, and longer for who loses more: the next is likely to follow."""
    house.lost = {house.tick + 10}
    house.run(20, "ann")
    house.run(60)
    assert house.cost(20, "ann")[1] == 0
    house.run(60)
    house.run(LEAST, "ann")
    house.run(60)
    assert house.cost(20, "ann") == (0, 20)


def test_it_begins_again_between_two_words() -> None:
    """Where the mix is soft; amid a word nothing changes."""
    house = House(pass_through=False)
    house.run(30, "ann")
    house.configure()
    assert house.cost(20, "ann")[1] == 0
    encoder = Encoder(application=Application.VOIP, bitrate_bps=32_000)
    pause = [encoder.encode(np.zeros(FRAME_SAMPLES, np.int16) + n % 3) for n in range(200)]
    sent = house.run(8, "ann", sounds=pause)
    assert any(one.is_passed for one in sent[-1])


@pytest.mark.parametrize(
    "sounds",
    [
        packets(application=Application.RESTRICTED_LOWDELAY),
        packets(channels=2),
        tuple(b"\x00" + bytes(100) for _ in range(10)),  # 10 ms
        tuple(packets()[n % 200] + bytes(200) for n in range(10)),  # a rate nobody asked for
    ],
    ids=["CELT", "stereo", "10 ms", "fat"],
)
def test_packets_of_another_kind_are_encoded(house: House, sounds: tuple[bytes, ...]) -> None:
    """A hearer gets nothing that our own encoder might not have sent, in size and in shape."""
    sent = house.run(20, "ann", sounds=sounds)
    assert house.room.encodes > 0
    assert not any(one.is_passed for tick in sent for one in tick)


def test_the_air_is_decoded_for_and_encodes_nothing() -> None:
    """A room on air needs the sound; its people's packets are passed on all the same."""
    tap = TapRecorder()
    house = House(tap, on_air=True)
    assert house.cost(30, "ann") == (0, 30)
    assert len(tap.frames) == 30
    assert np.abs(tap.frames[-1][1]).max() > 1000


def test_plain_rtp_has_its_samples(house: House) -> None:
    """Who takes G.711 gets the sound of every tick; the others the packet."""
    line = Anchor(PeerId("line"), PCM_ROWS)
    house.room.add(line)
    house.room.connect(line.peer)
    sent = house.run(30, "ann")
    last = [one for one in sent[-1] if one.is_passed]
    assert [one.rows.tolist() for one in last] == [[1, 2, PCM_ROWS]]
    assert last[0].pcm is not None
    assert np.abs(last[0].pcm).max() > 1000


def test_only_lines_take_no_packet() -> None:
    """Where nobody is sent Opus, nothing is passed on."""
    house = House()
    for peer in (BOB, CYD):
        house.room.disconnect(peer)
    line = Anchor(PeerId("line"), PCM_ROWS)
    house.room.add(line)
    house.room.connect(line.peer)
    assert house.cost(20, "ann") == (0, 0)


def test_who_tells_no_level_is_decoded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their level is known from the sound alone; what is sent is theirs even so."""
    monkeypatch.setattr(house, "hear", lambda _: None)
    decodes = Decodes(monkeypatch)
    assert house.cost(30, "ann", level=None) == (0, 30)
    assert decodes.count == 30


def test_who_leaves_in_a_word_leaves_no_trace(house: House) -> None:
    """What was in the limiter when decoding ended is not heard long after."""
    house.run(30, "ann")
    house.room.remove(ANN)
    sent = house.run(3)
    encoded = [one for tick in sent for one in tick if one.payload != COMFORT_PAYLOAD]
    assert encoded
    assert not any(one.is_passed for one in encoded)
    assert all(one.level_dbov == -127 for one in encoded)


def test_a_music_room_mixes() -> None:
    """Its packets have two channels, and CELT's."""
    house = House(profile=Profile.MUSIC)
    house.decoder = Decoder(channels=2)
    house.run(20, "ann")
    assert house.room.passed == 0
    assert house.room.encodes == 20


class Shelf:
    """Keeps a recording in memory."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, name: str, chunk: bytes) -> bool:
        del name
        self.written += chunk
        return True


def test_a_replay_passes_on_the_same_packets() -> None:
    """Bit for bit, with an interruption, a loss and a setting on the way."""
    shelf, journal, house = Shelf(), Journal(), House()
    journal.recorder = Recorder(shelf, HALL, "call", Limits(1 << 24))
    house.room = RecordedRoom(HALL, None, journal)
    house.anchors = {n: journal.make_anchor(PeerId(n), row) for row, n in enumerate(NAMES)}
    for anchor in house.anchors.values():
        house.room.add(anchor)
        house.room.connect(anchor.peer)
    house.configure()
    house.run(40, "ann")
    house.run(10, "ann", "bob")
    house.run(60)
    house.tick += CROWDED_TICKS
    house.lost = {house.tick + 20}
    house.run(60, "ann")
    house.configure(pass_through=False)
    house.run(10, "ann")
    journal.recorder.close()
    again = Replay(HALL)
    stream = io.BytesIO(shelf.written)
    read_header(stream.read)
    for record in read_records(stream.read):
        again.feed(record)
    assert again.recorded_digest is not None
    assert again.is_as_recorded
    assert again.room.passed == house.room.passed > 50
    assert again.room.encodes == house.room.encodes > 50


ACTS = st.sampled_from(["ann", "bob", "ann bob", "", "gain", "robust", "clear", "loss", "mute"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(ACTS, st.integers(1, 40)), min_size=1, max_size=8))
def test_the_same_people_get_a_packet_in_the_same_ticks(acts: list[tuple[str, int]]) -> None:
    """Whatever happens, with and without; and each packet decodes."""
    houses = House(), House(pass_through=False)
    got = []
    for house, on in zip(houses, (True, False), strict=True):
        speakers: list[str] = []
        sent: list[list[Outgoing]] = []
        for act, ticks in acts:
            if act == "gain":
                house.configure(AnchorSpec(ANN, gain_db=-3.0), pass_through=on)
            elif act in {"robust", "clear"}:
                house.room.deliver(CYD, Delivery(is_robust=act == "robust", loss_percent=5))
            elif act == "loss":
                house.lost.add(house.tick + 1)
            elif act == "mute":
                house.anchors["ann"].mute(not house.anchors["ann"].is_muted)
            else:
                speakers = act.split()
            sent += house.run(ticks, *speakers)
        got.append([sorted(row for one in tick for row in one.rows.tolist()) for tick in sent])
        begun = [[one for one in tick if one.marker] for tick in sent]
        got.append([sorted(row for one in tick for row in one.rows.tolist()) for tick in begun])
        assert house.room.counters()["anchor_failures"] == 0
    assert got[0] == got[2]
    assert got[1] == got[3]
