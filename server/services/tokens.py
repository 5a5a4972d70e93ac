"""The tokens people carry: signed, expiring, for one purpose (RFC 7519, RFC 8725)."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixer.types import RoomId
from server.domain.grants import Right, Role, effective_rights, known_rights
from server.domain.identity import UserId, room_id, user_id
from server.errors import BadToken, TokenExpired
from server.services.keyring import Keyring
from server.services.verifying import ALGORITHM, SIGNED, Audience, VerifyingKeys

__all__ = ["MAX_TOKEN_CHARS", "Audience", "Grant", "Minted", "Shared", "Signer", "Tokens"]

MAX_TOKEN_CHARS = 2048  # ours have about 600
# Players show their token with every key, and with every playlist if they cannot send headers: a
# signature takes 170 µs to verify. Only tokens of ours come in here; each takes about 2 kB.
MOST_KNOWN = 4096
CLOCK_SKEW_S = 60  # between the signing server's clock and ours
# What the reference's tokens lack in `exp`: for ever (the year 5138), so nobody compares with None.
NEVER: Final = 100_000_000_000

_NO_ROOM: Final = RoomId("")
_NOBODY: Final = UserId("")
_FOREIGN: Final = "This token was not made here, or is for something else"
_MALFORMED: Final = "This is not a token"
_FUTURE: Final = "This token is from the future: the clock here or where it was made is wrong"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says of its holder: empty where the audience needs it not.

    `pin` tells that the room's PIN was shown already. `explicit` replaces the role's grants where
    it is not None. `made` tells rooms apart that had the same id one after another; a token that is
    `once` opens one conversation only. `jti` and `expires_at` (Unix s) are the token's own.
    """

    room: RoomId = _NO_ROOM
    user: UserId = _NOBODY
    role: Role = Role.ANCHOR
    pin: bool = False
    display_name: str = ""
    explicit: frozenset[Right] | None = None
    made: str = ""
    once: bool = False
    jti: str = field(default="", compare=False)
    expires_at: int = field(default=0, compare=False)

    @property
    def rights(self) -> frozenset[Right]:
        """What the holder may do."""
        return effective_rights(self.role, self.explicit)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token; `expires_at` is aware."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, repr=False)
class Shared:
    """Secrets shared with another system whose tokens are good here too (HS256); None: none."""

    join: bytes | None = None
    listen: bytes | None = None

    def get(self, audience: Audience) -> bytes | None:
        """Return the secret of an audience."""
        return {Audience.JOIN: self.join, Audience.LISTEN: self.listen}.get(audience)


class Signer(Protocol):
    """Who holds the private keys: this process, or a signing server."""

    @property
    def verifying(self) -> VerifyingKeys:
        """The public keys; the object stays the same."""

    async def sign(self, audience: Audience, claims: dict[str, object]) -> str:
        """Return a token with these claims. Raises SigningUnavailable."""

    async def stream_key(self, room: RoomId, epoch: int, salt: str) -> bytes:
        """Return the AES-128 key of a broadcast. Raises SigningUnavailable."""

    async def rotate(self) -> None:
        """Sign with new keys from now on. Raises SigningUnavailable."""


class _Claims(BaseModel):
    """The claims as they travel; names are the reference's where it had them."""

    model_config = ConfigDict(strict=True, extra="ignore")

    exp: int
    iat: int
    jti: str = Field(min_length=1, max_length=64)
    roomId: str = ""  # noqa: N815 - the claim's name
    userId: str = ""  # noqa: N815
    role: str = Role.ANCHOR.value
    pin: bool = False
    displayName: str = ""  # noqa: N815
    grants: list[str] | None = None
    made: str = ""
    once: bool = False


class _SharedClaims(BaseModel):
    """What the reference's tokens say; it sets no `exp`, others do. Nothing else is believed."""

    model_config = ConfigDict(strict=True, extra="ignore")

    roomId: str  # noqa: N815 - the claim's name
    userId: str  # noqa: N815
    exp: int = NEVER
    iat: int = 0
    nbf: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """A token whose signature was good, by the key `kid` (None: by a secret)."""

    claims: _Claims
    grant: Grant
    kid: str | None = None


