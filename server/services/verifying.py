"""The public keys that join and listen tokens are verified with (RFC 7517)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import BadRecord

ALGORITHM: Final = "ES256"
MOST_PUBLIC: Final = 64


class Audience(StrEnum):
    """What a token is for; each has keys of its own."""

    JOIN = "join"
    LISTEN = "listen"
    ADMIN = "admin"


# Signed with a private key that may be elsewhere; the others never leave the server they are for.
SIGNED: Final = (Audience.JOIN, Audience.LISTEN)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key; `until` is when its last token runs out (Unix seconds), None if it still signs."""

    kid: str
    audience: Audience
    key: ec.EllipticCurvePublicKey
    until: int | None = None


class _Jwk(BaseModel):
    """The members of a key that we use; `aud` and `until` are ours (RFC 7517, 4: may be added)."""

    model_config = ConfigDict(strict=True)

    kid: Annotated[str, Field(min_length=1, max_length=64)]
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Annotated[str, Field(max_length=64)]
    y: Annotated[str, Field(max_length=64)]
    aud: Literal["join", "listen"]
    until: int | None = None


class _Jwks(BaseModel):
    keys: Annotated[list[_Jwk], Field(min_length=1, max_length=MOST_PUBLIC)]


class VerifyingKeys:
    """Public keys by their `kid`, replaced as a whole."""

    def __init__(self, keys: Iterable[PublicKey] = ()) -> None:
        self._keys: Mapping[str, PublicKey] = {}
        self.replace(keys)

    def replace(self, keys: Iterable[PublicKey]) -> None:
        """Know these keys and no others."""
        self._keys = {key.kid: key for key in keys}

    def find(self, kid: object, audience: Audience, now: float) -> PublicKey | None:
        """Return the key of that name if it is for that audience and not too old."""
        found = self._keys.get(kid) if isinstance(kid, str) else None
        if found is None or found.audience is not audience:
            return None
        return None if found.until is not None and found.until <= now else found

    def knows(self, kid: object) -> bool:
        """Whether there is a key of that name."""
        return kid in self._keys

    def jwks(self) -> dict[str, object]:
        """Return the keys as a JWK set."""
        shown = []
        for one in self._keys.values():
            jwk: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(one.key, as_dict=True)
            jwk |= {"kid": one.kid, "use": "sig", "alg": ALGORITHM, "aud": one.audience.value}
            if one.until is not None:
                jwk["until"] = one.until
            shown.append(jwk)
        return {"keys": shown}


def read_jwks(text: str | bytes) -> list[PublicKey]:
    """Return the keys of a JWK set as `jwks` makes them. Raises BadRecord."""
    try:
        stored = _Jwks.model_validate_json(text)
        return [_public(one) for one in stored.keys]
    except (ValidationError, ValueError, jwt.PyJWTError):
        raise BadRecord("jwks", "it is no JWK set of ours") from None


def _public(jwk: _Jwk) -> PublicKey:
    members = {"kty": jwk.kty, "crv": jwk.crv, "x": jwk.x, "y": jwk.y}
    key = jwt.algorithms.ECAlgorithm.from_jwk(members)
    assert isinstance(key, ec.EllipticCurvePublicKey), "without a member d it is public"
    return PublicKey(jwk.kid, Audience(jwk.aud), key, jwk.until)
