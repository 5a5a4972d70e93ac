"""One source, many readers: each has a bounded ring, and who is too slow goes on with now."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

MOST: Final = 32  # pieces a reader may be behind: ten seconds
BURST: Final = 6  # pieces of the past for who comes: two seconds, so that a player begins at once

T = TypeVar("T")


class Tap(Generic[T]):
    """What one reader has yet to take; when it is full everything but the newest goes."""

    def __init__(self, before: Iterator[T] | deque[T]) -> None:
        self.skipped = 0
        self._ring = deque(before)
        self._came = asyncio.Event()
        self.is_over = False

    def push(self, piece: T) -> int:
        """Give the reader a piece; return how many were skipped for it. Never blocks."""
        skipped = 0
        if len(self._ring) >= MOST:
            while len(self._ring) >= BURST:
                self._ring.popleft()
                skipped += 1
        self._ring.append(piece)
        self.skipped += skipped
        self._came.set()
        return skipped

    def end(self) -> None:
        """Let the reader come to the end."""
        self.is_over = True
        self._came.set()

    def cut(self) -> None:
        """Let the reader come to the end now, without what they have yet to take."""
        self._ring.clear()
        self.end()

    async def next(self) -> T | None:
        """Return the next piece when it is there, None at the end."""
        while not self._ring:
            if self.is_over:
                return None
            self._came.clear()
            await self._came.wait()
        return self._ring.popleft()


class Fan(Generic[T]):
    """Gives everything that is published to all taps that are open."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._recent: deque[T] = deque(maxlen=BURST)
        self._taps: set[Tap[T]] = set()
        self.is_over = False

    def __len__(self) -> int:
        return len(self._taps)

    def publish(self, piece: T) -> None:
        """Give a piece to everybody."""
        self._recent.append(piece)
        for tap in self._taps:
            self._counters["radio_skipped_total"] += tap.push(piece)

    def end(self) -> None:
        """Let everybody come to the end."""
        self.is_over = True
        for tap in self._taps:
            tap.end()

    @contextmanager
    def open(self, *, burst: bool) -> Iterator[Tap[T]]:
        """Open a tap; with `burst` it begins with the last two seconds."""
        tap: Tap[T] = Tap(self._recent if burst else deque())
        if self.is_over:
            tap.end()
        self._taps.add(tap)
        try:
            yield tap
        finally:
            self._taps.discard(tap)
