"""The folder of recordings as services ask it: a disk that hangs keeps nobody for long."""

import asyncio
import errno
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, TypeVar

from mixer.types import RoomId
from server.domain.recording import Recording
from server.errors import StoreLost
from server.ports import RecordingArchive
from server.services.clock import Clock

THREADS: Final = 2  # of our own: hung, they are not those that others wait for
ANSWER_S: Final = 10.0  # a disk of a network that comes back has answered by then
SETTLED_S: Final = 60.0  # after its end nothing is written to a recording any more
A_LOOK: Final = 50  # recordings: a hundred thousand files are no look, but one of many

_HANGS: Final = "the disk does not answer"
_SETTLED_MOST: Final = 100_000  # sizes: 10 MB

T = TypeVar("T")


class Storage:
    """An archive, whose calls wait for a disk, for those who must not.

    Two calls at a time, each in a thread. Nobody waits longer than 10 s; while both threads hang
    longer than that, everybody is refused at once.
    """

    def __init__(self, archive: RecordingArchive, clock: Clock) -> None:
        self.archive = archive
        self._clock = clock
        self._free = asyncio.Semaphore(THREADS)
        self._began: list[float] = []  # by the loop's clock: of the calls that run
        self._settled: dict[tuple[RoomId, str], int] = {}  # sizes that do not change any more

    async def ask(self, call: Callable[[], T]) -> T:
        """Return what a call of the archive returns. Raises StoreLost for its OSError."""
        with _lost_if("The folder of recordings cannot be read"):
            return await self._call(call)

    async def free_bytes(self) -> int:
        """Return what is left of the disk. Raises StoreLost."""
        return await self.ask(self.archive.free_bytes)

    async def is_empty(self) -> bool:
        """See RecordingArchive. Raises StoreLost."""
        return await self.ask(self.archive.is_empty)

    async def names(self, room: RoomId) -> frozenset[str]:
        """Make the folder of all, and return the names that are taken in a room's.

        Raises StoreLost.
        """

        def prepared() -> frozenset[str]:
            self.archive.prepare()
            return self.archive.names(room)

        with _lost_if("The folder of recordings cannot be made"):
            return await self._call(prepared)

    async def sizes(self, found: Sequence[Recording]) -> list[int]:
        """Return what recordings take on the disk, in bytes; pages ask every few seconds.

        Raises StoreLost.
        """
        sizes = dict(self._settled)
        unknown = [one for one in found if (one.room, one.name) not in sizes]
        for at in range(0, len(unknown), A_LOOK):
            some = unknown[at : at + A_LOOK]
            looked = await self.ask(partial(self._look, some))
            sizes |= {(one.room, one.name): size for one, size in zip(some, looked, strict=True)}
            for one, size in zip(some, looked, strict=True):
                self._settle(one, size)
        return [sizes[one.room, one.name] for one in found]

    def _look(self, found: Sequence[Recording]) -> list[int]:
        return [self.archive.size(one.room, one.name) for one in found]

    def _settle(self, one: Recording, size: int) -> None:
        """Remember a size for good; that of nothing may be that of a disk that is away."""
        if one.is_over and one.ended_at is not None and size:
            age_s = (self._clock.now() - one.ended_at).total_seconds()
            if age_s >= SETTLED_S and len(self._settled) < _SETTLED_MOST:
                self._settled[one.room, one.name] = size

    async def repair(self, one: Recording) -> float | None:
        """See RecordingArchive. Raises OSError; of these BlockingIOError while it is written."""
        return await self._call(partial(self.archive.repair, one.room, one.name))

    async def open_ones(self) -> list[tuple[RoomId, str]]:
        """See RecordingArchive. Raises StoreLost."""
        return await self.ask(self.archive.open_ones)

    async def remove(self, one: Recording) -> None:
        """Remove a recording's files. Raises StoreLost."""
        with _lost_if("The recording cannot be removed"):
            await self._call(partial(self.archive.remove, one.room, one.name))
        self._settled.pop((one.room, one.name), None)

    async def _call(self, call: Callable[[], T]) -> T:
        """Return what a call returns; one that is not waited for any more goes on in its thread.

        Raises what it raises, OSError if it does not answer.
        """
        loop = asyncio.get_running_loop()
        if len(self._began) == THREADS and loop.time() - max(self._began) >= ANSWER_S:
            raise TimeoutError(errno.ETIMEDOUT, _HANGS)
        answer: asyncio.Future[T] = loop.create_future()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._free.acquire()
                self._begin(call, answer)
                return await answer
        except TimeoutError as error:
            raise TimeoutError(errno.ETIMEDOUT, error.strerror or _HANGS) from None

    def _begin(self, call: Callable[[], T], answer: "asyncio.Future[T]") -> None:
        loop = answer.get_loop()
        began = loop.time()
        self._began.append(began)

        def end(settle: Callable[[], None]) -> None:
            self._began.remove(began)
            self._free.release()
            if not answer.done():
                settle()

        def run() -> None:
            settle: Callable[[], None]
            try:
                settle = partial(answer.set_result, call())
            except BaseException as error:  # noqa: BLE001 - whoever waits has it
                settle = partial(answer.set_exception, error)
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(end, settle)

        # A daemon: a disk that hangs must not keep the process.
        threading.Thread(target=run, name="recordings", daemon=True).start()


@contextmanager
def _lost_if(sentence: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreLost(f"{sentence}: {error.strerror}") from None
