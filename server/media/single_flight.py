"""One piece of work for everybody who asks for the same at once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from mixer.types import Spawn

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SingleFlight(Generic[Key, Value]):
    """Runs work in a task of its own, so that a caller who leaves takes nobody's answer along."""

    def __init__(self, spawn: Spawn, *, name: str) -> None:
        self._spawn = spawn
        self._name = name
        self._flying: dict[Key, asyncio.Future[Value]] = {}

    async def do(self, key: Key, work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return (or raise) what the work for `key` does; it is started if none is under way."""
        answer = self._flying.get(key)
        if answer is None:
            answer = asyncio.get_running_loop().create_future()
            self._spawn(self._fly(key, answer, work), name=self._name)
            self._flying[key] = answer
        return await asyncio.shield(answer)

    async def _fly(
        self,
        key: Key,
        answer: asyncio.Future[Value],
        work: Callable[[], Coroutine[Any, Any, Value]],
    ) -> None:
        try:
            answer.set_result(await work())
        except Exception as error:  # noqa: BLE001 - it is the callers' to deal with
            answer.set_exception(error)
            answer.exception()  # counts as seen even if all callers left
        finally:
            del self._flying[key]
            answer.cancel()  # only if we were cancelled ourselves
