"""Which packets of a stream are new, by their sequence numbers (RFC 3550 A.1)."""

from enum import Enum

from mixer.core.sequence import distance, extend

MAX_MISORDER = 100  # RFC 3550 A.1: an older number is late up to here, suspicious beyond

_SEEN_BITS = 128  # how far back duplicates are told from late packets: beyond MAX_MISORDER
_SEEN_MASK = (1 << _SEEN_BITS) - 1


class Refused(Enum):
    """Why a packet is not taken."""

    DUPLICATE = "duplicate"
    STRAY = "stray"  # far behind, alone so far
    RESTARTED = "restarted"  # the second in order far behind: forget the stream, ask again


class Admission:
    """Extends sequence numbers, and knows those it has seen."""

    __slots__ = ("_seen", "_suspect", "highest")

    highest: int | None
    """The highest extended number so far; None before the first."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.highest = None
        self._seen = 0  # bit n: the packet n before the highest was here
        self._suspect: int | None = None  # a sequence number too old to be merely late

    def admit(self, number: int) -> int | Refused:
        """Return the extended number of a new packet, or why it is none."""
        highest = self.highest
        if highest is None:
            # A circle up, so that what was sent before it has positive numbers.
            self.highest = number + (1 << 16)
            self._seen = 1
            return self.highest
        sequence = extend(number, highest)
        behind = highest - sequence
        if behind < 0:
            self.highest = sequence
            self._seen = (self._seen << min(-behind, _SEEN_BITS) | 1) & _SEEN_MASK
            self._suspect = None
            return sequence
        if behind > MAX_MISORDER:
            return self._suspect_restart(number)
        if self._seen >> behind & 1:
            return Refused.DUPLICATE
        self._seen |= 1 << behind
        return sequence

    def _suspect_restart(self, number: int) -> Refused:
        is_second = self._suspect is not None and distance(number, self._suspect) == 1
        self._suspect = number
        return Refused.RESTARTED if is_second else Refused.STRAY
