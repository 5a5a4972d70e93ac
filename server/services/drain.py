"""The end of a server that lets people finish: nobody new comes in, those inside are warned."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from mixer.types import RoomId
from server.domain.identity import UserId
from server.errors import Draining
from server.rpc.codec import Notification

log = structlog.get_logger(__name__)

LOOK_S = 0.1  # between two looks at whether everybody has left


class People(Protocol):
    """The part of the presence that a drain needs."""

    @property
    def total(self) -> int:
        """How many people there are."""

    def tell_all(self, told: Notification) -> None:
        """Tell everybody in every room."""

    def is_in(self, room: RoomId, user: UserId) -> bool:
        """Whether that person is in that room."""


class Drain:
    """Off until `begin`; from then on `check` and `check_join` refuse what would begin anew."""

    def __init__(self, people: People) -> None:
        self._people = people
        self.is_on = False

    def check(self) -> None:
        """Raise Draining if nothing new may begin."""
        if self.is_on:
            raise Draining

    def check_join(self, room: RoomId, user: UserId) -> None:
        """Raise Draining for those who are not in that room yet; those may come back."""
        if self.is_on and not self._people.is_in(room, user):
            raise Draining

    def begin(self, within_s: float) -> None:
        """Take nobody new, and tell those who are there how long they have."""
        self.is_on = True
        log.warning("draining", people=self._people.total, within_s=within_s)
        params = {"endsInMs": round(within_s * 1000)}
        self._people.tell_all(Notification("draining", params))

    async def run(self, within_s: float) -> bool:
        """Drain until nobody is left or the time is over; return whether everybody had left."""
        self.begin(within_s)
        return await self._wait_empty(asyncio.get_running_loop().time, within_s)

    async def _wait_empty(self, now: Callable[[], float], within_s: float) -> bool:
        until = now() + within_s
        # A look costs nothing, and nobody tells when the last one leaves.
        while self._people.total and now() < until:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        log.info("drained", people_left=self._people.total)
        return not self._people.total
