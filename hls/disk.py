"""A window of segments on disk: what is too old for memory, in a private folder."""

import secrets
import shutil
from collections import deque
from pathlib import Path

from hls.encryption import decrypt, encrypt

DEFAULT_MAX_BYTES = 4 * 2**30
_FOLDER = "segments"
_BLOCK = 16


class DiskWindow:
    """Segments of all streams by stream and number, within a number of bytes.

    A stream's segments come in ascending order. When the bytes are used up the oldest segment of
    any stream goes; when one cannot be written, that is counted and its stream's window begins
    behind it. Nothing here raises OSError. They are encrypted with a key that only this process
    knows, in its memory; so what an earlier one left is of no use, and deleted.
    """

    def __init__(self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Keep the segments in a folder of our own within `folder`, which only we may read."""
        self.failures = 0
        self.held_bytes = 0
        self._folder = folder / _FOLDER
        self._max_bytes = max_bytes
        self._key = secrets.token_bytes(16)
        self._sizes: dict[str, dict[int, int]] = {}
        self._floors: dict[str, int] = {}
        self._order: deque[tuple[str, int]] = deque()  # as they came; may name some that went
        shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return sum(map(len, self._sizes.values()))

    def put(self, stream: str, msn: int, data: bytes) -> None:
        """Keep a segment. `stream` is a file name."""
        path, iv = self._path(stream, msn), secrets.token_bytes(_BLOCK)
        sealed = iv + encrypt(self._key, iv, data)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(sealed)
        except OSError:
            self.failures += 1
            self._unlink(path)
            self._raise_floor(stream, msn + 1)
            return
        self._sizes.setdefault(stream, {})[msn] = len(sealed)
        self._order.append((stream, msn))
        self.held_bytes += len(sealed)
        while self.held_bytes > self._max_bytes:
            oldest, number = self._order.popleft()
            if self.has(oldest, number):
                self._raise_floor(oldest, number + 1)

    def has(self, stream: str, msn: int) -> bool:
        """Whether a segment was put here and not dropped."""
        return msn in self._sizes.get(stream, ())

    def get(self, stream: str, msn: int) -> bytes | None:
        """Return a segment, None if it is not (or no longer) here."""
        if not self.has(stream, msn):
            return None
        try:
            sealed = self._path(stream, msn).read_bytes()
            return decrypt(self._key, sealed[:_BLOCK], sealed[_BLOCK:])
        except (OSError, ValueError):  # somebody else wrote to it
            self.failures += 1
            return None

    def floor(self, stream: str) -> int:
        """Return the segment from which on what is not here was never put here."""
        return self._floors.get(stream, 0)

    def drop_before(self, stream: str, msn: int) -> None:
        """Delete the segments below `msn`."""
        sizes = self._sizes.get(stream, {})
        for old in [kept for kept in sizes if kept < msn]:
            self.held_bytes -= sizes.pop(old)
            self._unlink(self._path(stream, old))
        while self._order and not self.has(*self._order[0]):
            self._order.popleft()

    def forget(self, stream: str) -> None:
        """Delete all segments of a stream."""
        self.held_bytes -= sum(self._sizes.pop(stream, {}).values())
        self._floors.pop(stream, None)
        shutil.rmtree(self._folder / stream, ignore_errors=True)

    def _raise_floor(self, stream: str, msn: int) -> None:
        self._floors[stream] = max(self.floor(stream), msn)
        self.drop_before(stream, msn)

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            self.failures += 1

    def _path(self, stream: str, msn: int) -> Path:
        return self._folder / stream / str(msn)
