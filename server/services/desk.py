"""The mixing desk: what is decided about the people of the rooms, stored and then done."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from mixer.types import FLOOR, RoomId
from server.domain.controls import PLAIN, Controls, decode_controls, encode_controls
from server.domain.grants import Role
from server.domain.identity import UserId, user_id
from server.domain.people import Person
from server.domain.room import Room
from server.errors import BadInput, BadRecord, FieldMistake, NotFound, RoomNotFound, TooMany
from server.ports import StateStore
from server.rpc.codec import Notification
from server.services.kicks import Kicks
from server.services.presence import Farewell, Presence
from server.services.rooms import PREFIX, Rooms

log = structlog.get_logger(__name__)

MAX_DECIDED = 1000  # people of one room something is kept of; who is not there is forgotten first


class Desk:
    """What may be done to the people of this node's rooms, whoever has the right to."""

    def __init__(
        self, store: StateStore, rooms: Rooms, presence: Presence, kicks: Kicks, ban_s: int
    ) -> None:
        self._ban_s = ban_s  # longer than any token they may have
        self._store = store
        self._rooms = rooms
        self.kicks = kicks
        self._presence = presence
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what was decided in the rooms that are on air. Raises StoreLost.

        A record that cannot be read is logged and left alone.
        """
        await self.kicks.load({room.id for room in self._rooms.all()})
        for room in self._rooms.all():
            prefix = _key(room.id, "")
            for record in (await self._store.scan(prefix)).records:
                user = user_id(record.key.removeprefix(prefix))
                if user is None:
                    continue
                try:
                    controls = decode_controls(record.key, record.value)
                except BadRecord as error:
                    log.error("controls_unreadable", room=room.id, reason=str(error))  # noqa: TRY400 - the sentence is all
                else:
                    self._presence.set_controls(room.id, user, controls)

    def people(self, room: RoomId) -> list[Person]:
        """Return everybody with a connection of their own, in order. Raises RoomNotFound."""
        self._rooms.get(room)
        return self._presence.people(room)

    async def control(
        self, room: RoomId, user: UserId, amend: Callable[[Controls], Controls]
    ) -> Person:
        """Mix a person as `amend` says of how they are mixed now.

        Who is made a listener leaves the stage, and is told (`offStage`). Raises RoomNotFound,
        NotFound, BadInput (no such bus), TooMany, StoreLost.
        """
        async with self._changing:
            before = self._person(room, user).controls
            changed = amend(before)
            _check_buses(self._rooms.get(room), before, changed)
            await self._keep(room, user, changed)
            self._presence.set_controls(room, user, changed)
            person = self._person(room, user)
        if person.role is Role.LISTENER:
            self._presence.step_down(room, user)
            self._presence.tell(room, Notification("offStage", {}), user)
        return person

    async def keep_role(self, room: RoomId, user: UserId, role: Role) -> None:
        """Note what somebody is who is not on the stage yet. Raises RoomNotFound, TooMany."""
        async with self._changing:
            before = self._presence.controls(room).get(user, PLAIN)
            changed = replace(before, role=role)
            await self._keep(room, user, changed)
            self._presence.set_controls(room, user, changed)

    def ask_to_unmute(self, room: RoomId, user: UserId) -> None:
        """Ask a person's page to unmute. Raises RoomNotFound, NotFound."""
        self._person(room, user)
        self._presence.tell(room, Notification("unmuteRequest", {}), user)

    async def kick(self, room: RoomId, user: UserId) -> None:
        """Take a person out; they may come again, as anybody new.

        Raises RoomNotFound, NotFound, StoreLost.
        """
        self._person(room, user)
        await self.kicks.add(room, user)
        try:
            self._rooms.get(room)
        except RoomNotFound:  # it was removed meanwhile, and its records with it
            await self.kicks.drop(room, user)
            raise
        self._presence.leave(room, user, Farewell.KICKED)
        log.info("person_kicked", room=room, user=user)

    async def ban(self, room: RoomId, user: UserId) -> None:
        """Take a person out, and refuse the tokens they have. Raises RoomNotFound, StoreLost."""
        await self._rooms.revoke(room, user, self._ban_s)
        log.info("person_banned", room=room, user=user)

    def _person(self, room: RoomId, user: UserId) -> Person:
        self._rooms.get(room)
        person = self._presence.person(room, user)
        if person is None:
            raise NotFound("There is no such person in the room")
        return person

    async def _keep(self, room: RoomId, user: UserId, controls: Controls) -> None:
        key, decided = _key(room, user), self._presence.controls(room)
        is_new = controls != PLAIN and user not in decided
        forgotten = self._too_many(room, decided) if is_new else []
        gone = [_key(room, one) for one in forgotten]
        if controls == PLAIN:
            await self._store.commit(delete=[key])
        else:
            await self._store.commit(put={key: encode_controls(controls)}, delete=gone)
        try:
            self._rooms.get(room)
        except RoomNotFound:  # it was removed meanwhile, and its records with it
            await self._store.commit(delete=[key])
            raise
        for one in forgotten:
            self._presence.set_controls(room, one, PLAIN)

    def _too_many(self, room: RoomId, decided: Mapping[UserId, Controls]) -> list[UserId]:
        """Return who must be forgotten to make space for one more. Raises TooMany."""
        if len(decided) < MAX_DECIDED:
            return []
        absent = [user for user in decided if self._presence.person(room, user) is None]
        if not absent:
            raise TooMany(f"At most {MAX_DECIDED} people of a room can have settings of their own")
        return absent[:1]


def _check_buses(room: Room, before: Controls, changed: Controls) -> None:
    """Raise BadInput if a bus that was not named before is not there."""
    known = {FLOOR, *room.buses}
    for field, old, new in (
        ("Speaks", before.speaks, changed.speaks),
        ("Hears", before.hears, changed.hears),
    ):
        if old != new and not known.issuperset(new):
            sentence = f"There is no such bus in room {room.id}"
            raise BadInput(sentence, (FieldMistake(field, sentence),))


def _key(room: RoomId, user: str) -> str:
    return f"{PREFIX}{room}/people/{user}"
