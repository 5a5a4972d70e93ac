from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hls.types import Container
from mixer.types import Profile, RoomId
from server.domain.air import Air, AirBus, Studio
from server.domain.broadcast import broadcast_spec, is_heard_alike
from server.domain.room import Invites, Room
from tests.server.domain.test_stream import STREAM

ROOM = Room(RoomId("demo"), datetime(2026, 1, 2, tzinfo=UTC), Invites("j", "l"))
CAPTIONED = {"air": Air(captions=("en",))}


@pytest.mark.parametrize(("profile", "channels"), [(Profile.VOICE, 1), (Profile.MUSIC, 2)])
def test_music_is_stereo(profile: Profile, channels: int) -> None:
    """The rest is the stream's."""
    spec = broadcast_spec(replace(ROOM, profile=profile, name="Jazz"), STREAM, 9)
    assert (spec.channels, spec.title, spec.on_air, spec.version) == (channels, "Jazz", True, 9)
    assert spec.keys == STREAM.spec(RoomId("demo"), 9).keys


@pytest.mark.parametrize(
    "change",
    [
        {"profile": Profile.MUSIC},
        {"name": "x"},
        {"broadcast": False},
        {"upload": False},
        {"air": Air(dvr_s=60)},
        CAPTIONED,
        {"air": Air(hold="a.wav")},
        {"air": Air((AirBus("floor", "en"),))},
    ],
)
def test_what_is_heard(change: dict[str, object]) -> None:
    """Profile and name concern listeners, upload its archive, if it is broadcast; a lock none.

    Captions concern who listens to a recording, too.
    """
    assert not is_heard_alike(ROOM, replace(ROOM, **change))  # type: ignore[arg-type]
    assert is_heard_alike(ROOM, replace(ROOM, locked=True))
    off = replace(ROOM, broadcast=False)
    changed = replace(off, **change)  # type: ignore[arg-type]
    assert is_heard_alike(off, changed) is (change != CAPTIONED)


def test_as_the_server_makes_it() -> None:
    """Parts, bit rates, window and container are the server's; buses and window the room's."""
    air = Air((AirBus("fr", "fr", "Français"), AirBus("gone")), dvr_s=600)
    room = replace(ROOM, buses=("fr",), air=air)
    studio = Studio(9, (96_000,), 60.0, Container.TS)
    spec = broadcast_spec(room, STREAM, 9, studio)
    assert (spec.part_frames, spec.window_s, spec.container) == (9, 600.0, Container.TS)
    assert [(one.name, one.bus, one.language) for one in spec.renditions] == [("96k", "fr", "fr")]
    assert broadcast_spec(ROOM, STREAM, 9, studio).window_s == 60.0


def test_upload() -> None:
    """A room that is not uploaded has a broadcast that is not."""
    assert broadcast_spec(ROOM, STREAM, 9).is_uploaded
    assert not broadcast_spec(replace(ROOM, upload=False), STREAM, 9).is_uploaded


def test_title() -> None:
    """The room's name stands where there is no title."""
    room = replace(ROOM, name="Hall")
    assert broadcast_spec(room, STREAM, 9).title == "Hall"
    assert broadcast_spec(replace(room, air=Air(title="Aida")), STREAM, 9).title == "Aida"


def test_hold_music() -> None:
    """While the room is empty: its own, else the server's, and none if it wants silence."""
    studio = Studio(hold="/srv/jazz.ogg", sounds="/srv/sounds")

    def hold(music: str | None, *, is_empty: bool = True, studio: Studio = studio) -> str:
        room = replace(ROOM, air=Air(hold=music))
        return broadcast_spec(room, STREAM, 9, studio, is_empty=is_empty).hold

    assert hold(None) == "/srv/jazz.ogg"
    assert hold("a.wav") == "/srv/sounds/a.wav"
    assert hold("") == ""
    assert hold("a.wav", is_empty=False) == hold(None, is_empty=False) == ""
    assert hold("a.wav", studio=Studio(hold="/srv/jazz.ogg")) == ""
    assert hold(None, studio=Studio()) == ""


def test_a_bus_on_air_that_goes() -> None:
    """Its leaving the room concerns listeners; that of another does not."""
    room = replace(ROOM, buses=("fr", "de"), air=Air((AirBus("floor"), AirBus("fr"))))
    assert is_heard_alike(room, replace(room, buses=("fr",)))
    assert not is_heard_alike(room, replace(room, buses=("de",)))
