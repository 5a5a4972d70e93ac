"""The forms of the identifiers and secrets people type or pass on."""

import re
from typing import Final, NewType

from mixer.types import RoomId

UserId = NewType("UserId", str)

_ROOM_ID: Final = re.compile(r"[A-Za-z0-9_-]{3,32}")
_UUID4: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PIN: Final = re.compile(r"[A-Za-z0-9]{6}")

# The same for those who read patterns, such as JSON Schema.
ROOM_ID_PATTERN: Final = f"^{_ROOM_ID.pattern}$"
USER_ID_PATTERN: Final = f"^{_UUID4.pattern}$"
NEW_PIN_PATTERN: Final = f"^({_PIN.pattern})?$"


def room_id(text: str) -> RoomId | None:
    """Return `text` as a room id, None if it cannot be one."""
    return RoomId(text) if _ROOM_ID.fullmatch(text) else None


def user_id(text: str) -> UserId | None:
    """Return `text` as a user id (a lower-case UUID version 4), None if it cannot be one."""
    return UserId(text) if _UUID4.fullmatch(text) else None


def is_pin(text: str) -> bool:
    """Whether `text` is six ASCII letters or digits."""
    return _PIN.fullmatch(text) is not None
