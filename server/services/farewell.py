"""A person's socket as the rooms see it, and why the server ends one."""

from enum import Enum
from typing import Protocol


class Farewell(Enum):
    """Why the server ends a socket."""

    LEFT = "left"
    REPLACED = "replaced by a newer connection"
    MOVED = "moved to another room"
    REVOKED = "removed from the room"
    KICKED = "taken out of the room"
    DENIED = "not let in"
    WAITED = "waited too long to be let in"
    ROOM_GONE = "the room is gone"
    STOPPING = "the server stops"


class Client(Protocol):
    """One person's socket, as seen from the rooms."""

    def push(self, text: str) -> None:
        """Send an encoded notification. Never blocks, never raises; a slow client is dropped."""

    def end(self, why: Farewell) -> None:
        """Close the socket. Never blocks, never raises."""
