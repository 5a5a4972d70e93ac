"""Hold music for the rooms of a broadcast process: each file made into a loop once."""

import asyncio
import json
import os
import signal
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import structlog

from hls.errors import BadSound
from hls.loop import Loop, read_loop
from hls.pipeline import Broadcaster
from hls.types import LoopSpec
from server.media.child import program
from server.media.environment import worker_environment
from server.media.loop_worker import REFUSED
from server.media.wire import LoopSettings

log = structlog.get_logger(__name__)

LOOK_S: Final = 60.0  # how often a file that was no good, or was replaced, is looked at again
MAKE_S: Final = 600.0
_MAX_SENTENCE: Final = 300


@dataclass(frozen=True, slots=True)
class _Mark:
    """What tells a file from one that took its place."""

    inode: int
    size: int
    changed_ns: int


class LoopKeeper:
    """Makes what rooms want to play, in processes of their own, one after the other.

    What cannot be made is silence; it is logged, counted, and tried again when the file is another,
    or after a minute.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        folder: Path,
        now_tick: Callable[[], int],
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        """Keep loops in files without names in `folder`."""
        self.counters: Counter[str] = Counter(hold_loops_made=0, hold_loops_failed=0)
        self._broadcaster = broadcaster
        self._folder = folder
        self._now_tick = now_tick
        self._command = command or program()
        self._made: dict[LoopSpec, _Mark | None] = {}
        self._failed: dict[LoopSpec, _Mark | None] = {}
        self._changed = asyncio.Event()

    def look(self) -> None:
        """Something is wanted that may not be here."""
        self._changed.set()

    async def run(self) -> None:
        """Make whatever is wanted, for ever."""
        while True:
            is_time = False
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            except TimeoutError:
                is_time = True
            self._changed.clear()
            await self.work(tries_again=is_time)

    async def work(self, *, tries_again: bool = False) -> None:
        """Make what is wanted and not here as its file is now."""
        wanted = self._broadcaster.loops()
        self._failed = {loop: mark for loop, mark in self._failed.items() if loop in wanted}
        self._made = {loop: at for loop, at in self._made.items() if self._broadcaster.plays(loop)}
        for loop in sorted(wanted, key=lambda one: one.path):
            mark = await asyncio.to_thread(_mark, loop.path)
            is_here = loop in self._made and mark in (None, self._made[loop])
            has_failed = loop in self._failed and mark == self._failed[loop]
            if not is_here and (tries_again or not has_failed):
                await self._make(loop, mark, is_new=not has_failed)

    async def _make(self, loop: LoopSpec, mark: _Mark | None, *, is_new: bool) -> None:
        try:
            music = await self._music(loop, mark)
        except (BadSound, OSError) as error:
            self._failed[loop] = mark
            self.counters["hold_loops_failed"] += 1
            if is_new:
                log.warning("hold_music_failed", file=Path(loop.path).name, reason=str(error))
            return
        self._failed.pop(loop, None)
        self._made[loop] = mark
        self.counters["hold_loops_made"] += 1
        log.info("hold_music_made", file=Path(loop.path).name, frames=music.frames)
        self._broadcaster.play(loop, music, self._now_tick())

    async def _music(self, loop: LoopSpec, mark: _Mark | None) -> Loop:
        """Raises BadSound, OSError."""
        if mark is None:
            raise BadSound("The file is not there, or may not be looked at.")
        file = await asyncio.to_thread(_nameless, self._folder)
        try:
            await self._write(loop, file)
            return await asyncio.to_thread(read_loop, file)
        finally:
            file.close()

    async def _write(self, loop: LoopSpec, file: IO[bytes]) -> None:
        settings = LoopSettings(loop=loop, loop_fd=file.fileno())
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "worker",
            "loop",
            json.dumps(settings.model_dump(mode="json")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[file.fileno()],
            env=worker_environment(),
            start_new_session=True,
        )
        assert process.stdout is not None, "it was asked for"
        try:
            async with asyncio.timeout(MAKE_S):
                said = await _sentence(process.stdout)
                status = await process.wait()
        except TimeoutError:
            raise BadSound("It takes too long to decode.") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                await process.communicate()  # its end is behind all that it said
        if status == REFUSED:
            raise BadSound(said.decode(errors="replace"))
        if status:
            raise BadSound(_cause(status))


async def _sentence(said: asyncio.StreamReader) -> bytes:
    """Return what a process says before it ends, and no more than a sentence has."""
    try:
        return await said.readexactly(_MAX_SENTENCE)  # `read` returns what is there first
    except asyncio.IncompleteReadError as all_of_it:
        return all_of_it.partial


def _cause(status: int) -> str:
    if status == -signal.SIGALRM:
        return "It takes too long to decode."
    if status in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "It takes more computing time than hold music may."
    return f"The decoder broke on this file (status {status})."


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _mark(path: str) -> _Mark | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):  # a pipe would make us wait
        return None
    return _Mark(found.st_ino, found.st_size, found.st_mtime_ns)