class Tokens:
    """Mints and verifies; `clock` is Unix seconds.

    The algorithm follows from where the key was found, never from the token: ES256 for a `kid`
    that we know, HS256 without one where a secret is shared, HS256 for what we sign for ourselves.
    Good signatures are remembered, the rest is looked at every time.
    """

    def __init__(
        self,
        keyring: Keyring,
        signer: Signer,
        clock: Callable[[], float],
        shared: Shared = Shared(),
    ) -> None:
        self._keyring = keyring
        self._signer = signer
        self._clock = clock
        self._shared = shared
        self._known: dict[tuple[Audience, str], _Known] = {}

    @property
    def has_endless(self) -> bool:
        """Whether tokens without an end are good here."""
        return self._shared != Shared()

    async def issue(self, audience: Audience, grant: Grant, ttl_s: int) -> Minted:
        """Return a join or listen token that is good for `ttl_s`. Raises SigningUnavailable."""
        claims, expires_at = self._claims(audience, grant, ttl_s)
        return Minted(await self._signer.sign(audience, claims), expires_at)

    def mint(self, audience: Audience, grant: Grant, ttl_s: int) -> Minted:
        """Return a token of any other kind, which is for this server alone."""
        claims, expires_at = self._claims(audience, grant, ttl_s)
        return Minted(jwt.encode(claims, self._secret(audience), algorithm="HS256"), expires_at)

    def verify(self, token: str, audience: Audience, *, lasting_s: int = 0) -> Grant:
        """Return what a token grants, for `lasting_s` from its making on if that is longer.

        Raises BadToken with a sentence that says what is wrong, TokenExpired if that is the time.
        """
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise BadToken(_MALFORMED)
        known = self._known.get((audience, token))
        if known is None:
            known = self._first_look(token, audience)
        elif not self._is_key_good(known.kid, audience):
            raise BadToken(_FOREIGN)
        claims, now = known.claims, self._clock()
        if max(claims.exp, claims.iat + lasting_s) <= now:
            raise TokenExpired
        if claims.iat > now + CLOCK_SKEW_S:
            raise BadToken(_FUTURE)
        return known.grant

    def _first_look(self, token: str, audience: Audience) -> _Known:
        """Verify the signature, and remember that it is good."""
        try:
            claims, kid = self._decode(token, audience)
        except (jwt.InvalidSignatureError, jwt.InvalidAudienceError, jwt.InvalidAlgorithmError):
            raise BadToken(_FOREIGN) from None
        except (jwt.PyJWTError, ValidationError, ValueError, RecursionError):
            raise BadToken(_MALFORMED) from None
        known = _Known(claims, Grant() if audience is Audience.ADMIN else _grant(claims), kid)
        if len(self._known) >= MOST_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[audience, token] = known
        return known

    def _is_key_good(self, kid: str | None, audience: Audience) -> bool:
        """Whether a remembered token's key would still be found (None: it is a secret)."""
        return kid is None or (
            self._signer.verifying.find(kid, audience, self._clock()) is not None
        )

    def _decode(self, token: str, audience: Audience) -> tuple[_Claims, str | None]:
        if audience not in SIGNED:
            return _read(token, self._secret(audience), "HS256", audience), None
        kid = jwt.get_unverified_header(token).get("kid")
        if kid is None and (secret := self._shared.get(audience)) is not None:
            return _read_shared(token, secret, audience), None
        found = self._signer.verifying.find(kid, audience, self._clock())
        if found is None:
            raise BadToken(_FOREIGN)
        return _read(token, found.key, ALGORITHM, audience), found.kid

    def _claims(
        self, audience: Audience, grant: Grant, ttl_s: int
    ) -> tuple[dict[str, object], datetime]:
        now = int(self._clock())
        claims: dict[str, object] = {
            "aud": audience.value,
            "iat": now,
            "exp": now + ttl_s,
            "jti": secrets.token_hex(16),
        }
        if grant.room:
            claims |= {"roomId": grant.room, "userId": grant.user, "role": grant.role.value}
        optional = {
            "pin": grant.pin,
            "displayName": grant.display_name,
            "made": grant.made,
            "once": grant.once,
        }
        claims |= {name: value for name, value in optional.items() if value}
        if grant.explicit is not None:
            claims["grants"] = sorted(grant.explicit)
        return claims, datetime.fromtimestamp(now + ttl_s, UTC)

    def _secret(self, audience: Audience) -> bytes:
        assert audience not in SIGNED, "those have key pairs"
        return self._keyring.admin


def _read(
    token: str, key: ec.EllipticCurvePublicKey | bytes, algorithm: str, audience: Audience
) -> _Claims:
    return _Claims.model_validate(_verified(token, key, algorithm, audience.value))


def _read_shared(token: str, secret: bytes, audience: Audience) -> _Claims:
    """Read a token of another system: it may leave out `aud`, but not name another one."""
    said = _verified(token, secret, "HS256", None)
    if said.get("aud", audience.value) != audience.value:
        raise BadToken(_FOREIGN)
    claims = _SharedClaims.model_validate(said)
    return _Claims(
        exp=claims.exp,
        iat=max(claims.iat, claims.nbf),
        jti="shared",
        roomId=claims.roomId,
        userId=claims.userId,
    )


def _verified(
    token: str, key: ec.EllipticCurvePublicKey | bytes, algorithm: str, audience: str | None
) -> dict[str, Any]:
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=audience,
        # Time is checked against our own clock.
        options={
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "verify_aud": audience is not None,
        },
    )


def _grant(claims: _Claims) -> Grant:
    room, user = room_id(claims.roomId), user_id(claims.userId)
    if room is None or user is None or claims.role not in set(Role):
        raise BadToken(_MALFORMED)
    return Grant(
        room=room,
        user=user,
        role=Role(claims.role),
        pin=claims.pin,
        display_name=claims.displayName,
        explicit=None if claims.grants is None else known_rights(claims.grants),
        made=claims.made,
        once=claims.once,
        jti=claims.jti,
        expires_at=claims.exp,
    )
