"""Resume tokens (`jtoken`): what a person comes back with after a lost socket."""

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mixer.types import RoomId
from server.domain.identity import UserId

MAX_CHARS: Final = 256  # ours have at most 98
NONCE_BYTES: Final = 12  # NIST SP 800-38D §8.2.2; random, good for 2^32 tokens of one key
_EXPIRY_BYTES: Final = 8
_PURPOSE: Final = b"roomtone resume 1"


class ResumeTokens:
    """Seals a ticket for one person in one room, and opens it for nobody else.

    AES-256-GCM with room and person as associated data: a token says nothing to its holder, and is
    no token at all elsewhere. That a ticket is good once is for whoever keeps the tickets to see
    to. `unix` is Unix seconds.
    """

    def __init__(self, secret: bytes, unix: Callable[[], float], ttl_s: int) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
        self._cipher = AESGCM(key)
        self._unix = unix
        self._ttl_s = ttl_s

    def seal(self, room: RoomId, user: UserId, ticket: str) -> str:
        """Return a token for `ticket` (hex digits)."""
        expires = int(self._unix()) + self._ttl_s
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = expires.to_bytes(_EXPIRY_BYTES) + bytes.fromhex(ticket)
        sealed = nonce + self._cipher.encrypt(nonce, text, _about(room, user))
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, token: str, room: RoomId, user: UserId) -> str:
        """Return the ticket; empty if the token is none, is over, or another's."""
        if len(token) > MAX_CHARS or not token.isascii():
            return ""
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            opened = self._cipher.decrypt(nonce, text, _about(room, user))
        except (binascii.Error, ValueError, InvalidTag):
            return ""
        expires = int.from_bytes(opened[:_EXPIRY_BYTES])
        return opened[_EXPIRY_BYTES:].hex() if expires > self._unix() else ""


def _about(room: RoomId, user: UserId) -> bytes:
    return f"{room}/{user}".encode()
