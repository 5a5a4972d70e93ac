"""The tokens people carry: signed, expiring, for one purpose (RFC 7519, HS256)."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError

from mixer.types import RoomId
from server.domain.grants import Right, Role, effective_rights, known_rights
from server.domain.identity import UserId, room_id, user_id
from server.errors import BadToken
from server.services.keyring import Keyring

MAX_TOKEN_CHARS = 2048  # ours have about 400

_NO_ROOM: Final = RoomId("")
_NOBODY: Final = UserId("")
_EXPIRED: Final = "This token has expired: ask for a new one"
_FOREIGN: Final = "This token was not made here, or is for something else"
_MALFORMED: Final = "This is not a token"


class Audience(StrEnum):
    """What a token is for; each has a signing key of its own, but `resume` shares `join`'s."""

    JOIN = "join"
    RESUME = "resume"
    LISTEN = "listen"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says of its holder: empty where the audience needs it not.

    `pin` tells that the room's PIN was shown already, `session` names the media session that a
    resume continues. `explicit` replaces the role's grants where it is not None.
    """

    room: RoomId = _NO_ROOM
    user: UserId = _NOBODY
    role: Role = Role.ANCHOR
    pin: bool = False
    session: str = ""
    display_name: str = ""
    explicit: frozenset[Right] | None = None

    @property
    def rights(self) -> frozenset[Right]:
        """What the holder may do."""
        return effective_rights(self.role, self.explicit)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token; `expires_at` is aware."""

    token: str
    expires_at: datetime


class _Claims(BaseModel):
    """The claims as they travel; names are the reference's where it had them."""

    model_config = ConfigDict(strict=True, extra="ignore")

    exp: int
    iat: int
    jti: str
    roomId: str = ""  # noqa: N815 - the claim's name
    userId: str = ""  # noqa: N815
    role: str = Role.ANCHOR.value
    pin: bool = False
    session: str = ""
    displayName: str = ""  # noqa: N815
    grants: list[str] | None = None


class Tokens:
    """Mints and verifies; `clock` is Unix seconds."""

    def __init__(self, keyring: Keyring, clock: Callable[[], float]) -> None:
        self._keyring = keyring
        self._clock = clock

    def mint(self, audience: Audience, grant: Grant, ttl_s: int) -> Minted:
        """Return a token for `grant` that is good for `ttl_s`."""
        now = int(self._clock())
        claims: dict[str, Any] = {
            "aud": audience.value,
            "iat": now,
            "exp": now + ttl_s,
            "jti": secrets.token_hex(16),
        }
        if grant.room:
            claims |= {"roomId": grant.room, "userId": grant.user, "role": grant.role.value}
        if grant.pin:
            claims["pin"] = True
        if grant.session:
            claims["session"] = grant.session
        if grant.display_name:
            claims["displayName"] = grant.display_name
        if grant.explicit is not None:
            claims["grants"] = sorted(grant.explicit)
        token = jwt.encode(claims, self._key(audience), algorithm="HS256")
        return Minted(token, datetime.fromtimestamp(now + ttl_s, UTC))

    def verify(self, token: str, audience: Audience) -> Grant:
        """Return what a token grants. Raises BadToken with a sentence that says what is wrong."""
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise BadToken(_MALFORMED)
        claims = self._decode(token, audience)
        if claims.exp <= self._clock():
            raise BadToken(_EXPIRED)
        if audience is Audience.ADMIN:
            return Grant()
        room, user = room_id(claims.roomId), user_id(claims.userId)
        if room is None or user is None or claims.role not in set(Role):
            raise BadToken(_MALFORMED)
        return Grant(
            room,
            user,
            Role(claims.role),
            claims.pin,
            claims.session,
            claims.displayName,
            None if claims.grants is None else known_rights(claims.grants),
        )

    def _decode(self, token: str, audience: Audience) -> _Claims:
        try:
            claims = jwt.decode(
                token,
                self._key(audience),
                algorithms=["HS256"],
                audience=audience.value,
                # Time is checked against our own clock.
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            return _Claims.model_validate(claims)
        except (jwt.InvalidSignatureError, jwt.InvalidAudienceError, jwt.InvalidAlgorithmError):
            raise BadToken(_FOREIGN) from None
        except (jwt.PyJWTError, ValidationError, ValueError, RecursionError):
            raise BadToken(_MALFORMED) from None

    def _key(self, audience: Audience) -> bytes:
        match audience:
            case Audience.JOIN | Audience.RESUME:
                return self._keyring.join
            case Audience.LISTEN:
                return self._keyring.listen
            case Audience.ADMIN:
                return self._keyring.admin
