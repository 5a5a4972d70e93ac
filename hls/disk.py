"""A window of segments on disk: what is too old for memory, in a private folder."""

import secrets
import shutil
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from hls.background import Job, at_once
from hls.encryption import decrypt, encrypt

DEFAULT_MAX_BYTES = 4 * 2**30
MAX_UNWRITTEN_BYTES = 32 * 2**20  # half an hour of a broadcast, should the disk hang
MAX_READ_BYTES = 4 * 2**20  # what was read lately
_MOST_GONE = 1000  # as many in the order, and as many again as are held, may have gone
_FOLDER = "segments"
_BLOCK = 16


class _Place(NamedTuple):
    """Where a segment is. No two are in the same place, so one that was read late is no other."""

    stream: str
    msn: int
    serial: int


class DiskWindow:
    """Segments of all streams by stream and number, within a number of bytes.

    A stream's segments come in ascending order. When the bytes are used up the oldest segment of
    any stream goes; when one cannot be written or read, that is counted and its stream's window
    begins behind it. Nothing here raises OSError. They are encrypted with a key that only this
    process knows, in its memory; so what an earlier one left is of no use, and deleted.

    What is written and deleted is a job for `run`, and may be done later and in another thread:
    until then a segment is served from memory.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        run: Callable[[Job], bool] = at_once,
    ) -> None:
        """Keep the segments in a folder of our own within `folder`, which only we may read.

        `run` does jobs in the order given; False: it takes no more.
        """
        self.held_bytes = 0
        self._failures = 0
        self._folder = folder / _FOLDER
        self._max_bytes = max_bytes
        self._run = run
        self._key = secrets.token_bytes(16)
        self._serials = count()
        self._held: dict[str, dict[int, tuple[_Place, int]]] = {}  # with their bytes
        self._floors: dict[str, int] = {}
        self._order: deque[_Place] = deque()  # as they came; may name some that went
        self._unwritten: dict[_Place, bytes] = {}
        self._unwritten_bytes = 0
        self._read: OrderedDict[_Place, bytes] = OrderedDict()
        self._read_bytes = 0
        self._told: deque[Callable[[], None]] = deque()  # what jobs found out, for our own thread
        shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    @property
    def failures(self) -> int:
        """How often something could not be written, read or deleted."""
        self._listen()
        return self._failures

    def put(self, stream: str, msn: int, data: bytes) -> None:
        """Keep a segment. `stream` is a file name."""
        self._listen()
        place, iv = _Place(stream, msn, next(self._serials)), secrets.token_bytes(_BLOCK)
        sealed = iv + encrypt(self._key, iv, data)
        self._held.setdefault(stream, {})[msn] = (place, len(sealed))
        self._order.append(place)
        self.held_bytes += len(sealed)
        self._unwritten[place] = sealed
        self._unwritten_bytes += len(sealed)
        has_room = self._unwritten_bytes <= MAX_UNWRITTEN_BYTES
        if not has_room or not self._run(partial(self._write, place, sealed)):
            self._written(place, worked=False)
        self._listen()
        while self.held_bytes > self._max_bytes:
            oldest = self._order.popleft()
            if self._is_held(oldest):
                self._raise_floor(oldest.stream, oldest.msn + 1)
        # The head may be of a room that is silent for days, while others come and go.
        if len(self._order) > 2 * len(self) + _MOST_GONE:
            self._order = deque(filter(self._is_held, self._order))

    def has(self, stream: str, msn: int) -> bool:
        """Whether a segment was put here and not dropped."""
        self._listen()
        return self._place(stream, msn) is not None

    def unread(self, stream: str, msn: int) -> Job | None:
        """Return what must be done, in any thread, for `get` not to wait for the disk."""
        self._listen()
        place = self._place(stream, msn)
        if place is None or place in self._unwritten or place in self._read:
            return None
        return partial(self._load, place)

    def get(self, stream: str, msn: int) -> bytes | None:
        """Return a segment, None if it is not (or no longer) here."""
        self._listen()
        place = self._place(stream, msn)
        if place is None:
            return None
        try:
            sealed = self._unwritten.get(place) or self._read.get(place)
            if sealed is None:
                sealed = self._path(place).read_bytes()
            return decrypt(self._key, sealed[:_BLOCK], sealed[_BLOCK:])
        except (OSError, ValueError):  # somebody else wrote to it
            self._failures += 1
            self._raise_floor(stream, msn + 1)  # what is listed can be had (RFC 8216 §6.2.2)
            return None

    def floor(self, stream: str) -> int:
        """Return the segment from which on what is not here was never put here."""
        self._listen()
        return self._floors.get(stream, 0)

    def drop_before(self, stream: str, msn: int) -> None:
        """Delete the segments below `msn`."""
        held = self._held.get(stream, {})
        for old in [kept for kept in held if kept < msn]:
            place, size = held.pop(old)
            self.held_bytes -= size
            self._run(partial(self._unlink, place))
        while self._order and not self._is_held(self._order[0]):
            self._order.popleft()

    def forget(self, stream: str) -> None:
        """Delete all segments of a stream."""
        self.held_bytes -= sum(size for _, size in self._held.pop(stream, {}).values())
        self._floors.pop(stream, None)
        self._run(partial(shutil.rmtree, self._folder / stream, ignore_errors=True))

    def _place(self, stream: str, msn: int) -> _Place | None:
        held = self._held.get(stream, {}).get(msn)
        return None if held is None else held[0]

    def _is_held(self, place: _Place) -> bool:
        return self._place(place.stream, place.msn) == place

    def _raise_floor(self, stream: str, msn: int) -> None:
        self._floors[stream] = max(self._floors.get(stream, 0), msn)
        self.drop_before(stream, msn)

    def _listen(self) -> None:
        """Hear what jobs have found out."""
        while self._told:
            self._told.popleft()()

    def _written(self, place: _Place, *, worked: bool) -> None:
        self._unwritten_bytes -= len(self._unwritten.pop(place))
        if worked:
            return
        self._failures += 1
        if self._is_held(place):
            self._raise_floor(place.stream, place.msn + 1)

    def _loaded(self, place: _Place, sealed: bytes) -> None:
        if place not in self._read:
            self._read_bytes += len(sealed)
        self._read[place] = sealed
        while self._read_bytes > MAX_READ_BYTES:
            _, oldest = self._read.popitem(last=False)
            self._read_bytes -= len(oldest)

    def _failed(self) -> None:
        self._failures += 1

    # The jobs, which change nothing of ours themselves

    def _write(self, place: _Place, sealed: bytes) -> None:
        path = self._path(place)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(sealed)
        except OSError:
            self._unlink(place)
            self._told.append(partial(self._written, place, worked=False))
        else:
            self._told.append(partial(self._written, place, worked=True))

    def _load(self, place: _Place) -> None:
        try:
            sealed = self._path(place).read_bytes()
        except OSError:
            return  # `get` finds that out, and counts it
        self._told.append(partial(self._loaded, place, sealed))

    def _unlink(self, place: _Place) -> None:
        try:
            self._path(place).unlink(missing_ok=True)
        except OSError:
            self._told.append(self._failed)

    def _path(self, place: _Place) -> Path:
        return self._folder / place.stream / f"{place.msn}.{place.serial}"
