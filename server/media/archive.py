"""The folder of recordings: what is in it, how large it is, and what is left of the disk."""

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from hls.recording import shelf
from hls.recording.core.manifest import BadManifest
from hls.recording.walk import walk
from mixer.types import RoomId
from server.domain.recording import is_name
from server.ports import ArchivedFile

MANIFEST: Final = "manifest.json"
MAX_MANIFEST_BYTES: Final = 16 << 20  # a day of people who come and go


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

    def is_empty(self) -> bool:
        """See RecordingArchive."""
        return not _in(self.folder)

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
            for path, status in walk(self.place(room, name))
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
        place = self.place(room, name)
        claim = shelf.claim(place, wait=False)
        try:
            manifest = shelf.repair(place)
        except BadManifest:
            return None
        finally:
            os.close(claim)
        return None if manifest is None else manifest.seconds

    def open_ones(self) -> list[tuple[RoomId, str]]:
        """See RecordingArchive: of what is whole the writer's reserve is given up."""
        return [
            (RoomId(room.name), place.name)
            for room in _in(self.folder)
            if not room.is_symlink()
            for place in _in(room)
            if not place.is_symlink() and (place / shelf.RESERVE).exists()
        ]

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
