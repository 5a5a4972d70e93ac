"""The in-process Bus: a bounded ring for every subscriber."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Self

BOUND = 256  # messages a reader may lag behind before it loses the oldest


class Subscription:
    """One reader's ring; iterate over it. Ends when the bus is closed."""

    def __init__(self, bound: int, forget: Callable[["Subscription"], None]) -> None:
        self._forget = forget
        self._ring: deque[bytes] = deque(maxlen=bound)  # drop="oldest"
        self._ready = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def push(self, message: bytes) -> None:
        """Take a message; the oldest goes if there is no space."""
        if len(self._ring) == self._ring.maxlen:
            self.dropped += 1
        self._ring.append(message)
        self._ready.set()

    def close(self) -> None:
        """End the iteration after what is still in the ring."""
        self._closed = True
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._ring:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._ring.popleft()

    async def aclose(self) -> None:
        """Stop reading: nothing is collected any more."""
        self._forget(self)
        self._ring.clear()
        self.close()


class LocalBus:
    """Bus inside one process."""

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._topics: defaultdict[str, list[Subscription]] = defaultdict(list)
        self._dropped_before = 0

    @property
    def dropped(self) -> int:
        """Messages that slow readers lost."""
        lost = sum(one.dropped for readers in self._topics.values() for one in readers)
        return self._dropped_before + lost

    async def publish(self, topic: str, message: bytes) -> None:
        """Hand `message` to everybody who is subscribed to `topic` now."""
        for subscription in self._topics.get(topic, ()):
            subscription.push(message)

    def subscribe(self, topic: str) -> Subscription:
        """Begin to collect messages now; read them by iterating, end with `aclose`."""
        readers = self._topics[topic]
        subscription = Subscription(self._bound, partial(self._forget, topic))
        readers.append(subscription)
        return subscription

    async def close(self) -> None:
        """End every subscription."""
        for readers in self._topics.values():
            for subscription in readers:
                subscription.close()

    def _forget(self, topic: str, subscription: Subscription) -> None:
        readers = self._topics.get(topic, [])
        if subscription in readers:
            readers.remove(subscription)
            self._dropped_before += subscription.dropped
        if not readers:
            self._topics.pop(topic, None)
