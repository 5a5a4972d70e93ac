"""What a person may do in a room: grants, and which of them each role has."""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final

from server.errors import NotGranted


class Role(StrEnum):
    """What a person is in a room; a token may say otherwise in single grants."""

    HOST = "host"
    ANCHOR = "anchor"
    GUEST = "guest"
    LISTENER = "listener"


class Right(StrEnum):
    """One thing a person may do. What concerns only themselves (mute, leave) needs none."""

    SPEAK = "speak"
    LISTEN = "listen"
    CHAT = "chat"
    MUTE = "mute"  # others, and ask them to unmute
    MIX = "mix"  # volume, pan and bus of others
    ADMIT = "admit"  # from the lobby, and from listening to the stage
    KICK = "kick"  # and ban
    MOVE = "move"  # others to another room
    MANAGE = "manage"  # the room: name, PIN, limits, lock
    RECORD = "record"
    BROADCAST = "broadcast"  # on and off


_ANYBODY: Final = frozenset({Right.LISTEN, Right.CHAT})
_ON_STAGE: Final = _ANYBODY | {Right.SPEAK}
DEFAULT_RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.HOST: frozenset(Right),
    Role.ANCHOR: _ON_STAGE | {Right.MUTE},
    Role.GUEST: _ON_STAGE,
    Role.LISTENER: _ANYBODY,
}


def effective_rights(role: Role, explicit: Collection[Right] | None = None) -> frozenset[Right]:
    """Return what was granted explicitly, or the role's defaults if nothing was (None)."""
    return DEFAULT_RIGHTS[role] if explicit is None else frozenset(explicit)


def known_rights(names: Iterable[str]) -> frozenset[Right]:
    """Return the rights among `names`; what a newer server granted is no right here."""
    return frozenset(right for right in Right if right.value in set(names))


def require_right(rights: Collection[Right], right: Right) -> None:
    """Raise NotGranted, which names the right, unless it is among `rights`."""
    if right not in rights:
        raise NotGranted(right.value)
