"""What waits for a recording's thread: bounded, should the disk hang."""

import threading
from collections import deque
from collections.abc import Callable

OWN_BYTES = 2 << 20  # which no other can take: one that is written in time never has more

Step = Callable[[], None]


class Allowance:
    """So many bytes that all inboxes of a process may hold beside what is their own."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> bool:
        """Take so many if they are left; whether they were."""
        with self._lock:
            is_left = size_bytes <= self._left
            self._left -= size_bytes * is_left
            return is_left

    def give(self, size_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += size_bytes


class Inbox:
    """Steps in the order in which they came: those with a size up to so many bytes in all."""

    def __init__(self, max_bytes: int, allowance: Allowance) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._allowance = allowance
        self._waiting: deque[tuple[int, Step]] = deque()  # by its bytes, and what is put is little
        self._is_closed = False
        self._came = threading.Condition()

    def put(self, step: Step) -> None:
        """Take a step of which the caller knows that there are few."""
        with self._came:
            self._add(0, step)

    def offer(self, step: Step, size_bytes: int) -> bool:
        """Take a step if there is room for it; whether there was."""
        with self._came:
            if self._is_closed:
                return True
            after = self._bytes + size_bytes
            if after > self._max_bytes:
                return False
            if not self._allowance.take(_beyond(after) - _beyond(self._bytes)):
                return False
            self._bytes = after
            self._add(size_bytes, step)
            return True

    def _add(self, size_bytes: int, step: Step) -> None:
        if not self._is_closed:
            self._waiting.append((size_bytes, step))
            self._came.notify()

    def take(self) -> Step:
        """Wait for the next step."""
        with self._came:
            while not self._waiting:
                self._came.wait()
            size_bytes, step = self._waiting.popleft()
            after = self._bytes - size_bytes
            self._allowance.give(_beyond(self._bytes) - _beyond(after))
            self._bytes = after
            return step

    def close(self) -> None:
        """Drop what waits, and whatever comes: nobody takes it."""
        with self._came:
            self._is_closed = True
            self._allowance.give(_beyond(self._bytes))
            self._bytes = 0
            self._waiting.clear()


def _beyond(size_bytes: int) -> int:
    return max(0, size_bytes - OWN_BYTES)


class Gap:
    """Ticks that found no room, one behind the other, until somebody notes how many there were."""

    def __init__(self) -> None:
        self._ticks = 1
        self._is_noted = False
        self._lock = threading.Lock()

    def grow(self) -> bool:
        """Count another; False once it is noted: then that is another gap."""
        with self._lock:
            self._ticks += not self._is_noted
            return not self._is_noted

    def note(self) -> int:
        """Return how many there were; no more are counted."""
        with self._lock:
            self._is_noted = True
            return self._ticks
