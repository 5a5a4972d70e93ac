"""What opens a broadcast's keys for one listener and one epoch: short, and cheap to check."""

import base64
import hashlib
import hmac
import re
import struct
import uuid
from typing import Final

from server.domain.identity import UserId
from server.domain.stream import Stream

PREFIX: Final = "k1."
# How long it is good after the epoch it was made in: a player that paused for a breath comes back
# with the playlist from before.
SLACK: Final = 32  # segments, about a minute
LONGEST: Final = 1875  # segments, an hour: where keys are changed seldom or never
_MAC_BYTES: Final = 16  # 128 bits; the tag is looked at for an hour at most
_BODY: Final = struct.Struct(">16sQ")
_PACKED: Final = re.compile(r"[A-Za-z0-9_-]{54}", re.ASCII)


def last_msn(every: int, now_msn: int) -> int:
    """Return the last segment in which a token is good that is made at `now_msn`.

    All that are made in one epoch end together, so a listener's is the same text throughout: for
    players, another address is another key.
    """
    period = min(every, LONGEST) or LONGEST
    return (now_msn // period + 1) * period + SLACK


def make(stream: Stream, user: UserId, until_msn: int) -> str:
    """Return the token that gives `user` the keys of that room up to a segment."""
    body = _BODY.pack(uuid.UUID(user).bytes, until_msn)
    return PREFIX + base64.urlsafe_b64encode(body + _mac(stream, body)).decode().rstrip("=")


def read(stream: Stream, token: str, now_msn: int) -> UserId | None:
    """Return whom the token was made for; None if it is over, or not of that room."""
    packed = token.removeprefix(PREFIX)
    if not token.startswith(PREFIX) or not _PACKED.fullmatch(packed):
        return None
    raw = base64.urlsafe_b64decode(packed + "==")
    body = raw[: _BODY.size]
    if not hmac.compare_digest(raw[_BODY.size :], _mac(stream, body)):
        return None
    user, until_msn = _BODY.unpack(body)
    return UserId(str(uuid.UUID(bytes=user))) if now_msn <= until_msn else None


def _mac(stream: Stream, body: bytes) -> bytes:
    """Media time that starts anew counts from zero again: the base tells it apart."""
    base = struct.pack(">d", stream.base_unix_s)
    return hmac.digest(stream.secret, b"roomtone key token" + base + body, hashlib.sha256)[
        :_MAC_BYTES
    ]
