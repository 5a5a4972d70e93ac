"""The folder of recordings: what is in it, how large it is, and what is left of the disk."""

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hls.recording import shelf
from hls.recording.core.manifest import BadManifest
from mixer.types import RoomId
from server.domain.recording import is_name
from server.ports import ArchivedFile

MANIFEST: Final = "manifest.json"
MAX_MANIFEST_BYTES: Final = 16 << 20  # a day of people who come and go
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 3


class Archive:
    """A `server.ports.RecordingArchive` in a folder: `<room>/<recording>/` with files in it.

    Nothing outside is ever looked at: links are not followed, whoever put them there.
    """

    def __init__(self, folder: Path, notes: Path | None = None) -> None:
        """`notes` is where the upload says what it has sent: `<room>/<recording>.json`."""
        self.folder = folder
        self._notes = notes

    def place(self, room: RoomId, name: str) -> Path:
        """See RecordingArchive."""
        assert is_name(name), "names are made by domain.recording, or checked"
        return self.folder / room / name

    def prepare(self) -> None:
        """See RecordingArchive."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def free_bytes(self) -> int:
        """See RecordingArchive."""
        folder = self.folder
        while not folder.exists() and folder != folder.parent:  # nothing was recorded yet
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def names(self, room: RoomId) -> frozenset[str]:
        """See RecordingArchive."""
        found = {path.name for path in _in(self.folder / room)}
        if self._notes is not None:
            found |= {path.stem for path in _in(self._notes / room) if path.suffix == ".json"}
        return frozenset(found)

    def files(self, room: RoomId, name: str) -> tuple[ArchivedFile, ...]:
        """See RecordingArchive."""
        if not is_name(name):
            return ()
        found = [
            ArchivedFile(path, status.st_size, status.st_mtime)
            for path, status in _walk(self.place(room, name))
        ]
        return tuple(sorted(found, key=lambda one: one.name))

    def size(self, room: RoomId, name: str) -> int:
        """See RecordingArchive."""
        return sum(one.size for one in self.files(room, name))

    def manifest(self, room: RoomId, name: str) -> dict[str, Any] | None:
        """See RecordingArchive."""
        path = self.find(room, name, MANIFEST)
        if path is None or path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        with contextlib.suppress(OSError, ValueError, RecursionError):
            read = json.loads(path.read_bytes())
            return read if isinstance(read, dict) else None
        return None

    def find(self, room: RoomId, name: str, file: str) -> Path | None:
        """See RecordingArchive."""
        known = {one.name for one in self.files(room, name)}
        return self.place(room, name) / file if file in known else None

    def repair(self, room: RoomId, name: str) -> float | None:
        """See RecordingArchive."""
        if self.find(room, name, MANIFEST) is None:
            return None
        try:
            manifest = shelf.repair(self.place(room, name))
        except BadManifest:
            return None
        return None if manifest is None else manifest.seconds

    def remove(self, room: RoomId, name: str) -> None:
        """See RecordingArchive."""
        place = self.place(room, name)
        if place.is_symlink():
            place.unlink()
        else:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(place)
        with contextlib.suppress(OSError):  # others are in it, or it never was
            place.parent.rmdir()


def _in(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


def _walk(place: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the regular files below a folder by their relative names; bounded.

    What begins with a dot or ends in `.new` is the writer's own: for a full disk, or unfinished.
    """
    left = MAX_FILES
    waiting = [("", place, 0)]
    while waiting:
        before, folder, depth = waiting.pop()
        if folder.is_symlink():
            continue
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    return
                with contextlib.suppress(OSError):  # it was removed meanwhile
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.startswith(".") or entry.name.endswith(".new"):
                        continue
                    if stat.S_ISREG(status.st_mode):
                        yield before + entry.name, status
                    elif stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                        waiting.append((f"{before}{entry.name}/", Path(entry.path), depth + 1))
