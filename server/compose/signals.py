"""What signals do to a server: SIGTERM drains, SIGINT or a second one ends, SIGHUP reloads."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from server.edge.context import Context

log = structlog.get_logger(__name__)


class Signals:
    """Notes signals from `caught` on; `reload` is what SIGHUP does, once there is something."""

    def __init__(self) -> None:
        self.reload: Callable[[], object] = _nothing
        self._drain = asyncio.Event()
        self._end = asyncio.Event()

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals of this process for the length of the context."""
        loop = asyncio.get_running_loop()
        takers = {
            signal.SIGINT: self.interrupt,
            signal.SIGTERM: self.terminate,
            signal.SIGHUP: self.hang_up,
        }
        for number, taker in takers.items():
            loop.add_signal_handler(number, taker)
        try:
            yield
        finally:
            for number in takers:
                loop.remove_signal_handler(number)

    def interrupt(self) -> None:
        """End now."""
        self._drain.set()
        self._end.set()

    def terminate(self) -> None:
        """Drain; the second time, end now."""
        if self._drain.is_set():
            self._end.set()
        self._drain.set()

    def hang_up(self) -> None:
        """Read the settings again."""
        self.reload()

    async def wait_end(self, context: Context | None) -> None:
        """Wait for the first signal, then drain until that is over or another one comes."""
        await self._drain.wait()
        if context is None:  # a server without people
            return
        drain_s = context.settings.drain_s
        if self._end.is_set() or not drain_s or not context.presence.total:
            return
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(context.drain.run(drain_s), name="drain")
            ended = group.create_task(self._end.wait(), name="second signal")
            await asyncio.wait((drained, ended), return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
            ended.cancel()


def _nothing() -> None:
    log.info("not_yet_serving")
