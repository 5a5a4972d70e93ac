"""The API keys beside the admin key: made, recognised and revoked; only their hashes are kept."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from server.domain.api_key import (
    KEY_PREFIX,
    ApiKey,
    Scope,
    decode_api_key,
    encode_api_key,
    id_of,
)
from server.errors import BadRecord, NotFound, TooMany
from server.ports import StateStore

log = structlog.get_logger(__name__)

PREFIX: Final = "/keys/"
MOST_KEYS: Final = 1000
USED_EVERY: Final = timedelta(minutes=1)  # how exact "last used" is; each is a write to disk


class ApiKeys:
    """All keys, by their id; `now` returns an aware time."""

    def __init__(self, store: StateStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._keys: dict[str, ApiKey] = {}
        self._used: dict[str, datetime] = {}  # not stored yet

    async def load(self) -> None:
        """Read all keys. Raises StoreLost. One that cannot be read is logged, and opens nothing."""
        for record in (await self._store.scan(PREFIX)).records:
            key_id = record.key.removeprefix(PREFIX)
            try:
                self._keys[key_id] = decode_api_key(key_id, record.key, record.value)
            except BadRecord as error:
                log.error("api_key_unreadable", id=key_id, reason=str(error))  # noqa: TRY400 - all

    def all(self) -> list[ApiKey]:
        """Return the keys, oldest first, with when each was used last."""
        keys = [self._with_use(key) for key in self._keys.values()]
        return sorted(keys, key=lambda key: (key.created_at, key.id))

    async def create(
        self, name: str, scopes: Collection[Scope], expires_in_s: int | None
    ) -> tuple[ApiKey, str]:
        """Make a key; return it with its text, which is not kept. Raises TooMany, StoreLost."""
        if len(self._keys) >= MOST_KEYS:
            raise TooMany(f"There are {MOST_KEYS} keys already: revoke some")
        now = self._now()
        key_id = secrets.token_hex(6)
        text = f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        expires_at = None if expires_in_s is None else now + timedelta(seconds=expires_in_s)
        key = ApiKey(key_id, name, frozenset(scopes), _digest(text), now, expires_at)
        await self._store.commit(put={PREFIX + key_id: encode_api_key(key)})
        self._keys[key_id] = key
        log.info("api_key_created", id=key_id, scopes=sorted(scopes))
        return key, text

    async def revoke(self, key_id: str) -> None:
        """Make a key worthless, at once and for good. Raises NotFound, StoreLost."""
        if key_id not in self._keys:
            raise NotFound("There is no such key")
        # Out of memory first: should the store fail, it is worthless until the next start.
        del self._keys[key_id]
        self._used.pop(key_id, None)
        await self._store.commit(delete=[PREFIX + key_id])
        log.info("api_key_revoked", id=key_id)

    def check(self, text: str) -> ApiKey | None:
        """Return the key of that text if it is good now, and note its use.

        A key's text is random, so a fast hash keeps it; comparing takes as long for a near miss as
        for any other.
        """
        key_id = id_of(text)
        key = self._keys.get(key_id or "")
        shown = _digest(text)
        if not hmac.compare_digest(shown, _NONE if key is None else key.digest) or key is None:
            return None
        now = self._now()
        if key.is_over(now):
            return None
        self._used[key.id] = now
        return key

    async def store_uses(self) -> None:
        """Write down when keys were used, as far as USED_EVERY asks for it. Raises StoreLost."""
        put = {}
        for key_id, used_at in list(self._used.items()):
            key = self._keys[key_id]
            if key.used_at is None or used_at - key.used_at >= USED_EVERY:
                self._keys[key_id] = replace(key, used_at=used_at)
                put[PREFIX + key_id] = encode_api_key(self._keys[key_id])
        if put:
            # Only what is still there: a key that was revoked must not come back.
            versions = {path: await self._version(path) for path in put}
            for path, version in versions.items():
                if version and path.removeprefix(PREFIX) in self._keys:
                    await self._store.commit(require={path: version}, put={path: put[path]})

    async def _version(self, path: str) -> int:
        record = await self._store.get(path)
        return 0 if record is None else record.version

    def _with_use(self, key: ApiKey) -> ApiKey:
        return replace(key, used_at=self._used.get(key.id, key.used_at))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


_NONE: Final = _digest("")
