"""The reach of a stream: how far back it is listed, and how far back it can be fetched."""

import math

from hls.core.timeline import SEGMENT_S

LEAST_LISTED = 4  # RFC 8216 §6.2.2 wants three target durations (6 s) in a live playlist
LEAST_KEPT = 4  # no longer listed, but a slow player is still fetching them


class Reach:
    """Which of the complete segments are listed, and which are here. Neither ever goes back.

    What left a playlist is kept as long as that was, and a segment more (RFC 8216 §6.2.2), as far
    as memory goes; of longer windows LEAST_KEPT.
    """

    def __init__(self, memory_segments: int, *, has_disk: bool) -> None:
        """Let there be `memory_segments` in memory; only with a disk a window may be longer."""
        self.window_s = 0.0
        self._memory_segments = memory_segments
        self._has_disk = has_disk
        self._floor = self._first = 0

    def raise_floor(self, msn: int) -> None:
        """Let everything before segment `msn` be gone."""
        self._floor = max(self._floor, msn)

    def first_listed(self, complete: int) -> int:
        """Return the first segment of all playlists while `complete` are complete."""
        self._first = max(self._first, self._floor, complete - self._listed)
        return self._first

    def oldest(self, complete: int) -> int:
        """Return the first segment that can be fetched while `complete` are complete."""
        listed = self._listed
        kept = max(LEAST_KEPT, min(listed + 1, self._memory_segments - listed))
        return max(self._floor, complete - listed - kept)

    @property
    def _listed(self) -> int:
        wanted = max(LEAST_LISTED, math.ceil(self.window_s / SEGMENT_S - 1e-6))
        return wanted if self._has_disk else min(wanted, self._memory_segments - LEAST_KEPT)
