"""Who speaks, told to those who listen: by name, where the room wants it."""

import asyncio
from typing import Final

from mixer.types import FLOOR, PlaneEvent, RoomId, Talking
from server.domain.identity import UserId
from server.domain.room import Room, RoomState
from server.errors import RoomNotFound
from server.ports import BroadcastPlane, PlaneLost
from server.services.presence import Presence
from server.services.rooms import Rooms

PAUSE_S: Final = 0.25  # between two rounds: nobody's player needs it sooner


class Credits:
    """Tells the broadcast plane of another set of speakers, four times a second at most."""

    def __init__(self, broadcast: BroadcastPlane, rooms: Rooms, presence: Presence) -> None:
        self._broadcast = broadcast
        self._rooms = rooms
        self._presence = presence
        self._told: dict[RoomId, frozenset[str]] = {}
        self._heard: dict[RoomId, Talking] = {}  # the last of each room
        self._due: dict[RoomId, frozenset[str]] = {}
        self._came = asyncio.Event()

    def handle(self, event: PlaneEvent | PlaneLost) -> None:
        """Take what the mixer says."""
        if isinstance(event, Talking):
            if self._rooms.state(event.room) is RoomState.ON_AIR:
                self._heard[event.room] = event
            self.look(event.room)
        elif isinstance(event, PlaneLost):
            for room in tuple(self._heard) if event.rooms is None else event.rooms:
                self._heard.pop(room, None)
                self.look(room)

    def look(self, room: RoomId) -> None:
        """Look at a room again: it was changed, and with it perhaps what listeners are told."""
        event = self._heard.get(room)
        self._want(room, frozenset() if event is None else self._names(event))

    def forget_room(self, room: RoomId) -> None:
        """Forget who was heard in a room that is gone."""
        self._heard.pop(room, None)

    def of(self, room: RoomId) -> list[str]:
        """Return who speaks in a room now, as far as its listeners are told."""
        return sorted(self._told.get(room, ()))

    async def run(self) -> None:
        """Tell whatever is due, for ever."""
        while True:
            await self._came.wait()
            await self.work()
            await asyncio.sleep(PAUSE_S)

    async def work(self) -> None:
        """Tell what is due, and only the last of what a room's speakers were meanwhile."""
        self._came.clear()
        due, self._due = self._due, {}
        self._told = {
            room: names
            for room, names in self._told.items()
            if self._rooms.state(room) is RoomState.ON_AIR
        }
        for room, names in due.items():
            await self._broadcast.talk(room, names)

    def _names(self, event: Talking) -> frozenset[str]:
        try:
            room = self._rooms.get(event.room)
        except RoomNotFound:
            return frozenset()
        if not (room.broadcast and room.air.names):
            return frozenset()
        named = (self._name(room, UserId(peer)) for peer in event.levels)
        return frozenset(name for name in named if name)

    def _name(self, room: Room, user: UserId) -> str:
        """Return the name of somebody whom listeners can hear, "" if they have none."""
        person = self._presence.person(room.id, user)
        on_air = {one.bus for one in room.air.within(room.buses)}
        if person is not None:
            is_heard = on_air.intersection(person.anchor(room.buses).speaks)
            return person.display_name if is_heard else ""
        line = self._presence.lines(room.id).people.get(user)
        return line.display_name if line is not None and FLOOR in on_air else ""

    def _want(self, room: RoomId, names: frozenset[str]) -> None:
        if names == self._told.get(room, frozenset()):
            return
        if names:
            self._told[room] = names
        else:
            self._told.pop(room, None)
        self._due[room] = names
        self._came.set()
