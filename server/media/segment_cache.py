"""A bounded memory of segments and parts."""

from collections import OrderedDict

from server.domain.media import Media

MAX_BYTES = 64 * 1024 * 1024  # 1,300 segments of 1.92 s at 192 kb/s


class SegmentCache:
    """Media by room and name; beyond `max_bytes` the least recently used go."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self.hits = 0
        self.misses = 0
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._segments: OrderedDict[tuple[str, str], Media] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """How much is held."""
        return self._held_bytes

    def get(self, room: str, name: str) -> Media | None:
        """Return a segment if it is held."""
        media = self.get_known(room, name)
        if media is None:
            self.misses += 1
        return media

    def get_known(self, room: str, name: str) -> Media | None:
        """Do the same for who asks again with `get` if it is not."""
        media = self._segments.get((room, name))
        if media is not None:
            self.hits += 1
            self._segments.move_to_end((room, name))
        return media

    def put(self, room: str, name: str, media: Media) -> None:
        """Hold a segment; one larger than the whole bound is not held."""
        self._drop((room, name))
        if len(media.data) > self._max_bytes:
            return
        self._segments[room, name] = media
        self._held_bytes += len(media.data)
        while self._held_bytes > self._max_bytes:
            self._drop(next(iter(self._segments)))

    def forget(self, room: str) -> None:
        """Drop all segments of a room: its names may come to mean something else."""
        for key in [key for key in self._segments if key[0] == room]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        media = self._segments.pop(key, None)
        if media is not None:
            self._held_bytes -= len(media.data)
