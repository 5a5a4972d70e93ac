"""Sound files to be played: what somebody sends, without a name on the disk, and a folder's."""

import asyncio
import os
import stat
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path
from typing import IO, Final

from server.errors import BadInput, NotEnabled, NotFound, StoreLost, TooLarge

MAX_NAME_CHARACTERS: Final = 255
WRITE_BYTES: Final = 1 << 18  # a disk is waited for in a thread; not for every packet


class Sounds:
    """Opens sound files. Whoever gets one closes it, and what was sent is gone then."""

    def __init__(self, spool: Path, folder: Path | None, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._spool = spool
        self.folder = folder

    def check_size(self, length_bytes: int | None) -> None:
        """Raise TooLarge if something of that length is not worth being received."""
        if length_bytes is not None and length_bytes > self.limit_bytes:
            raise TooLarge(self.limit_bytes)

    async def receive(self, pieces: AsyncIterable[bytes]) -> IO[bytes]:
        """Keep what comes in a file that has no name. Raises TooLarge, BadInput, StoreLost."""
        try:
            file = await asyncio.to_thread(_nameless, self._spool)
        except OSError as error:
            raise _lost(error) from None
        try:
            await self._fill(file, pieces)
        except OSError as error:
            file.close()
            raise _lost(error) from None
        except BaseException:
            file.close()
            raise
        return file

    async def open(self, name: str) -> IO[bytes]:
        """Open a file of the folder. Raises NotEnabled, NotFound."""
        if self.folder is None:
            raise NotEnabled(
                "There is no folder of announcements: start the server with announcements_dir"
            )
        if not 0 < len(name) <= MAX_NAME_CHARACTERS or name[0] == "." or set(name) & set("/\\\0"):
            raise NotFound("There is no such file among the announcements")
        return await asyncio.to_thread(_open_in, self.folder, name)

    async def _fill(self, file: IO[bytes], pieces: AsyncIterable[bytes]) -> None:
        total, waiting = 0, bytearray()
        async for piece in pieces:
            total += len(piece)
            self.check_size(total)
            waiting += piece
            if len(waiting) >= WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
        await asyncio.to_thread(file.flush)
        if not total:
            raise BadInput("There is no sound file in the request")


def _nameless(folder: Path) -> IO[bytes]:
    # O_TMPFILE where the file system has it: not even kill -9 leaves anything behind.
    return tempfile.TemporaryFile(dir=folder)


def _open_in(folder: Path, name: str) -> IO[bytes]:
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # A link could lead anywhere, and a pipe would make us wait.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            found = os.open(name, flags, dir_fd=inside)
        finally:
            os.close(inside)
    except (OSError, ValueError):
        raise NotFound("There is no such file among the announcements") from None
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)  # a folder would stay open when it cannot be made a file
        raise NotFound("There is no such file among the announcements")
    return os.fdopen(found, "rb")


def _lost(error: OSError) -> StoreLost:
    return StoreLost(f"The sound file cannot be kept: {error.strerror}")
