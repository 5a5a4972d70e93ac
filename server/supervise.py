"""Owners of tasks: the only place where tasks are born."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self

import structlog

from server.backoff import delays_s

log = structlog.get_logger(__name__)

CLOSE_GRACE_S = 5.0  # a child that needs longer to clean up is left behind, and named in the log
STEADY_S = 10.0  # a run that lasted this long was no failure to start: its backoff begins anew


class Supervisor:
    """Owns tasks and scopes: a child's failure is logged and counted and ends nobody else.

    Closing cancels the children in reverse order of birth, each waited for before the next, all
    of them within `grace_s`.
    """

    def __init__(self, name: str = "root", *, grace_s: float = CLOSE_GRACE_S) -> None:
        self.name = name
        self._grace_s = grace_s
        self._children: dict[asyncio.Task[None] | Supervisor, None] = {}  # in order of birth
        self._parent: Supervisor | None = None
        self._failures = 0
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def failures(self) -> int:
        """How many children failed so far, those of scopes included."""
        return self._failures

    def spawn(self, coro: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        """Start a child. Raises RuntimeError once the supervisor is closing.

        Await the task only to know that it ended: its failure is already dealt with here.
        """
        if self._closing:
            coro.close()
            raise RuntimeError(f"{self.name} is closing and starts no {name}")
        task = asyncio.create_task(coro, name=name)
        self._children[task] = None
        task.add_done_callback(self._bury)
        return task

    def scope(self, name: str) -> "Supervisor":
        """Return a supervisor of its own that is closed with this one at the latest."""
        if self._closing:
            raise RuntimeError(f"{self.name} is closing and opens no {name}")
        child = Supervisor(f"{self.name}/{name}", grace_s=self._grace_s)
        child._parent = self
        self._children[child] = None
        return child

    def keep_running(
        self,
        factory: Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        delays: Callable[[], Iterator[float]] = delays_s,
    ) -> asyncio.Task[None]:
        """Run `factory()` again whenever it fails or returns, after a growing delay."""
        return self.spawn(self._run_again(factory, name, delays), name=name)

    async def close(self) -> None:
        """Cancel all children and wait for them; does not raise what they raise. Idempotent."""
        self._closing = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace_s
        for child in reversed(list(self._children)):
            if isinstance(child, Supervisor):
                await child.close()
            elif child is not asyncio.current_task():
                child.cancel()
                await asyncio.wait([child], timeout=max(0.0, deadline - loop.time()))
                if not child.done():
                    log.error("task_left_behind", task=child.get_name(), supervisor=self.name)
        if self._parent is not None:
            self._parent._forget(self)  # noqa: SLF001 - one of us

    async def _run_again(
        self,
        factory: Callable[[], Coroutine[Any, Any, None]],
        name: str,
        delays: Callable[[], Iterator[float]],
    ) -> None:
        loop = asyncio.get_running_loop()
        waits = delays()
        while True:
            born = loop.time()
            try:
                await factory()
            except Exception as error:  # noqa: BLE001 - this is the supervision boundary
                self._count_failure(name, error)
            if loop.time() - born >= STEADY_S:
                waits = delays()
            await asyncio.sleep(next(waits))

    def _bury(self, task: asyncio.Task[None]) -> None:
        self._forget(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._count_failure(task.get_name(), error)

    def _forget(self, child: "asyncio.Task[None] | Supervisor") -> None:
        self._children.pop(child, None)

    def _count_failure(self, name: str, error: BaseException) -> None:
        log.error("task_failed", task=name, supervisor=self.name, exc_info=error)
        self._add_failure()

    def _add_failure(self) -> None:
        self._failures += 1
        if self._parent is not None:
            self._parent._add_failure()  # noqa: SLF001 - one of us
