"""The end of a server that lets people finish."""

import asyncio

import pytest

from mixer.types import RoomId
from server.domain.identity import UserId
from server.errors import Draining
from server.rpc.codec import Notification
from server.services.drain import Drain
from tests.support.virtual_time import VirtualLoop, run_virtually

ROOM = RoomId("demo")
ANN, BOB = UserId("ann"), UserId("bob")


class People:
    """Some people, who hear what they are told."""

    def __init__(self, *users: UserId) -> None:
        self.users = set(users)
        self.heard: list[Notification] = []

    @property
    def total(self) -> int:
        return len(self.users)

    def tell_all(self, told: Notification) -> None:
        self.heard.append(told)

    def is_in(self, room: RoomId, user: UserId) -> bool:
        return room == ROOM and user in self.users


def test_nobody_new() -> None:
    """Nothing new begins; who was inside may come back."""
    people = People(ANN)
    drain = Drain(people)
    drain.check()
    drain.check_join(ROOM, BOB)
    drain.begin(5.0)
    with pytest.raises(Draining):
        drain.check()
    with pytest.raises(Draining):
        drain.check_join(ROOM, BOB)
    drain.check_join(ROOM, ANN)
    assert people.heard == [Notification("draining", {"endsInMs": 5000})]


@pytest.mark.parametrize(
    ("leaves_at", "ends_at", "is_empty"), [(2.0, 2.0, True), (9.0, 5.0, False)]
)
def test_ends(leaves_at: float, ends_at: float, *, is_empty: bool) -> None:
    """It ends when the last one leaves, or when the time is over."""
    loop = VirtualLoop()
    people = People(ANN)

    async def drain() -> bool:
        loop.call_later(leaves_at, people.users.clear)
        return await Drain(people).run(5.0)

    began = loop.time()

    async def timed() -> tuple[bool, float]:
        return await drain(), asyncio.get_running_loop().time() - began

    empty, took = run_virtually(timed(), loop)
    assert empty is is_empty
    assert took == pytest.approx(ends_at, abs=0.2)
