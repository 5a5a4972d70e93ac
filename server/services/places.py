"""Places of streams that do not end: so many for each room and address, and for all."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mixer.types import RoomId
from server.errors import RadioFull

MOST: Final = 2000  # of the server: each is a connection that never ends, and 16 kB/s
# Who listens to a radio does so for minutes at least; a crowd shall not come again in step.
RETRY_MS: Final = (20_000, 40_000)


class Places:
    """Counts who holds a place; `seed` spreads the waits of those who find none."""

    def __init__(self, of_room: int, of_address: int, seed: int | None = None) -> None:
        """Give so many places for each room and for each address, 0 = any number."""
        self.refused = 0
        self._draw = random.Random(seed)  # noqa: S311 - spreads callers, protects nothing
        self._rooms: Counter[RoomId] = Counter()
        self._addresses: Counter[str] = Counter()
        self.change(of_room, of_address)

    def change(self, of_room: int, of_address: int) -> None:
        """Give so many from now on; nobody loses the place they have."""
        self._of_room, self._of_address = of_room, of_address

    def __len__(self) -> int:
        return self._rooms.total()

    @contextmanager
    def hold(self, room: RoomId, address: str) -> Iterator[None]:
        """Hold a place meanwhile. Raises RadioFull."""
        self._check(room, address)
        self._rooms[room] += 1
        self._addresses[address] += 1
        try:
            yield
        finally:
            self._rooms -= Counter((room,))  # which leaves no 0 behind
            self._addresses -= Counter((address,))

    def _check(self, room: RoomId, address: str) -> None:
        for taken, most, whose in (
            (self._addresses[address], self._of_address, "from your address"),
            (self._rooms[room], self._of_room, "to this room"),
            (len(self), MOST, "to this server"),
        ):
            if most and taken >= most:
                self.refused += 1
                raise RadioFull(most, whose, self._draw.randint(*RETRY_MS))
