"""What is done again and again so that nothing lingers, on tasks that do not wait for others."""

import asyncio

import structlog

from server.edge.context import Context
from server.errors import ServerError
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

SWEEP_S = 1.0
EXPIRE_EVERY = 5  # sweeps


class Housekeeping:
    """Keeps the house of one server."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def keep(self, supervisor: Supervisor) -> None:
        """Start; it ends with the supervisor."""
        _ = supervisor.keep_running(self._sweep, name="sweeps")
        _ = supervisor.keep_running(self._expire, name="rooms' ends")
        _ = supervisor.keep_running(self._tidy, name="housekeeping")
        _ = supervisor.keep_running(self._keep_recordings, name="recordings kept")

    async def _sweep(self) -> None:
        """Look after who is here, which waits for nothing."""
        context = self._context
        while True:
            await asyncio.sleep(SWEEP_S)
            context.presence.sweep()
            context.arrivals.sweep()
            context.standings.sweep()
            context.listening.listeners.sweep()
            context.listening.keys.look()
            context.endings.sweep()

    async def _expire(self) -> None:
        """Apart from the rest: a room's end may take seconds."""
        while True:
            await asyncio.sleep(SWEEP_S * EXPIRE_EVERY)
            await self._context.rooms.expire()

    async def _tidy(self) -> None:
        """Keep the store in order, as far as it is there."""
        while True:
            await asyncio.sleep(SWEEP_S * EXPIRE_EVERY)
            await self.tidy()

    async def tidy(self) -> None:
        """Do once what there is to do in the store; what fails is left for the next time."""
        context = self._context
        await context.permanent.follow(context.settings.rooms)
        for work in (
            context.listening.sessions.settle,
            context.signalling.spent.forget,
            context.keys.store_uses,
            context.desk.kicks.forget,
        ):
            try:
                await work()
            except ServerError as error:
                log.warning("housekeeping_waits", work=work.__qualname__, reason=str(error))

    async def _keep_recordings(self) -> None:
        """Apart from the rest, which must not wait for a disk that hangs."""
        while True:
            for _ in range(EXPIRE_EVERY):
                await asyncio.sleep(SWEEP_S)
                await self._context.recorder.sweep()
            await self._context.recorder.keep_space()
