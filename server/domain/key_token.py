"""What opens one key of a broadcast for one listener: short, and cheap to check."""

import base64
import hmac
import re
import struct
import uuid
from typing import Final

from server.domain.identity import UserId
from server.domain.stream import Stream

PREFIX: Final = "k2."
# How long it is good after the last segment of its epoch has left the window: a player that paused
# for a breath comes back with the playlist from before.
SLACK: Final = 32  # segments, about a minute
_MAC_BYTES: Final = 16  # 128 bits, for what opens no more than one key
_BODY: Final = struct.Struct(">16sQ")
_PACKED: Final = re.compile(r"[A-Za-z0-9_-]{54}", re.ASCII)


def make(stream: Stream, user: UserId, epoch: int) -> str:
    """Return the token that gives `user` the key of that epoch.

    It is always the same text, for it stands in playlists, where nothing may change; when it is
    over is up to who reads it.
    """
    body = _BODY.pack(uuid.UUID(user).bytes, epoch)
    return PREFIX + base64.urlsafe_b64encode(body + _mac(stream, body)).decode().rstrip("=")


def read(stream: Stream, token: str) -> tuple[UserId, int] | None:
    """Return whom and what epoch the token was made for; None if it is not of that room."""
    packed = token.removeprefix(PREFIX)
    if not token.startswith(PREFIX) or not _PACKED.fullmatch(packed):
        return None
    raw = base64.urlsafe_b64decode(packed + "==")
    body = raw[: _BODY.size]
    if not hmac.compare_digest(raw[_BODY.size :], _mac(stream, body)):
        return None
    user, epoch = _BODY.unpack(body)
    return UserId(str(uuid.UUID(bytes=user))), epoch


def is_over(stream: Stream, epoch: int, now_msn: int, listed: int) -> bool:
    """Whether the key of an epoch is needed no more, where the newest `listed` segments are."""
    end = stream.end_of(epoch)
    return end is not None and now_msn > end + listed + SLACK


def _mac(stream: Stream, body: bytes) -> bytes:
    return stream.mac(b"roomtone key token" + body)[:_MAC_BYTES]
