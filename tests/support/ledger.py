"""What a server has acknowledged: the model that a run of random steps is held against."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Record:
    """What REST says of a room; `ANY` (of unittest.mock) stands where nobody was told."""

    name: str
    pin: str
    max_anchors: int | None
    locked: bool
    join_link: str
    listen_link: str
    lines: Mapping[str, str] = field(default_factory=dict)
    """User ids of the plain RTP participants by name; names are given once."""


@dataclass(slots=True)
class Guest:
    """Somebody with a join token."""

    user: str
    token: str
    conversation: Conversation | None = None
    jtoken: str = ""
    gain_db: float | None = 0.0
    """None: a change of it was under way when the server died."""
    is_banned: bool | None = False
    """None: a ban was under way when the server died."""
    has_media: bool = False
    """A connection to the mixer may live: who loses the socket keeps the seat for a while."""
    was_seated: bool = False
    """They had a seat when the server went down, and may have it back."""
    was_kicked: bool = False
    """Since they last came in."""

    @property
    def is_seated(self) -> bool:
        return self.conversation is not None


@dataclass(slots=True)
class LedgerRoom:
    """A room that may be there. `doubts` is what it may be instead (None: gone)."""

    record: Record | None
    doubts: list[Record | None] = field(default_factory=list)
    guests: dict[str, Guest] = field(default_factory=dict)

    @property
    def sure(self) -> Record:
        """The record; asked for while nothing is in doubt."""
        assert self.record is not None, "a room in the ledger is there"
        return self.record

    @property
    def seated(self) -> list[Guest]:
        return [guest for guest in self.guests.values() if guest.is_seated]

    def change(self, **fields: Any) -> Record:
        """Return the record as it shall become."""
        return replace(self.sure, **fields)

    def refusal(self, guest: Guest, jtoken: str) -> str | None:
        """Return the code a `join` must be refused with, None if it must succeed."""
        if guest.is_seated:
            return None
        returns = bool(jtoken) and not guest.was_kicked
        if self.sure.locked and not returns:
            return "room_locked"
        limit = self.sure.max_anchors
        is_owed = returns and guest.was_seated
        if limit is not None and len(self.seated) >= limit and not is_owed:
            return "room_full"
        return None

    def settle(self, seen: Record | None) -> None:
        """Take what a restarted server shows as the truth; it must be one of what may be.

        Raises AssertionError if something acknowledged is lost, or what is gone came back.
        """
        possible = [self.record, *self.doubts]
        assert any(same(seen, one) for one in possible), f"{seen} is none of {possible}"
        self.record, self.doubts = seen, []


def same(seen: Record | None, known: Record | None) -> bool:
    """Whether what is seen is what is known, where it is known."""
    if seen is None or known is None:
        return seen is known
    return known == seen
