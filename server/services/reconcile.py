"""What a media plane shall be brought to: the latest wanted spec of every room."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from hls.errors import HlsError
from hls.types import BroadcastSpec
from mixer.errors import MixerError
from mixer.types import RoomId, RoomSpec
from server.backoff import delays_s
from server.errors import PlaneUnavailable

log = structlog.get_logger(__name__)

Spec = TypeVar("Spec", RoomSpec, BroadcastSpec)


class Reconciler(Generic[Spec]):
    """Applies specs until the plane has taken them; only the newest of a room counts.

    The last of a room that is gone is applied in any case, before the first of another that has
    its id: or the plane would let one go on as the other, with all that is connected to it.

    `want` never waits. `settle` waits until the plane has what was wanted of one room, `run` does
    so for all of them and tries again while the plane is away.
    """

    def __init__(self, apply: Callable[[Spec], Awaitable[None]], first_version: int = 1) -> None:
        self._apply: Callable[[Spec], Awaitable[None]] = apply
        self._versions = itertools.count(first_version)
        self._closing: dict[RoomId, Callable[[], Spec]] = {}
        self._due: dict[RoomId, Callable[[], Spec]] = {}
        self._changed = asyncio.Event()
        # One at a time: whoever asks for a room that is being applied waits until it is.
        self._applying = asyncio.Lock()

    def next_version(self) -> int:
        """Return a version above all given out so far, for the spec that is wanted next."""
        return next(self._versions)

    def want(self, spec: Spec) -> None:
        """Take what the room shall be."""
        self.want_as_made(RoomId(spec.room), lambda: spec)

    def want_as_made(self, room: RoomId, make: Callable[[], Spec]) -> None:
        """Take how to make what the room shall be, with its version, when its turn comes.

        A crowd that joins at once then costs some specs of its size, not one for each of them.
        """
        self._due[room] = make
        self._changed.set()

    def close(self, spec: Spec) -> None:
        """Take the last of a room."""
        self._due.pop(RoomId(spec.room), None)
        self._closing[RoomId(spec.room)] = lambda: spec
        self._changed.set()

    def rooms_due(self) -> list[RoomId]:
        """Return the rooms of which the plane has not all that is wanted."""
        return list(self._closing | self._due)

    async def settle(self, room: RoomId) -> None:
        """Apply what is wanted of the room, if the plane has it not. Raises PlaneUnavailable."""
        async with self._applying:
            for wanted in (self._closing, self._due):
                make = wanted.get(room)
                if make is None:
                    continue
                await self._apply(make())
                if wanted.get(room) is make:  # nothing newer came meanwhile
                    del wanted[room]

    async def run(self) -> None:
        """Apply whatever is wanted, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            delays = delays_s(first_s=0.2, limit_s=2.0)
            while due := self.rooms_due():
                for room in due:
                    await self._try(room)
                if self.rooms_due():
                    await asyncio.sleep(next(delays))

    async def _try(self, room: RoomId) -> None:
        try:
            await self.settle(room)
        except PlaneUnavailable:
            log.info("apply_waits", room=room)
        except (MixerError, HlsError) as error:  # it will not be better the next time
            log.error("apply_refused", room=room, reason=str(error))  # noqa: TRY400 - expected
            wanted = self._closing if room in self._closing else self._due
            wanted.pop(room, None)
