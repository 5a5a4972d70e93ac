"""Announcements: a source played into a room."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from mixer.core.frame_ring import FrameRing
from mixer.errors import ClientMistake, NoCapacity
from mixer.room.player import PREBUFFER_FRAMES, Player, PlayerState, Target
from mixer.room.stage import MAX_PLAYING
from mixer.types import FLOOR, AnchorSpec, Int16Frame, PeerId
from tests.support.hall import Hall, TapRecorder, encodes, jumps
from tests.support.webrtc_client import level_db, tone

TALK = 20 * np.log10(0.3)
GONE = -55


class Jingle:
    """A source that makes a tone as it is asked for, without end."""

    is_over = False

    def __init__(self, hertz: float) -> None:
        self._frames: Iterator[Int16Frame] = map(tone(hertz, 0.3), itertools.count())

    def take_nowait(self) -> Int16Frame | None:
        return next(self._frames)


class Stuttering:
    """A source that another thing fills, now and then too late."""

    def __init__(self) -> None:
        self.ring = FrameRing()
        self.player = Player(self.ring)
        self.heard: list[Int16Frame | None] = []
        self._tone = tone(440, 0.3)
        self._number = 0

    def fill(self, frames: int) -> None:
        for _ in range(frames):
            self.ring.push(self._tone(self._number))
            self._number += 1

    def hear(self, ticks: int) -> list[bool]:
        """Return in which of the next ticks there was sound."""
        new = [self.player.hear() for _ in range(ticks)]
        self.heard += new
        return [frame is not None for frame in new]

    def pcm(self) -> Int16Frame:
        silence = np.zeros(960, np.int16)
        return np.concatenate([silence if one is None else one for one in self.heard])


def hall(*names: str, tap: TapRecorder | None = None) -> Hall:
    made = Hall(tap)
    for number, name in enumerate(names):
        made.seat(name, 440.0 + 300 * number)
    return made


# The player


def test_it_begins_when_enough_is_there() -> None:
    """Five frames are 100 ms: less would stutter."""
    source = Stuttering()
    source.fill(PREBUFFER_FRAMES - 1)
    assert source.hear(3) == [False] * 3
    source.fill(1)
    assert source.hear(1) == [True]


def test_what_is_shorter_is_played_all_the_same() -> None:
    """Once it is known that no more comes; then it is over."""
    source = Stuttering()
    source.fill(2)
    source.hear(2)
    source.ring.close()
    assert source.hear(4) == [True, True, False, False]
    assert source.player.state is PlayerState.OVER
    assert source.player.underruns == 0


def test_an_empty_source_is_over_at_once() -> None:
    """Without a sound."""
    source = Stuttering()
    source.ring.close()
    assert source.hear(1) == [False]
    assert source.player.state is PlayerState.OVER


def test_an_underrun_is_silence_with_fades() -> None:
    """The last frame before the gap fades out, the first after it in, and it is counted."""
    source = Stuttering()
    source.fill(10)
    assert source.hear(12) == [True] * 10 + [False] * 2
    source.fill(PREBUFFER_FRAMES - 1)
    assert source.hear(2) == [False] * 2
    source.fill(3)
    assert source.hear(1) == [True]
    assert source.player.underruns == 1
    assert jumps(source.pcm(), 440) < 1.1


def test_a_stop_fades_out() -> None:
    """Within one frame, whatever is left in the source."""
    source = Stuttering()
    source.fill(20)
    source.hear(8)
    source.player.stop()
    assert source.hear(3) == [True, False, False]
    assert source.player.state is PlayerState.OVER
    assert jumps(source.pcm(), 440) < 1.1
    assert abs(int(source.pcm()[9 * 960 - 1])) < 20


def test_what_has_not_begun_stops_without_a_sound() -> None:
    """Nothing is there to fade."""
    source = Stuttering()
    source.player.stop()
    source.fill(20)
    assert source.hear(2) == [False, False]
    assert source.player.state is PlayerState.OVER


# In a room


def test_everybody_hears_an_announcement() -> None:
    """And who speaks, and the air; it is one encode for all who are silent."""
    tap = TapRecorder()
    house = hall("ann", "bob", "cyd", tap=tap)
    house.configure(AnchorSpec(PeerId("cyd"), hears={"green": 0.0}), buses=("green",), on_air=True)
    house.room.play("news", Jingle(3000))
    house.run(60)
    for person in house.people.values():
        assert person.level(3000) == pytest.approx(TALK, abs=1)
    assert level_db(np.concatenate([pcm for _, pcm in tap.frames[-25:]]), 3000) > -12
    assert encodes(house, 20) == 20
    assert house.room.talking == {}


def test_one_person_can_be_told_something() -> None:
    """Nobody else hears it, nor the air."""
    tap = TapRecorder()
    house = hall("ann", "bob", "cyd", tap=tap)
    house.configure(on_air=True)
    house.room.play("whisper", Jingle(3000), to=Target(peer=PeerId("bob")))
    house.run(60, "ann")
    assert house.people["bob"].level(3000) == pytest.approx(TALK, abs=1)
    assert house.people["bob"].level(440) == pytest.approx(TALK, abs=1)
    assert house.people["cyd"].level(3000) < GONE
    assert level_db(np.concatenate([pcm for _, pcm in tap.frames[-25:]]), 3000) < GONE


def test_a_bus_can_be_told_something() -> None:
    """Who hears the bus hears it as loud as the bus."""
    house = hall("ann", "bob")
    house.configure(AnchorSpec(PeerId("bob"), hears={FLOOR: 0.0, "fr": -12.0}), buses=("fr",))
    house.room.play("annonce", Jingle(3000), to=Target(bus="fr"))
    house.run(60)
    assert house.people["bob"].level(3000) == pytest.approx(TALK - 12, abs=1)
    assert all(len(payload) == 1 for payload in house.people["ann"].payloads)


def test_the_volume_can_be_turned() -> None:
    """At the start and while it plays, without a click."""
    house = hall("ann")
    house.room.play("music", Jingle(440), gain_db=-20.0)
    house.run(30)
    assert house.people["ann"].level(440, 15) == pytest.approx(TALK - 20, abs=1)
    house.room.set_volume("music", -6.0)
    house.room.set_volume("nothing", -6.0)
    house.run(30)
    assert house.people["ann"].level(440, 15) == pytest.approx(TALK - 6, abs=1)
    assert jumps(house.people["ann"].pcm(60), 440) < 1.1


@pytest.mark.parametrize("gain_db", [-61.0, 21.0, float("nan")])
def test_a_volume_out_of_range_is_refused(gain_db: float) -> None:
    """And nothing is played or changed."""
    house = hall("ann")
    with pytest.raises(ClientMistake):
        house.room.play("music", Jingle(440), gain_db=gain_db)
    with pytest.raises(ClientMistake):
        house.room.set_volume("music", gain_db)
    assert house.room.is_idle


def test_a_stop_ends_it_for_everybody() -> None:
    """After a tick of fading and the limiter's tail the room is idle again."""
    house = hall("ann", "bob")
    house.room.play("music", Jingle(440))
    house.run(30)
    house.room.stop("music")
    house.room.stop("nothing")
    house.run(5)
    assert house.room.is_idle
    assert jumps(house.people["bob"].pcm(35), 440) < 1.1


