"""The people in a room: who is there, what they do, and what the mixer shall know of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from mixer.types import AnchorSpec, PeerId, RoomId, RoomSpec
from server.domain.grants import Role
from server.domain.identity import UserId

STATUS_TIMEOUT_S = 30.0  # two keepalives missed: no longer listed (the reference's)


class Status(StrEnum):
    """What a person says (or their connection shows) they are doing."""

    ON_AIR = "onair"
    IDLE = "idle"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Person:
    """One anchor: `seen_at` and `lost_at` are monotonic seconds, `lost_at` is None with a socket.

    `has_media` is true from the answer to an offer until the plane says the connection is gone.
    `session` names the media session that a resume continues.
    """

    user: UserId
    role: Role
    session: str
    seen_at: float
    display_name: str = ""
    status: Status = Status.IDLE
    muted: bool = False
    has_media: bool = False
    lost_at: float | None = None

    def is_listed(self, now: float) -> bool:
        """Whether the others shall see this person."""
        return now - self.seen_at < STATUS_TIMEOUT_S

    def entry(self) -> dict[str, object]:
        """Return this person's part of `roomStatus`."""
        return {
            "userId": self.user,
            "role": self.role.value,
            "status": self.status.value,
            "displayName": self.display_name,
            "muted": self.muted,
        }


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody in one room, in the order they came."""

    people: Mapping[UserId, Person] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.people)

    def get(self, user: UserId) -> Person | None:
        """Return the person, None if they are not here."""
        return self.people.get(user)

    def with_person(self, person: Person) -> Self:
        """Return the roster with `person` added, or changed in place."""
        return type(self)({**self.people, person.user: person})

    def without(self, user: UserId) -> Self:
        """Return the roster without that person."""
        return type(self)({key: one for key, one in self.people.items() if key != user})

    def has_space(self, user: UserId, limit: int | None) -> bool:
        """Whether `user` may come in: there is space, or they are inside already."""
        return limit is None or user in self.people or len(self.people) < limit

    def listing(self, now: float) -> list[dict[str, object]]:
        """Return the params of `roomStatus`."""
        return [person.entry() for person in self.people.values() if person.is_listed(now)]

    def overdue(self, now: float, resume_s: float) -> list[UserId]:
        """Return whose socket has been lost for longer than a resume may take."""
        return [
            person.user
            for person in self.people.values()
            if person.lost_at is not None and now - person.lost_at >= resume_s
        ]

    def anchors(self) -> tuple[AnchorSpec, ...]:
        """Return what the mixer needs to know of everybody."""
        return tuple(
            AnchorSpec(PeerId(person.user), person.muted) for person in self.people.values()
        )

    def room_spec(self, room: RoomId, version: int) -> RoomSpec:
        """Return the room as the mixer shall have it."""
        return RoomSpec(room, version, self.anchors(), on_air=True)
