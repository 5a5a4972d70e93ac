"""What everybody in a room is told, merged so that a crowd does not drown in it."""

import asyncio
from collections.abc import Callable, Mapping

from mixer.types import RoomId
from server.domain.changes import Told
from server.rpc.codec import Notification, encode

FLUSH_S = 0.05  # a hundred people who join at once make twenty lists a second, not a hundred
TALKING_S = 0.2  # the contract: at most five a second

Tell = Callable[[RoomId, Callable[[], str], bool], None]
Listing = Callable[[RoomId], list[dict[str, object]]]


class Announcements:
    """Collects what changed in which room: `roomStatus` or `participants`, `talking`, `lobby`.

    `tell(room, make, deltas)` hands one encoded notification to everybody in the room who wants to
    know of people by changes (`deltas`), or who does not; `listing(room)` is asked only when it is
    time to tell, so that many changes become one list. `tell_lobby(room)` tells who is outside.
    """

    def __init__(self, tell: Tell, listing: Listing, tell_lobby: Callable[[RoomId], None]) -> None:
        self._tell = tell
        self._listing = listing
        self._tell_lobby = tell_lobby
        self._lobbies: set[RoomId] = set()
        self._people: dict[RoomId, Told] = {}
        self._changed: set[RoomId] = set()
        self._levels: dict[RoomId, Mapping[str, int]] = {}  # not told yet
        self._told: dict[RoomId, tuple[float, Mapping[str, int]]] = {}
        self._work = asyncio.Event()

    def people_changed(self, room: RoomId) -> None:
        """Tell the list of people soon."""
        self._changed.add(room)
        self._work.set()

    def lobby_changed(self, room: RoomId) -> None:
        """Tell who is outside soon."""
        self._lobbies.add(room)
        self._work.set()

    def told(self, room: RoomId) -> dict[str, object]:
        """Return the list of people that was told last, and its version."""
        return self._people.get(room, _NOTHING).snapshot()

    def talking(self, room: RoomId, levels: Mapping[str, int]) -> None:
        """Tell who can be heard when the room's turn comes; only the newest counts."""
        self._levels[room] = levels
        self._work.set()

    def forget(self, room: RoomId) -> None:
        """The room is empty: nobody needs to be told anything."""
        self._changed.discard(room)
        self._lobbies.discard(room)
        self._people.pop(room, None)
        self._levels.pop(room, None)
        self._told.pop(room, None)

    def flush(self, now: float) -> None:
        """Tell what is due at `now` (monotonic seconds)."""
        for room in self._changed:
            self._flush_people(room)
        self._changed.clear()
        for room in self._lobbies:
            self._tell_lobby(room)
        self._lobbies.clear()
        for room, levels in list(self._levels.items()):
            told_at, told = self._told.get(room, (-TALKING_S, {}))
            if levels == told:
                del self._levels[room]
            elif now - told_at >= TALKING_S:
                text = encode(Notification("talking", {"levels": dict(levels)}))
                for deltas in (False, True):
                    self._tell(room, lambda text=text: text, deltas)  # type: ignore[misc]
                self._told[room] = (now, levels)
                del self._levels[room]

    async def run(self) -> None:
        """Flush whenever there is something to tell, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            self.flush(loop.time())
            await asyncio.sleep(FLUSH_S)
            if self._levels:  # whose turn has not come
                self._work.set()

    def _flush_people(self, room: RoomId) -> None:
        listing = self._listing(room)
        self._tell(room, lambda: encode(Notification("roomStatus", listing)), False)
        change = self._people.setdefault(room, Told()).advance(listing)
        if change is not None:
            self._tell(room, lambda: encode(Notification("participants", change)), True)


_NOTHING = Told()