def test_the_end_of_the_source_is_the_end() -> None:
    """The room goes idle by itself."""
    house = hall("ann")
    ring = FrameRing()
    house.room.play("gong", ring)
    house.run(10)
    assert not house.room.is_idle
    for number in range(20):
        ring.push(tone(440, 0.3)(number))
    ring.close()
    house.run(30)
    assert house.room.is_idle


def test_a_new_source_takes_the_place_of_the_old_of_that_name() -> None:
    """One fades out while the other begins; both are known by the name until then."""
    house = hall("ann")
    house.room.play("music", Jingle(440))
    house.run(30)
    house.room.play("music", Jingle(3000))
    house.run(40)
    assert house.people["ann"].level(440) < GONE
    assert house.people["ann"].level(3000) == pytest.approx(TALK, abs=1)


def test_a_room_plays_so_much_and_no_more() -> None:
    """Until something has ended."""
    house = hall("ann")
    for number in range(MAX_PLAYING):
        house.room.play(str(number), Jingle(440), gain_db=-40.0)
    with pytest.raises(NoCapacity):
        house.room.play("more", Jingle(440))
    house.run(10)
    house.room.stop("3")
    house.run(2)
    house.room.play("more", Jingle(440))


def test_a_broken_source_is_taken_out() -> None:
    """What it raises is logged; the room goes on without it."""

    class Broken(Jingle):
        def take_nowait(self) -> Int16Frame | None:
            raise RuntimeError("cursed")

    house = hall("ann", "bob")
    house.room.play("music", Broken(440))
    house.run(40, "ann")
    assert house.people["bob"].level(440) == pytest.approx(TALK, abs=1)
    assert house.room.counters()["player_failures"] == 1


def test_an_empty_room_on_air_plays_to_the_air() -> None:
    """Nobody is in it: the broadcast hears the announcement, and nothing is encoded for anybody."""
    tap = TapRecorder()
    hall = Hall(tap)
    hall.configure(on_air=True)
    hall.room.play("gong", Jingle(1000))
    assert hall.run(50) == [[]] * 50
    heard = np.concatenate([pcm for _, pcm in tap.frames[-25:]])
    assert level_db(heard, 1000) == pytest.approx(TALK, abs=0.5)
    assert [tick for tick, _ in tap.frames[-40:]] == list(range(1010, 1050))
    assert hall.room.encodes == 0
    hall.room.stop("gong")
    hall.run(60)
    assert hall.room.is_idle
    assert not hall.room.is_playing("gong")


def test_an_empty_room_off_air_plays_to_its_end() -> None:
    """Nobody hears it, and it is over in its time all the same."""
    hall = Hall()
    ring = FrameRing()
    for frame in map(tone(1000), range(20)):
        ring.push(frame)
    ring.close()
    hall.room.play("gong", ring)
    assert hall.room.is_playing("gong")
    hall.run(21)
    assert not hall.room.is_playing("gong")
