"""The doorman: lets people in, turns them away, and sees them to another room."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog

from mixer.types import RoomId
from server.domain.controls import PLAIN
from server.domain.grants import Right, Role, effective_rights
from server.domain.identity import UserId
from server.domain.room import Room, rfc3339
from server.errors import NotFound, RoomFull
from server.rpc.codec import Notification
from server.services.desk import Desk
from server.services.farewell import Client, Farewell
from server.services.joined import Joined
from server.services.lobby import Waiter
from server.services.presence import Arrival, Entry, Presence
from server.services.resume import ResumeTokens
from server.services.rooms import Rooms
from server.services.tokens import Audience, Grant, Tokens

log = structlog.get_logger(__name__)

ON_STAGE: Final = Role.GUEST  # what a listener becomes who is asked up, unless somebody says more


@dataclass(frozen=True, slots=True)
class Doorman:
    """What may be done at the doors of this node's rooms, whoever has the right to."""

    rooms: Rooms
    presence: Presence
    desk: Desk
    tokens: Tokens
    resume: ResumeTokens
    join_s: int
    recording: Callable[[RoomId], dict[str, object] | None] = lambda _room: None
    """What those in a room may know of its recording."""

    def knock(self, room: Room, arrival: Arrival, client: Client) -> Entry | None:
        """Let a person in, or outside (None): to wait, or to listen.

        Raises RoomFull, RoomLocked, TooMany.
        """
        presence = self.presence
        controls = presence.controls(room.id).get(arrival.user, PLAIN)
        role = controls.role or arrival.role
        explicit = None if controls.role else arrival.explicit
        is_listening = role is Role.LISTENER
        if not is_listening and (not room.lobby or self._passes(room, arrival, role, explicit)):
            return presence.enter(room, arrival, client)
        if not is_listening and not presence.lobby.keeps_place(room.id, arrival.user):
            returns = presence.tickets.let_back(room.id, arrival.user, arrival.resumes)
            presence.check_space(room, arrival.user, returns=returns)
        waiter = Waiter(
            arrival.user,
            role,
            client,
            presence.now,
            arrival.display_name,
            is_listening,
            explicit,
            arrival.deltas,
            publishes=arrival.publishes,
        )
        presence.lobby.enter(room.id, waiter)
        return None

    def waiting(self, room: RoomId) -> dict[str, object]:
        """Return who is outside a room, as `lobby` tells it. Raises RoomNotFound."""
        self.rooms.get(room)
        return self.presence.lobby.listing(room)

    async def admit(self, room: RoomId, user: UserId, role: Role | None = None) -> None:
        """Let somebody in, as `role` if one is given: from the lobby, or from listening.

        Raises RoomNotFound, NotFound, RoomFull, TooMany, StoreLost.
        """
        waiter = self._waiter(room, user)
        wanted = role or (ON_STAGE if waiter.is_listening else waiter.role)
        self.presence.check_space(self.rooms.get(room), user, returns=True)
        if wanted is not waiter.role:
            await self.desk.keep_role(room, user, wanted)
        waiter = self._waiter(room, user)  # they may have gone meanwhile
        self._let_in(self.rooms.get(room), waiter, wanted)
        log.info("person_admitted", room=room, user=user, role=wanted.value)

    def deny(self, room: RoomId, user: UserId) -> None:
        """Turn somebody away who is outside; they may ask again. Raises NotFound."""
        self._waiter(room, user)
        self.presence.lobby.drop(room, user, Farewell.DENIED)
        log.info("person_denied", room=room, user=user)

    def open_doors(self, room: Room) -> None:
        """Let in who waits, as long as there is space."""
        for waiter in list(self.presence.lobby.people(room.id).values()):
            if not waiter.is_listening:
                with suppress(RoomFull):
                    self._let_in(room, waiter, waiter.role)

    def joined(self, room: Room, user: UserId, entry: Entry | None) -> Joined:
        """Return what somebody is to know who came in (`entry`) or is outside (None)."""
        return replace(self._place(room, user, entry), recording=self.recording(room.id))

    def _place(self, room: Room, user: UserId, entry: Entry | None) -> Joined:
        if entry is None:
            waiter = self._waiter(room.id, user)
            place = "audience" if waiter.is_listening else "lobby"
            return Joined("", False, user, room, place, waiter.role, waiter.rights)
        person = self.presence.person(room.id, user)
        assert person is not None, "they have just come in"
        jtoken = self.resume.seal(room.id, user, entry.ticket)
        people = self.presence.told_people(room.id) if entry.deltas else None
        return Joined(
            jtoken, entry.resumed, user, room, "stage", person.role, person.rights, people
        )

    async def move(
        self, room: RoomId, user: UserId, target: RoomId, *, as_host: bool = False
    ) -> None:
        """Hand a person a token for another room, and take them out of this one in a while.

        They pass its lock and its lobby. A host is one there only if `as_host`. Raises
        RoomNotFound, NotFound, RoomFull, SigningUnavailable.
        """
        there = self.rooms.get(target)
        person = self.presence.person(room, user)
        if person is None or room == target:
            raise NotFound("There is no such person in the room, or they are there already")
        self.presence.check_space(there, user, returns=True)
        role = Role.ANCHOR if person.role is Role.HOST and not as_host else person.role
        grant = Grant(
            target,
            user,
            role,
            pin=True,
            display_name=person.display_name,
            explicit=person.explicit,
            made=there.made,
        )
        minted = await self.tokens.issue(Audience.JOIN, grant, self.join_s)
        told = {
            "roomId": target,
            "name": there.name,
            "token": minted.token,
            "expiresAt": rfc3339(minted.expires_at),
            "jtoken": self.resume.seal(target, user, self.presence.tickets.expect(target, user)),
        }
        self.presence.tell(room, Notification("moved", told), user)
        self.presence.see_off(room, user)
        log.info("person_moved", room=room, user=user, target=target)

    def _passes(
        self, room: Room, arrival: Arrival, role: Role, explicit: frozenset[Right] | None
    ) -> bool:
        """Whether they need not wait to be let in."""
        if Right.ADMIT in effective_rights(role, explicit):
            return True
        is_inside = self.presence.person(room.id, arrival.user) is not None
        tickets = self.presence.tickets
        return is_inside or tickets.let_back(room.id, arrival.user, arrival.resumes)

    def _let_in(self, room: Room, waiter: Waiter, role: Role) -> None:
        """Let in who is outside. Raises RoomFull; the lock is not meant for them."""
        self.presence.check_space(room, waiter.user, returns=True)
        explicit = waiter.explicit if role is waiter.role else None
        ticket = self.presence.tickets.expect(room.id, waiter.user)
        arrival = Arrival(
            waiter.user,
            role,
            waiter.display_name,
            ticket,
            explicit,
            deltas=waiter.deltas,
            publishes=waiter.publishes,
        )
        entry = self.presence.enter(room, arrival, waiter.client)
        joined = self.joined(room, waiter.user, entry)
        self.presence.tell(room.id, Notification("admitted", joined.shape()), waiter.user)

    def _waiter(self, room: RoomId, user: UserId) -> Waiter:
        self.rooms.get(room)
        waiter = self.presence.lobby.get(room, user)
        if waiter is None:
            raise NotFound("There is nobody of that id outside the room")
        return waiter
