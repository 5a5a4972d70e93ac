"""Recordings of rooms' arrivals on their way to a folder: chunks in, files out, nobody waits."""

import asyncio
import contextlib
import os
import re
from collections import Counter, deque
from pathlib import Path
from typing import Final

import structlog

from mixer.core.recording import Lost, write_record
from mixer.types import RoomId
from server.media.wire import recording_body
from server.ports import StoredRecording
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport

log = structlog.get_logger(__name__)

SUFFIX: Final = ".arrivals"
MAX_WAITING_BYTES: Final = 32 << 20  # minutes of a hundred people, should the disk hang
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OF_ROOM: Final = re.compile(r"([A-Za-z0-9_-]{3,32})-([0-9]{1,15})", re.ASCII)


class RecordingPipe:
    """A `mixer.room.recorder.ArrivalSink` in a mixer process: to the control process, which writes.

    A disk may hang for seconds, and the mixer must not wait for it.
    """

    def __init__(self, transport: UnixTransport) -> None:
        self._transport = transport

    def write(self, name: str, chunk: bytes) -> bool:
        """See ArrivalSink."""
        return self._transport.offer_frame(FrameKind.RECORDING, recording_body(name, chunk))


class FolderShelf:
    """A `server.ports.RecordingShelf` of the files that RecordingFolders write to a folder.

    A file is `<room>-<milliseconds>.arrivals`; what is called otherwise is nobody's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, room: RoomId) -> tuple[StoredRecording, ...]:
        """See RecordingShelf."""
        found = []
        with contextlib.suppress(FileNotFoundError):  # nothing was ever recorded
            for path in self._folder.iterdir():
                began = _OF_ROOM.fullmatch(path.stem)
                if path.suffix != SUFFIX or began is None or began[1] != room:
                    continue
                with contextlib.suppress(OSError):  # it was removed meanwhile
                    size = path.lstat().st_size
                    found.append(StoredRecording(path.stem, size, int(began[2]) / 1000))
        return tuple(sorted(found, key=lambda one: one.began_unix_s))

    def find(self, room: RoomId, name: str) -> Path | None:
        """See RecordingShelf. A link is none."""
        matched = _OF_ROOM.fullmatch(name)
        if matched is None or matched[1] != room:
            return None
        path = self._folder / (name + SUFFIX)
        return path if path.is_file() and not path.is_symlink() else None

    def remove(self, room: RoomId, name: str) -> bool:
        """See RecordingShelf."""
        path = self.find(room, name)
        if path is None:
            return False
        path.unlink(missing_ok=True)
        return True


class RecordingFolder:
    """Appends chunks to files that only the server's user can read; bounded while a disk hangs.

    What finds no place is counted, and marked in the file. A file that cannot be written is given
    up, and said so once.
    """

    def __init__(self, folder: Path, *, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self.counters: Counter[str] = Counter()
        self._folder = folder
        self._max_waiting = max_waiting_bytes
        self._waiting: deque[tuple[str, bytes]] = deque()  # bounded in take()
        self._waiting_bytes = 0
        self._lost: Counter[str] = Counter()
        self._given_up: set[str] = set()
        self._came = asyncio.Event()

    def take(self, name: str, chunk: bytes) -> None:
        """Take a chunk of the recording `name`. Never blocks, never raises."""
        if not _NAME.fullmatch(name) or name in self._given_up:
            return
        if self._waiting_bytes + len(chunk) > self._max_waiting:
            self._lost[name] += 1
            self.counters["recording_chunks_lost"] += 1
            return
        if lost := self._lost.pop(name, 0):
            chunk = write_record(Lost(lost)) + chunk
        self._waiting.append((name, chunk))
        self._waiting_bytes += len(chunk)
        self._came.set()

    async def run(self) -> None:
        """Write what comes, until cancelled; then what is left."""
        writing: asyncio.Future[None] | None = None
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                while self._waiting:
                    # Shielded: what is being written is waited for before what comes after it.
                    writing = asyncio.get_running_loop().run_in_executor(
                        None, self._append, *self._next()
                    )
                    await asyncio.shield(writing)
        finally:
            if writing is not None:
                await asyncio.wait([writing])
            await asyncio.to_thread(self._append_rest)

    def _append_rest(self) -> None:
        while self._waiting:
            self._append(*self._next())

    def _next(self) -> tuple[str, bytes]:
        name, chunk = self._waiting.popleft()
        self._waiting_bytes -= len(chunk)
        return name, chunk

    def _append(self, name: str, chunk: bytes) -> None:
        if name in self._given_up:
            return
        path = self._folder / (name + SUFFIX)
        self._make_folder()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        try:
            with open(os.open(path, flags, 0o600), "ab") as file:  # noqa: PTH123 - a descriptor
                file.write(chunk)
        except OSError as error:
            self._given_up.add(name)
            self.counters["recordings_failed"] += 1
            log.error("recording_failed", file=str(path), reason=str(error.strerror))  # noqa: TRY400 - the reason is all
            return
        self.counters["recording_bytes_written"] += len(chunk)

    def _make_folder(self) -> None:
        """Make the folder for the first recording that was asked for; a failure shows at once."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
