"""The people in a room: who is there, what they do, and what the mixer shall know of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from mixer.types import FLOOR, AnchorSpec, PeerId, RoomSpec
from server.domain.controls import PLAIN, Controls
from server.domain.grants import Right, Role, effective_rights
from server.domain.identity import UserId
from server.domain.room import Room

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
    `ticket` is what a resume must show, once.
    """

    user: UserId
    role: Role
    ticket: str
    seen_at: float
    display_name: str = ""
    status: Status = Status.IDLE
    muted: bool = False
    has_media: bool = False
    lost_at: float | None = None
    controls: Controls = PLAIN
    """What those who run the room decided about this person."""
    explicit: frozenset[Right] | None = None
    """What their token grants instead of the role's rights."""
    hand: int | None = None
    """Raised, and before those with a higher number."""
    for_me: Mapping[UserId, float | None] = field(default_factory=dict)
    """How this person wants to hear others: dB, None is not at all; who is not named, as all do."""
    publishes: bool = False
    """They came by WHIP: a media connection is all that they have."""

    @property
    def rights(self) -> frozenset[Right]:
        """What they may do."""
        return effective_rights(self.role, self.explicit)

    @property
    def is_silent(self) -> bool:
        """Whether nobody hears them: muted, by whomever, or not granted to speak."""
        return self.muted or self.controls.muted or Right.SPEAK not in self.rights

    def decided(self, controls: Controls) -> Self:
        """Return the person under other controls, which may give them another role."""
        if controls.role is None or controls.role is self.role:
            return replace(self, controls=controls)
        # A hand is up for a word; with it there is no more need of the hand.
        return replace(self, controls=controls, role=controls.role, explicit=None, hand=None)

    def hearing(self, user: UserId, gain_db: float | None) -> Self:
        """Return the person with another volume of `user` for their own ears; 0 dB is as all do."""
        others = {one: gain for one, gain in self.for_me.items() if one != user}
        return replace(self, for_me=others if gain_db == 0.0 else {**others, user: gain_db})

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
            "muted": self.muted or self.controls.muted,
            "serverMuted": self.controls.muted,
            "canSpeak": Right.SPEAK in self.rights,
            "hand": self.hand,
        }

    def anchor(self, buses: Collection[str]) -> AnchorSpec:
        """Return what the mixer needs to know of them in a room with these buses."""
        spec = self.controls.within(buses).anchor(
            PeerId(self.user),
            muted=self.muted or Right.SPEAK not in self.rights,
            for_me={PeerId(user): gain_db for user, gain_db in self.for_me.items()},
        )
        return spec if Right.LISTEN in self.rights else replace(spec, hears={})


def unheard(user: UserId) -> AnchorSpec:
    """Return what the mixer needs to know of somebody whose connection is held outside the room."""
    return AnchorSpec(PeerId(user), muted=True, speaks=(), hears={})


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
        """Return the roster without that person; how others wanted to hear them is forgotten."""
        return type(self)(
            {
                key: one.hearing(user, 0.0) if user in one.for_me else one
                for key, one in self.people.items()
                if key != user
            }
        )

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

    def anchors(self, buses: Collection[str]) -> tuple[AnchorSpec, ...]:
        """Return what the mixer needs to know of everybody in a room with these buses."""
        return tuple(person.anchor(buses) for person in self.people.values())

    def room_spec(self, room: Room, version: int) -> RoomSpec:
        """Return the room as the mixer shall have it."""
        return RoomSpec(
            room.id,
            version,
            self.anchors(room.buses),
            on_air=room.broadcast,
            profile=room.profile,
            loudest=room.loudest,
            automix=room.automix,
            buses=room.buses,
            listeners=room.broadcast,
            air_buses=tuple(one.bus for one in room.air.within(room.buses) if one.bus != FLOOR),
        )
