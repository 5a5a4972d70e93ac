"""The roster of a room."""

from dataclasses import replace

import pytest

from mixer.types import AnchorSpec, PeerId, RoomId
from server.domain.grants import Role
from server.domain.identity import UserId
from server.domain.people import Person, Roster, Status

ADA, BOB = UserId("ada"), UserId("bob")


def person(user: UserId = ADA, **values: object) -> Person:
    return Person(user, Role.ANCHOR, "session", seen_at=100.0, **values)  # type: ignore[arg-type]


def test_order() -> None:
    """People are listed in the order they came, also after one changed."""
    roster = Roster().with_person(person(ADA)).with_person(person(BOB))
    roster = roster.with_person(person(ADA, muted=True))
    assert [entry["userId"] for entry in roster.listing(100)] == ["ada", "bob"]


def test_entry() -> None:
    """An entry of roomStatus has the contract's five fields."""
    roster = Roster().with_person(person(display_name="Ada", status=Status.ON_AIR, muted=True))
    (entry,) = roster.listing(100)
    assert entry == {
        "userId": "ada",
        "role": "anchor",
        "status": "onair",
        "displayName": "Ada",
        "muted": True,
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


def test_room_spec() -> None:
    """The mixer gets everybody, with who is muted, on air."""
    roster = Roster().with_person(person(ADA)).with_person(person(BOB, muted=True))
    spec = roster.room_spec(RoomId("demo"), 7)
    assert spec.anchors == (AnchorSpec(PeerId("ada")), AnchorSpec(PeerId("bob"), muted=True))
    assert (spec.version, spec.on_air, spec.closed) == (7, True, False)
