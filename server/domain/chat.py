"""What people of one room write to each other: the last messages, and how fast they may come."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from server.domain.identity import UserId

MAX_CHARACTERS: Final = 2000  # of one message
MAX_KEPT_CHARACTERS: Final = 64_000  # of a room's last messages together
BURST: Final = 5  # messages at once, then one each PACE_S
PACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Written:
    """One message; `at` is RFC 3339. `to` is who alone may read it, None: everybody."""

    number: int
    at: str
    author: UserId
    name: str
    text: str
    to: UserId | None = None

    def entry(self) -> dict[str, object]:
        """Return it as it travels."""
        return {
            "id": self.number,
            "at": self.at,
            "userId": self.author,
            "displayName": self.name,
            "text": self.text,
            "to": self.to,
        }


class Log:
    """A room's messages, numbered from 1 on; private ones are not kept."""

    def __init__(self) -> None:
        self._kept: deque[Written] = deque()
        self._characters = 0
        self._numbers = 0
        self._free_at: dict[UserId, float] = {}

    def wait_s(self, author: UserId, now: float) -> float:
        """Note that somebody writes at `now` (s); return how long they must wait first.

        The generic cell rate algorithm (ITU-T I.371), as for other limits.
        """
        free_at = max(now, self._free_at.get(author, now))
        wait_s = free_at - now - (BURST - 1) * PACE_S
        if wait_s > 0:
            return wait_s
        self._free_at = {one: at for one, at in self._free_at.items() if at > now}
        self._free_at[author] = free_at + PACE_S
        return 0.0

    def number(self) -> int:
        """Return the next message's number."""
        self._numbers += 1
        return self._numbers

    def keep(self, written: Written, most: int) -> None:
        """Keep a message as the last of `most`."""
        if written.to is None:
            self._kept.append(written)
            self._characters += len(written.text)
        while len(self._kept) > most or self._characters > MAX_KEPT_CHARACTERS:
            self._characters -= len(self._kept.popleft().text)

    def after(self, number: int) -> Iterable[Written]:
        """Return what is kept of the messages after that one, in order."""
        return (one for one in self._kept if one.number > number)
