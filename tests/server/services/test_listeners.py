"""Who listens."""

import pytest

from mixer.types import RoomId
from server.services.clock import Clock
from server.services.listeners import GONE_S, Listeners
from tests.server.services.people import ADA, BOB
from tests.support.clock import FakeClock

DEMO, OTHER = RoomId("demo"), RoomId("other")


@pytest.fixture
def now() -> FakeClock:
    return FakeClock(5000.0)


@pytest.fixture
def listeners(now: FakeClock) -> Listeners:
    return Listeners(Clock(now, FakeClock(1_700_000_000.0), "boot"), most=3)


def test_counted(listeners: Listeners) -> None:
    """Each person counts once in each room they listen to."""
    for room, user in ((DEMO, ADA), (DEMO, BOB), (OTHER, ADA), (DEMO, ADA)):
        listeners.seen(room, user)
    assert (len(listeners), listeners.count(DEMO), listeners.count(OTHER)) == (3, 2, 1)
    assert [one.user for one in listeners.all(DEMO)] == [ADA, BOB]
    assert listeners.counters["listening_started_total"] == 3


def test_gone_after_a_minute(listeners: Listeners, now: FakeClock) -> None:
    """Who asks for nothing for a minute is gone; who asks in time is not."""
    listeners.seen(DEMO, ADA)
    listeners.seen(DEMO, BOB)
    now.advance(GONE_S - 1)
    listeners.seen(DEMO, BOB)
    now.advance(1)
    assert [listeners.is_here(DEMO, user) for user in (ADA, BOB)] == [False, True]
    assert [one.user for one in listeners.all(DEMO)] == [BOB]
    assert (listeners.count(DEMO), listeners.counters["listening_ended_total"]) == (1, 1)


def test_come_back(listeners: Listeners, now: FakeClock) -> None:
    """Who comes back after more than a minute begins anew, whether swept away or not."""
    listeners.seen(DEMO, ADA).keys = 7
    now.advance(GONE_S)
    assert listeners.seen(DEMO, ADA).keys == 0
    assert listeners.counters == {"listening_started_total": 2, "listening_ended_total": 1}


def test_log(listeners: Listeners, now: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """The log has who began and who stopped, for how long and with how many keys."""
    listeners.seen(DEMO, ADA).keys += 2
    now.advance(40)
    listeners.seen(DEMO, ADA)
    now.advance(GONE_S)
    listeners.sweep()
    began, ended = capsys.readouterr().out.splitlines()
    assert ADA in began
    assert {f"user={ADA}", "room=demo", "seconds=40.0", "keys=2"} <= set(ended.split())


def test_bounded(listeners: Listeners, now: FakeClock) -> None:
    """Above the limit, whoever was quiet for longest is counted no more."""
    users = [type(ADA)(f"aaaaaaaa-0000-4000-8000-{number:012}") for number in range(4)]
    for user in users[:3]:
        now.advance(1)
        listeners.seen(DEMO, user)
    listeners.seen(DEMO, users[0])
    listeners.seen(DEMO, users[3])
    assert {one.user for one in listeners.all(DEMO)} == {users[0], users[2], users[3]}


def test_forgotten(listeners: Listeners) -> None:
    """Who may listen no more is gone at once, and so are all of a room that is gone."""
    for room, user in ((DEMO, ADA), (DEMO, BOB), (OTHER, ADA)):
        listeners.seen(room, user)
    listeners.forget(DEMO, ADA)
    listeners.forget(DEMO, ADA)
    assert [listeners.is_here(room, ADA) for room in (DEMO, OTHER)] == [False, True]
    listeners.forget_room(DEMO)
    listeners.forget_room(RoomId("never"))
    assert (len(listeners), listeners.count(DEMO)) == (1, 0)
