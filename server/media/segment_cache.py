"""A bounded memory of segments."""

from collections import OrderedDict

MAX_BYTES = 64 * 1024 * 1024  # 1,300 segments of 1.92 s at 192 kb/s


class SegmentCache:
    """Bytes by room and name; beyond `max_bytes` the least recently used go."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self.hits = 0
        self.misses = 0
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._segments: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """How much is held."""
        return self._held_bytes

    def get(self, room: str, name: str) -> bytes | None:
        """Return a segment if it is held."""
        data = self._segments.get((room, name))
        if data is None:
            self.misses += 1
            return None
        self.hits += 1
        self._segments.move_to_end((room, name))
        return data

    def put(self, room: str, name: str, data: bytes) -> None:
        """Hold a segment; one larger than the whole bound is not held."""
        self._drop((room, name))
        if len(data) > self._max_bytes:
            return
        self._segments[room, name] = data
        self._held_bytes += len(data)
        while self._held_bytes > self._max_bytes:
            self._drop(next(iter(self._segments)))

    def forget(self, room: str) -> None:
        """Drop all segments of a room: its names may come to mean something else."""
        for key in [key for key in self._segments if key[0] == room]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        self._held_bytes -= len(self._segments.pop(key, b""))
