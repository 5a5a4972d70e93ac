"""Who listens to the broadcasts now, as far as their players tell by what they ask for."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from hls.types import PlaylistKind
from mixer.types import RoomId

LISTENING_S: Final = 10.0  # a classic player asks every two seconds, one of low latency more often
MAX_LISTENERS: Final = 20_000  # of one room; the ones who asked longest ago are no longer counted
MAX_ROOMS: Final = 10_000  # the ones nobody asked for longest are forgotten

Playlist = tuple[str, PlaylistKind]  # rendition, kind


@dataclass(slots=True)
class _Room:
    seen: OrderedDict[tuple[Playlist, Hashable], float] = field(default_factory=OrderedDict)
    sent: Counter[str] = field(default_factory=Counter)


class Audience:
    """Listeners of each room by playlist, and bytes sent by kind; `now` is monotonic."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rooms: OrderedDict[RoomId, _Room] = OrderedDict()

    def asked(self, room: RoomId, playlist: Playlist, who: Hashable) -> None:
        """Note that somebody asked for a playlist; whoever is told apart by `who` is one."""
        seen = self._room(room).seen
        seen[playlist, who] = self._now()
        seen.move_to_end((playlist, who))
        self._forget(seen)

    def sent(self, room: RoomId, kind: str, size: int) -> None:
        """Count what was sent of a room."""
        self._room(room).sent[kind] += size

    def listeners(self, room: RoomId) -> dict[Playlist, int]:
        """Return how many ask for each playlist of a room."""
        known = self._rooms.get(room)
        if known is None:
            return {}
        self._forget(known.seen)
        return dict(Counter(playlist for playlist, _ in known.seen))

    def bytes_sent(self, room: RoomId) -> dict[str, int]:
        """Return how much was sent of a room, by kind."""
        known = self._rooms.get(room)
        return {} if known is None else dict(known.sent)

    def forget_room(self, room: RoomId) -> None:
        """Forget a room that is gone."""
        self._rooms.pop(room, None)

    def _room(self, room: RoomId) -> _Room:
        known = self._rooms.get(room)
        if known is None:
            known = self._rooms[room] = _Room()
        self._rooms.move_to_end(room)
        if len(self._rooms) > MAX_ROOMS:
            self._rooms.popitem(last=False)
        return known

    def _forget(self, seen: OrderedDict[tuple[Playlist, Hashable], float]) -> None:
        oldest = self._now() - LISTENING_S
        while seen and (len(seen) > MAX_LISTENERS or next(iter(seen.values())) <= oldest):
            seen.popitem(last=False)
