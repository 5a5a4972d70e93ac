"""The marks of modules: what an operator says of a mixer, for whoever places rooms."""

import json

from server.ports import StateStore


class Marks:
    """Marks in the store, under the keys of the system we replace."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def put(self, kind: str, name: str, label: str, ttl_s: int) -> None:
        """Mark a module, for `ttl_s` seconds or (0) for good. Raises StoreLost."""
        lease = await self._store.lease(ttl_s) if ttl_s else None
        value = json.dumps({"label": label}).encode()
        await self._store.commit(put={_key(kind, name): value}, lease=lease)

    async def remove(self, kind: str, name: str) -> None:
        """Take a mark away, if there is one. Raises StoreLost."""
        await self._store.commit(delete=[_key(kind, name)])


def _key(kind: str, name: str) -> str:
    return f"/{kind}/{name}/mark"
