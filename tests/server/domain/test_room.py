"""Rooms as stored values, and the transitions of their life."""

import itertools
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.types import Profile, RoomId
from server.domain.air import Air, AirBus
from server.domain.room import (
    LEGAL,
    InviteRole,
    Invites,
    Room,
    RoomEvent,
    RoomState,
    decode_room,
    encode_room,
    rfc3339,
    transition,
)
from server.errors import BadRecord, IllegalTransition

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
ROOMS = st.builds(
    Room,
    id=st.just(RoomId("demo")),
    created_at=st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),  # noqa: DTZ001
    invites=st.builds(Invites, st.text(min_size=1), st.text(min_size=1)),
    pin=st.sampled_from(["", "a1b2c3"]),
    max_anchors=st.none() | st.integers(1, 10_000),
    expires_in_s=st.none() | st.integers(1, 10**9),
    name=st.text(st.characters(codec="utf-8"), max_size=80),
    profile=st.sampled_from(Profile),
    loudest=st.integers(0, 1000),
    automix=st.booleans(),
    buses=st.lists(st.text(st.characters(codec="utf-8"), max_size=32), max_size=4).map(tuple),
    broadcast=st.booleans(),
    locked=st.booleans(),
    lobby=st.booleans(),
    chat=st.booleans(),
    listener_chat=st.booleans(),
    chat_history=st.integers(0, 200),
    upload=st.booleans(),
    air=st.builds(
        Air,
        st.lists(st.builds(AirBus, *[st.text(st.characters(codec="utf-8"))] * 3), max_size=3).map(
            tuple
        ),
        st.none() | st.integers(1, 86_400),
        st.text(st.characters(codec="utf-8")),
        st.booleans(),
        st.lists(st.text(st.characters(codec="utf-8")), max_size=3).map(tuple),
        st.none() | st.text(st.characters(codec="utf-8")),
    ),
)
NEWER = (
    *("profile", "loudest", "automix", "buses", "broadcast", "locked"),
    *(
        "lobby",
        "chat",
        "chatListeners",
        "chatHistory",
        "broadcastBuses",
        "dvrSeconds",
        "title",
        "broadcastNames",
        "captions",
        "holdMusic",
        "upload",
    ),
)


def room(**values: object) -> Room:
    return Room(RoomId("demo"), NOON, Invites("j", "l"), **values)  # type: ignore[arg-type]


@given(ROOMS)
def test_round_trip(stored: Room) -> None:
    """A room is the same after it was stored and read."""
    assert decode_room(stored.id, "/k", encode_room(stored)) == stored


def test_older_record() -> None:
    """A record from before a room could be changed is a room as they were then."""
    stored = json.loads(encode_room(room()))
    older = {name: value for name, value in stored.items() if name not in NEWER}
    assert decode_room(RoomId("demo"), "/k", json.dumps(older).encode()) == room()


def test_reference_fields() -> None:
    """The stored JSON has the reference's fields under its names."""
    stored = json.loads(encode_room(room(pin="a1b2c3")))
    assert stored["hlsPath"] == "demo/stream.m3u8"
    assert (stored["pin"], stored["maxAnchors"]) == ("a1b2c3", 3)
    assert stored["createdAt"] == "2026-01-02T12:00:00.123456Z"


@given(st.binary(max_size=200) | st.from_regex(rb"\{.*\}", fullmatch=True))
def test_any_bytes(value: bytes) -> None:
    """Whatever lies in the store is a room or a BadRecord, never another error."""
    with suppress(BadRecord):
        decode_room(RoomId("demo"), "/rooms/demo/meta", value)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"createdAt": "2026-01-02T12:00:00"},
        {"maxAnchors": 0},
        {"invites": None},
        {"profile": "opera"},
        {"loudest": -1},
        {"buses": [1]},
    ],
)
def test_wrong_record(change: dict[str, object]) -> None:
    """A record of a newer version, or with an impossible value, is refused."""
    value = json.dumps(json.loads(encode_room(room())) | change).encode()
    with pytest.raises(BadRecord):
        decode_room(RoomId("demo"), "/k", value)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(RoomState, RoomEvent)))
def test_transitions(state: RoomState, event: RoomEvent) -> None:
    """A room goes its one way; everything else is illegal and says so."""
    if (state, event) in LEGAL:
        assert transition(state, event) is LEGAL[state, event]
    else:
        with pytest.raises(IllegalTransition, match=f"{event.name}.*{state.name}"):
            transition(state, event)


def test_the_whole_life() -> None:
    """created, on air, removing, gone."""
    states = [RoomState.CREATED]
    for event in (RoomEvent.START, RoomEvent.REMOVE, RoomEvent.FINISH):
        states.append(transition(states[-1], event))
    assert states == list(RoomState)


@pytest.mark.parametrize(("seconds", "expired"), [(59.9, False), (60, True), (61, True)])
def test_expiry(seconds: float, expired: bool) -> None:  # noqa: FBT001 - a parameter
    """A room's time is over when it has had it."""
    assert room(expires_in_s=60).is_expired(NOON + timedelta(seconds=seconds)) is expired


def test_never() -> None:
    """A room without an end never expires."""
    assert not room(expires_in_s=None).is_expired(datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(("seconds", "lasts"), [(None, None), (60, 160), (1, 101)])
def test_lasting(seconds: int | None, lasts: int | None) -> None:
    """New time is counted from now on, and no time means no end."""
    changed = room(expires_in_s=5).lasting(seconds, NOON + timedelta(seconds=100))
    assert changed.expires_in_s == lasts


def test_lasting_before_it_began() -> None:
    """Where the clock was set back behind the room's beginning, it is as old as nothing."""
    assert room().lasting(60, NOON - timedelta(hours=1)).expires_in_s == 60


def test_notice() -> None:
    """What everybody inside may know has neither PIN nor links."""
    notice = room(pin="a1b2c3", name="Studio", expires_in_s=60).notice()
    assert notice == {
        "roomId": "demo",
        "name": "Studio",
        "profile": "voice",
        "buses": [],
        "maxAnchors": 3,
        "broadcast": True,
        "locked": False,
        "lobby": False,
        "chat": True,
        "chatListeners": False,
        "captions": [],
        "expiresAt": "2026-01-02T12:01:00.123456Z",
    }
    assert room(expires_in_s=None).notice()["expiresAt"] is None


@pytest.mark.parametrize("role", InviteRole)
def test_renewed_invite(role: InviteRole) -> None:
    """Renewing one invite leaves the other."""
    renewed = Invites("j", "l").renewed(role, "new")
    assert renewed.get(role) == "new"
    assert {renewed.join, renewed.listen} & {"j", "l"}


def test_rfc3339() -> None:
    """Times are written in UTC with a Z, whatever zone they came in."""
    assert rfc3339(NOON.astimezone(timezone(timedelta(hours=2)))) == "2026-01-02T12:00:00.123456Z"
