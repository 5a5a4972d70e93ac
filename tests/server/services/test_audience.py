from hls.types import PlaylistKind
from mixer.types import RoomId
from server.services.audience import MAX_LISTENERS, MAX_ROOMS, Audience
from tests.support.clock import FakeClock

DEMO = RoomId("demo")
LOW = ("", PlaylistKind.LOW_LATENCY)
CLASSIC = ("64k", PlaylistKind.CLASSIC)


def test_listeners() -> None:
    """Who asks for a playlist is one listener of it, for ten seconds."""
    clock = FakeClock(100.0)
    audience = Audience(clock)
    for _ in range(3):
        audience.asked(DEMO, LOW, "ada")
    audience.asked(DEMO, CLASSIC, "bob")
    assert audience.listeners(DEMO) == {LOW: 1, CLASSIC: 1}
    clock.advance(9.9)
    audience.asked(DEMO, LOW, "eve")
    assert audience.listeners(DEMO) == {LOW: 2, CLASSIC: 1}
    clock.advance(0.1)
    assert audience.listeners(DEMO) == {LOW: 1}
    assert audience.listeners(RoomId("other")) == {}


def test_bytes() -> None:
    """What is sent is counted by room and kind."""
    audience = Audience(FakeClock(0.0))
    audience.sent(DEMO, "part", 5)
    audience.sent(DEMO, "part", 6)
    assert audience.bytes_sent(DEMO) == {"part": 11}
    assert audience.bytes_sent(RoomId("other")) == {}
    audience.forget_room(DEMO)
    assert audience.bytes_sent(DEMO) == {}


def test_bounds() -> None:
    """However many names are made up, memory has a bound: the oldest go."""
    audience = Audience(FakeClock(0.0))
    for number in range(MAX_LISTENERS + 5):
        audience.asked(DEMO, LOW, number)
    assert audience.listeners(DEMO) == {LOW: MAX_LISTENERS}
    for number in range(MAX_ROOMS):
        audience.sent(RoomId(f"room{number}"), "part", 1)
    assert audience.listeners(DEMO) == {}
