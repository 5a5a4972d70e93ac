"""The one-shot join tokens that were used, remembered until they run out."""

from dataclasses import dataclass

from server.errors import BadToken, TooMany
from server.ports import Conflict, StateStore
from server.services.clock import Clock

PREFIX = "/spent/"
# About 15 MB. Each costs a token we gave out, so only whoever may mint gets near it.
MOST_SPENT = 100_000


@dataclass(frozen=True, slots=True)
class Spent:
    """Compare-and-set in the store, so that no second process and no restart takes one twice."""

    store: StateStore
    clock: Clock
    _until: dict[str, int]

    @classmethod
    def over(cls, store: StateStore, clock: Clock) -> "Spent":
        """Return what is kept in that store; `load` comes before the first use."""
        return cls(store, clock, {})

    def __len__(self) -> int:
        return len(self._until)

    async def load(self) -> None:
        """Read what was spent in a former life. Raises StoreLost."""
        for record in (await self.store.scan(PREFIX)).records:
            until = record.value.decode("ascii", "replace")
            self._until[record.key.removeprefix(PREFIX)] = int(until) if until.isdigit() else 0

    def is_spent(self, jti: str) -> bool:
        """Whether that token was used."""
        return jti in self._until

    async def spend(self, jti: str, expires_at: int) -> None:
        """Use a token up. Raises BadToken if it was used before, TooMany, StoreLost."""
        if len(self._until) >= MOST_SPENT:
            raise TooMany("Too many one-time tokens are in use: try later")
        if self.is_spent(jti):
            raise BadToken(USED)
        key = PREFIX + jti
        answer = await self.store.commit(require={key: 0}, put={key: str(expires_at).encode()})
        if isinstance(answer, Conflict):
            raise BadToken(USED)
        self._until[jti] = expires_at

    async def forget(self) -> None:
        """Forget those that have run out, and are refused for that. Raises StoreLost."""
        now = self.clock.unix()
        over = [jti for jti, until in self._until.items() if until <= now]
        if over:
            await self.store.commit(delete=[PREFIX + jti for jti in over])
            for jti in over:
                self._until.pop(jti, None)


USED = "This token was good for one time and has been used: ask for a new one"
