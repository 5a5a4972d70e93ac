"""The listing: entries of the complete segments that a playlist names."""

from collections.abc import Callable
from dataclasses import replace

from hls.core.playlist import Entry

_TAIL = 6  # entries whose parts may still be listed, and two more


class Listing:
    """Consecutive entries; each is made once, however long it is listed."""

    def __init__(self, make: Callable[[int], Entry]) -> None:
        """Make the entry of a complete segment by `make`."""
        self._make = make
        self._entries: tuple[Entry, ...] = ()

    def follow(self, first_msn: int, end_msn: int) -> tuple[Entry, ...]:
        """Return the entries [first_msn, end_msn); neither may go back.

        The same tuple as long as they are the same. Parts are named near the end only.
        """
        entries = self._entries
        listed = range(entries[0].msn, entries[-1].msn + 1) if entries else range(0)
        if entries and (listed.start, listed.stop) == (first_msn, end_msn):
            return entries
        kept = list(entries[max(0, first_msn - listed.start) :])
        kept += [self._make(msn) for msn in range(max(first_msn, listed.stop), end_msn)]
        for at in range(len(kept) - _TAIL - 1, -1, -1):
            if not kept[at].parts:
                break
            kept[at] = replace(kept[at], parts=())
        self._entries = tuple(kept)
        return self._entries
