"""What happens to rooms and people, for whoever wants to know of it."""

from collections.abc import Callable, Iterator, Mapping

from mixer.types import RoomId
from server.domain.people import Person, Roster
from server.domain.webhook import Kind

Data = Mapping[str, object]
# Told what happened in which room ("": in none). Never waits, never raises.
Happened = Callable[[Kind, str, Data], None]


def nobody_hears(_kind: Kind, _room: str, _data: Data) -> None:
    """Nobody wants to know."""


def differences(room: RoomId, before: Roster, after: Roster) -> Iterator[tuple[Kind, str, Data]]:
    """Yield what happened between two rosters of a room, leaving first."""
    for user, person in before.people.items():
        if user not in after.people:
            yield Kind.LEFT, room, shown(room, person)
    for user, person in after.people.items():
        former = before.people.get(user)
        if former is person:
            continue
        if former is None:
            yield Kind.JOINED, room, shown(room, person)
            continue
        if former.role is not person.role:
            yield Kind.PROMOTED, room, shown(room, person) | {"before": former.role.value}
        if _is_muted(former) != _is_muted(person):
            kind = Kind.MUTED if _is_muted(person) else Kind.UNMUTED
            yield kind, room, shown(room, person)


def shown(room: str, person: Person) -> dict[str, object]:
    """Return what is told of a person."""
    return {
        "roomId": room,
        "userId": person.user,
        "displayName": person.display_name,
        "role": person.role.value,
        "selfMuted": person.muted,
        "muted": person.controls.muted,
    }


def _is_muted(person: Person) -> bool:
    return person.muted or person.controls.muted
