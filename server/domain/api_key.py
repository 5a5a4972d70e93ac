"""An API key: what it may do, and as what it is stored."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import BadRecord

KEY_PREFIX: Final = "rt_"
_KEY: Final = re.compile(r"rt_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """One part of the API."""

    ROOMS_READ = "rooms:read"
    ROOMS_WRITE = "rooms:write"
    PEOPLE = "people"  # let in without an invite, and take out
    BROADCAST = "broadcast"  # listen tokens without an invite
    CAPTIONS = "captions"  # what listeners can read
    LINES = "lines"  # plain RTP and RTMP outputs
    ANNOUNCEMENTS = "announcements"
    RECORDINGS = "recordings"
    WEBHOOKS = "webhooks"
    METRICS = "metrics"
    KEYS = "keys"  # make, list and revoke keys of no more scopes; renew the signing keys


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; `digest` is the SHA-256 of its text, times are aware."""

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether its time is over at `now` (aware)."""
        return self.expires_at is not None and self.expires_at <= now


def id_of(text: str) -> str | None:
    """Return the id in a key's text, None if it is not of that form."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def missing(wanted: Collection[Scope], held: Collection[Scope]) -> list[Scope]:
    """Return the scopes that are wanted and not held, in their order."""
    return [scope for scope in Scope if scope in wanted and scope not in held]


class _Stored(BaseModel):
    """`/keys/<id>`."""

    model_config = ConfigDict(strict=True)

    version: Annotated[int, Field(le=1)] = 1
    name: Annotated[str, Field(max_length=80)]
    scopes: list[str]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    createdAt: Annotated[datetime, Field(strict=False)]  # noqa: N815 - the stored name
    expiresAt: Annotated[datetime | None, Field(strict=False)] = None  # noqa: N815
    usedAt: Annotated[datetime | None, Field(strict=False)] = None  # noqa: N815


def encode_api_key(key: ApiKey) -> bytes:
    """Return the JSON that is stored."""
    return (
        _Stored(
            name=key.name,
            scopes=sorted(key.scopes),
            sha256=key.digest,
            createdAt=key.created_at,
            expiresAt=key.expires_at,
            usedAt=key.used_at,
        )
        .model_dump_json()
        .encode()
    )


def decode_api_key(key_id: str, path: str, value: bytes) -> ApiKey:
    """Read what `encode_api_key` wrote at `path`; unknown scopes give nothing. Raises BadRecord."""
    try:
        stored = _Stored.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(path, f"{error.error_count()} wrong fields") from None
    times = (stored.createdAt, stored.expiresAt, stored.usedAt)
    if any(time is not None and time.tzinfo is None for time in times):
        raise BadRecord(path, "a time has no time zone")
    scopes = frozenset(scope for scope in Scope if scope.value in stored.scopes)
    return ApiKey(key_id, stored.name, scopes, stored.sha256, *times)
