"""What is played: fed from outside, held for a second at most, and told of."""

import numpy as np
import pytest

from mixer.errors import ClientMistake
from mixer.players import Players
from mixer.types import PlaneEvent, Played, PlayerSpec, RoomId
from tests.support.hall import Hall
from tests.support.webrtc_client import tone

R = RoomId("hall")


class Desk:
    """A hall with one hearer, and its players."""

    def __init__(self) -> None:
        self.hall = Hall()
        self.ann = self.hall.seat("ann", 440)
        self.told: list[PlaneEvent] = []
        self.players = Players(self.told.append)

    def play(self, name: str = "gong", **fields: object) -> None:
        self.players.play(self.hall.room, PlayerSpec(name, **fields))  # type: ignore[arg-type]

    def feed(self, frames: int, name: str = "gong") -> None:
        source = tone(1000)
        self.players.feed(R, name, np.array([source(n) for n in range(frames)]).reshape(-1, 960))

    def end(self, name: str = "gong") -> None:
        self.players.feed(R, name, np.zeros((0, 960), np.int16))


def test_a_player_plays_what_it_is_fed_and_is_over() -> None:
    """Heard at full level; the last report says that it is over, and then it is forgotten."""
    desk = Desk()
    desk.play()
    desk.feed(50)
    desk.end()
    desk.hall.run(40)
    assert desk.ann.level(1000) == pytest.approx(-10.5, abs=1)
    assert desk.players.report() == []
    desk.hall.run(20)
    assert desk.players.report() == [R]
    assert desk.told[-1] == Played(R, "gong", 50, is_over=True)
    assert (len(desk.players), desk.players.are_in(R)) == (0, False)
    assert desk.players.report() == []


def test_only_what_moved_is_told() -> None:
    """A player that waits for more says nothing twice."""
    desk = Desk()
    desk.play()
    desk.players.report()
    desk.players.report()
    assert desk.told == [Played(R, "gong", 0, is_over=False)]


def test_more_than_a_second_is_dropped() -> None:
    """Whoever feeds too much loses it; the mixer's memory is its own."""
    desk = Desk()
    desk.play()
    desk.feed(500)
    desk.end()
    desk.hall.run(80)
    desk.players.report()
    assert desk.told[-1] == Played(R, "gong", 50, is_over=True)


def test_stop_and_volume_reach_the_player_of_that_name() -> None:
    """The other one plays on."""
    desk = Desk()
    desk.play("a")
    desk.play("b")
    for name in "ab":
        desk.feed(50, name)
    desk.players.stop(R, "a")
    desk.players.set_volume(R, "b", -20)
    desk.hall.run(30)
    desk.players.report()
    assert desk.ann.level(1000) == pytest.approx(-30.5, abs=1)
    assert len(desk.players) == 1


def test_nothing_of_that_name() -> None:
    """Feeding, stopping or turning what is not there does nothing."""
    desk = Desk()
    desk.feed(5)
    desk.players.stop(R, "gong")
    desk.players.set_volume(R, "gong", 0)
    assert len(desk.players) == 0


def test_a_gain_out_of_range_plays_nothing() -> None:
    """It is refused before anything is remembered."""
    desk = Desk()
    with pytest.raises(ClientMistake):
        desk.play(gain_db=99.0)
    assert len(desk.players) == 0


def test_a_room_that_is_gone_is_forgotten() -> None:
    """And nobody is told."""
    desk = Desk()
    desk.play()
    desk.players.forget(RoomId("other"))
    assert desk.players.are_in(R)
    desk.players.forget(R)
    assert desk.players.report() == []
    assert desk.told == []
