"""Who listens to the broadcasts: players say so by asking again, and never say goodbye."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from mixer.types import RoomId
from server.domain.identity import UserId
from server.services.clock import Clock

log = structlog.get_logger(__name__)

# A player asks for the playlist every two seconds, and a phone that lost its cell comes back.
GONE_S: Final = 60.0
MOST: Final = 50_000  # of about 800 bytes; above, whoever was quiet for longest is not counted


@dataclass(slots=True)
class Listener:
    """One listener of one room; times are monotonic seconds, `since_unix_s` is for people.

    `key_queries` are those of the newest epochs' keys that were asked for: made once an epoch.
    """

    room: RoomId
    user: UserId
    since_unix_s: float
    since_s: float
    seen_s: float
    keys: int = 0
    key_queries: dict[int, bytes] = field(default_factory=dict)


class Listeners:
    """Everybody who listens now, at most MOST of them; who asked for nothing for a minute is gone.

    The log has who began and who stopped listening, for how long and with how many keys.
    """

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        # Whoever was heard of last stands last.
        self._here: OrderedDict[tuple[RoomId, UserId], Listener] = OrderedDict()
        self._rooms: Counter[RoomId] = Counter()
        self.counters: Counter[str] = Counter(listening_started_total=0, listening_ended_total=0)

    def __len__(self) -> int:
        return len(self._here)

    def count(self, room: RoomId) -> int:
        """Return how many listen to a room."""
        return self._rooms[room]

    def all(self, room: RoomId) -> list[Listener]:
        """Return who listens to a room, those first who have been there for longest."""
        self.sweep()
        found = [one for one in self._here.values() if one.room == room]
        return sorted(found, key=lambda one: (one.since_s, one.user))

    def is_here(self, room: RoomId, user: UserId) -> bool:
        """Whether somebody listens to a room now."""
        found = self._here.get((room, user))
        return found is not None and self._clock.monotonic() - found.seen_s < GONE_S

    def seen(self, room: RoomId, user: UserId) -> Listener:
        """Note that somebody asked for something of a room's broadcast, and return them."""
        now = self._clock.monotonic()
        found = self._here.get((room, user))
        if found is not None and now - found.seen_s >= GONE_S:
            self._end(found)
            found = None
        if found is None:
            found = self._begin(room, user, now)
        found.seen_s = now
        self._here.move_to_end((room, user))
        return found

    def sweep(self) -> None:
        """Forget who is gone."""
        self._end_while(lambda one: self._clock.monotonic() - one.seen_s >= GONE_S)

    def forget(self, room: RoomId, user: UserId) -> None:
        """Forget somebody who may not listen any more."""
        found = self._here.get((room, user))
        if found is not None:
            self._end(found)

    def forget_room(self, room: RoomId) -> None:
        """Forget all of a room that is gone."""
        if self._rooms[room]:
            for one in [one for one in self._here.values() if one.room == room]:
                self._end(one)

    def _begin(self, room: RoomId, user: UserId, now: float) -> Listener:
        self._end_while(lambda _one: len(self._here) >= self._most)
        found = Listener(room, user, self._clock.unix(), now, now)
        self._here[room, user] = found
        self._rooms[room] += 1
        self.counters["listening_started_total"] += 1
        log.info("listening_started", room=room, user=user)
        return found

    def _end_while(self, is_over: Callable[[Listener], bool]) -> None:
        while self._here and is_over(one := next(iter(self._here.values()))):
            self._end(one)

    def _end(self, one: Listener) -> None:
        del self._here[one.room, one.user]
        self._rooms[one.room] -= 1
        if not self._rooms[one.room]:
            del self._rooms[one.room]
        self.counters["listening_ended_total"] += 1
        seconds = round(one.seen_s - one.since_s, 1)
        log.info("listening_ended", room=one.room, user=one.user, seconds=seconds, keys=one.keys)
