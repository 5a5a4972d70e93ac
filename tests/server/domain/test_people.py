"""The roster of a room."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mixer.types import AnchorSpec, PeerId, Profile, RoomId
from server.domain.air import Air, AirBus
from server.domain.controls import Controls
from server.domain.grants import Right, Role
from server.domain.identity import UserId
from server.domain.people import Person, Roster, Status
from server.domain.room import Invites, Room

ADA, BOB, CYD = UserId("ada"), UserId("bob"), UserId("cyd")
DEMO = Room(RoomId("demo"), datetime(2026, 1, 2, tzinfo=UTC), Invites("j", "l"))


def person(user: UserId = ADA, **values: object) -> Person:
    return Person(user, Role.ANCHOR, "session", seen_at=100.0, **values)  # type: ignore[arg-type]


def test_order() -> None:
    """People are listed in the order they came, also after one changed."""
    roster = Roster().with_person(person(ADA)).with_person(person(BOB))
    roster = roster.with_person(person(ADA, muted=True))
    assert [entry["userId"] for entry in roster.listing(100)] == ["ada", "bob"]


def test_entry() -> None:
    """An entry of roomStatus has the contract's five fields, and what is new beside them."""
    roster = Roster().with_person(person(display_name="Ada", status=Status.ON_AIR, muted=True))
    (entry,) = roster.listing(100)
    assert entry == {
        "userId": "ada",
        "role": "anchor",
        "status": "onair",
        "displayName": "Ada",
        "muted": True,
        "serverMuted": False,
        "canSpeak": True,
        "hand": None,
    }


@pytest.mark.parametrize(("now", "count"), [(129.9, 1), (130, 0)])
def test_quiet_people_are_not_listed(now: float, count: int) -> None:
    """Who gave no sign of life for 30 s is not listed."""
    assert len(Roster().with_person(person()).listing(now)) == count


def test_without() -> None:
    """Taking out one leaves the others, and one who is not there changes nothing."""
    roster = Roster().with_person(person(ADA)).with_person(person(BOB))
    assert set(roster.without(ADA).people) == {BOB}
    assert roster.without(UserId("eve")) == roster


@pytest.mark.parametrize(("limit", "space"), [(1, False), (2, True), (None, True)])
def test_space(limit: int | None, space: bool) -> None:  # noqa: FBT001 - a parameter
    """A newcomer needs space; who is inside already does not."""
    roster = Roster().with_person(person(ADA))
    assert roster.has_space(BOB, limit) is space
    assert roster.has_space(ADA, limit)


def test_overdue() -> None:
    """Only whose socket is lost for as long as a resume may take is overdue."""
    roster = Roster().with_person(person(ADA)).with_person(replace(person(BOB), lost_at=100.0))
    assert roster.overdue(159.9, 60) == []
    assert roster.overdue(160, 60) == [BOB]


def test_own_hearing() -> None:
    """A person's own volumes go to the mixer; 0 dB is none, and who leaves has none."""
    ada = person(ADA).hearing(BOB, None).hearing(CYD, -6.0)
    roster = Roster().with_person(ada).with_person(person(BOB)).with_person(person(CYD))
    assert roster.anchors(())[0].for_me == {"bob": None, "cyd": -6.0}
    assert roster.without(BOB).anchors(())[0].for_me == {"cyd": -6.0}
    assert ada.hearing(BOB, 0.0).hearing(CYD, 3.0).for_me == {CYD: 3.0}


def test_on_air() -> None:
    """Beside the floor the mixer sends the buses that listeners can choose, as far as there are."""
    air = Air((AirBus("fr", "fr"), AirBus("floor"), AirBus("de")))
    decided = replace(DEMO, buses=("fr",), air=air)
    assert Roster().room_spec(decided, 1).air_buses == ("fr",)


def test_room_spec() -> None:
    """The mixer gets everybody, with who is muted, on air."""
    roster = Roster().with_person(person(ADA)).with_person(person(BOB, muted=True))
    spec = roster.room_spec(DEMO, 7)
    assert spec.anchors == (AnchorSpec(PeerId("ada")), AnchorSpec(PeerId("bob"), muted=True))
    assert (spec.version, spec.on_air, spec.closed) == (7, True, False)


def test_how_it_is_mixed() -> None:
    """The mixer gets what was decided about the room."""
    decided = replace(
        DEMO, profile=Profile.MUSIC, loudest=3, automix=True, buses=("fr",), broadcast=False
    )
    spec = Roster().room_spec(decided, 1)
    assert (spec.profile, spec.loudest, spec.automix) == (Profile.MUSIC, 3, True)
    assert (spec.buses, spec.on_air) == (("fr",), False)


@pytest.mark.parametrize(
    ("role", "explicit", "muted", "hears"),
    [
        (Role.GUEST, None, False, {"floor": 0.0}),
        (Role.GUEST, frozenset({Right.LISTEN}), True, {"floor": 0.0}),
        (Role.GUEST, frozenset({Right.SPEAK}), False, {}),
        (Role.LISTENER, None, True, {"floor": 0.0}),
    ],
)
def test_rights_in_the_mix(
    role: Role,
    explicit: frozenset[Right] | None,
    muted: bool,  # noqa: FBT001 - a parameter
    hears: dict[str, float],
) -> None:
    """Who was not granted to speak is not mixed, who was not granted to listen hears nobody."""
    spec = replace(person(), role=role, explicit=explicit).anchor(())
    assert (spec.muted, spec.hears) == (muted, hears)


def test_another_role() -> None:
    """A role that was decided replaces what the token says; without one all stays."""
    guest = replace(person(), role=Role.GUEST, explicit=frozenset(), hand=3)
    assert guest.decided(Controls(gain_db=1.0)).rights == frozenset()
    host = guest.decided(Controls(role=Role.HOST))
    assert (host.role, host.rights, host.hand) == (Role.HOST, frozenset(Right), None)
