"""PINs of rooms, and who may try one."""

import math
from collections.abc import Callable
from typing import Final

from server.domain.address import one_caller
from server.domain.lockout import Lockouts
from server.domain.room import Room
from server.errors import PinLocked, WrongPin
from server.services.keyring import is_same

# A household mistypes less often, and of a million PINs of digits ten are nothing.
PIN_TRIES: Final = 10


class PinGuard:
    """Compares PINs; wrong ones lock the address out of that room, longer each time.

    Other addresses are not locked out with it, or anybody could close a room to everybody.
    """

    def __init__(self, tries: int, now: Callable[[], float]) -> None:
        self._lockouts = Lockouts(tries)
        self._now = now

    def let_try(self, tries: int) -> None:
        """Let so many wrong ones pass from now on; who is locked out stays so."""
        self._lockouts.free = tries

    def check(self, room: Room, shown: str, address: str) -> None:
        """Raise WrongPin, or PinLocked, unless `shown` is the room's PIN or it has none.

        While an address is locked out its tries are not compared, the right one neither. No PIN at
        all is no try.
        """
        if not room.pin:
            return
        if not shown:
            raise WrongPin
        key = f"{room.id} {one_caller(address)}"
        now = self._now()
        wait_s = self._lockouts.wait_s(key, now)
        if wait_s:
            raise PinLocked(math.ceil(1000 * wait_s))
        if not is_same(shown, room.pin):
            self._lockouts.miss(key, now)
            raise WrongPin
