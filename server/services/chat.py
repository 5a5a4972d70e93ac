"""Chat: what people write is handed to those who may read it, in order."""

import math
from typing import Final

from mixer.types import RoomId
from server.domain.chat import Log, Written
from server.domain.grants import Right, require_right
from server.domain.identity import UserId
from server.domain.room import Room, rfc3339
from server.errors import ChatOff, ChatTooFast, NotFound, NotGranted
from server.rpc.codec import Notification, encode
from server.services.clock import Clock
from server.services.presence import Presence
from server.services.rooms import Rooms

_MS: Final = 1000


class Chat:
    """The chats of this node's rooms; nothing of them is stored."""

    def __init__(self, rooms: Rooms, presence: Presence, clock: Clock) -> None:
        self._rooms = rooms
        self._presence = presence
        self._clock = clock
        self._logs: dict[RoomId, Log] = {}

    def write(self, room_id: RoomId, author: UserId, text: str, to: UserId | None) -> Written:
        """Hand a message on, to one person or to everybody.

        Raises RoomNotFound, ChatOff, NotGranted, ChatTooFast, NotFound (nobody of that id may read
        it).
        """
        room = self._rooms.get(room_id)
        name = self._check(room, author)
        readers = self._readers(room)
        if to is not None:
            if to not in readers:
                raise NotFound("There is nobody of that id to write to")
            readers = [author, to]
        log = self._logs.setdefault(room_id, Log())
        wait_s = log.wait_s(author, self._clock.monotonic())
        if wait_s:
            raise ChatTooFast(math.ceil(wait_s * _MS))
        written = Written(log.number(), rfc3339(self._clock.now()), author, name, text, to)
        log.keep(written, room.chat_history)
        encoded = encode(Notification("chat", written.entry()))
        for reader in dict.fromkeys(readers):
            self._presence.hand(room_id, reader, encoded)
        return written

    def history(self, room_id: RoomId, reader: UserId, after: int) -> list[dict[str, object]]:
        """Return what is kept after that message. Raises RoomNotFound, ChatOff, NotGranted."""
        room = self._rooms.get(room_id)
        self._check(room, reader)
        log = self._logs.get(room_id)
        kept = [] if log is None else [one.entry() for one in log.after(after)]
        return kept[-room.chat_history :] if room.chat_history else []

    def forget(self, room: RoomId) -> None:
        """The room is gone, and what was written in it."""
        self._logs.pop(room, None)

    def _check(self, room: Room, user: UserId) -> str:
        """Return the name of somebody who may write and read."""
        if not room.chat:
            raise ChatOff
        require_right(self._presence.rights(room.id, user), Right.CHAT)
        person = self._presence.person(room.id, user)
        if person is not None:
            return person.display_name
        waiter = self._presence.lobby.get(room.id, user)
        if waiter is None or not waiter.is_listening or not room.listener_chat:
            raise NotGranted(Right.CHAT.value)
        return waiter.display_name

    def _readers(self, room: Room) -> list[UserId]:
        people = [one.user for one in self._presence.people(room.id) if Right.CHAT in one.rights]
        if room.listener_chat:
            outside = self._presence.lobby.people(room.id).values()
            people += [one.user for one in outside if one.is_listening and Right.CHAT in one.rights]
        return people
