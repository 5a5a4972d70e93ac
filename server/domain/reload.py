"""Blocking reload of playlists (RFC 8216bis §6.2.5.2): what is asked for, and how long for it."""

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from hls.core.names import Names
from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES
from hls.types import BroadcastSpec, PlaylistKind, Position
from server.errors import BadInput, FieldMistake

TARGET_S: Final = 2.0  # EXT-X-TARGETDURATION
BLOCKED_S: Final = 3 * TARGET_S  # §6.2.5.2: then 503
AHEAD_SEGMENTS: Final = 2  # §6.2.5.2: beyond the last segment of the playlist
AHEAD_S: Final = 3.0  # §6.2.5.2, the Advance Part Limit

_DECIMAL: Final = re.compile(r"0|[1-9]\d{0,14}", re.ASCII)  # no stream gets further


@dataclass(frozen=True, slots=True)
class PlaylistAsk:
    """A playlist that is asked for; `rendition` is "" for the default one.

    With `msn` it is to hold that segment, with `part` as well that part of it. `skip` asks for what
    is new only (a delta update).
    """

    rendition: str = ""
    kind: PlaylistKind = PlaylistKind.LOW_LATENCY
    msn: int | None = None
    part: int | None = None
    skip: bool = False

    @property
    def waits(self) -> bool:
        """Whether it is for what may not be there yet; of a multivariant playlist all is."""
        return self.msn is not None and not self.kind.is_multivariant


@dataclass(frozen=True, slots=True)
class Wait:
    """What will be there once a part is complete; `what` is the plane's own name for it."""

    part: int
    what: Hashable


class Parts:
    """The parts of a stream in one row: part `index` is part index % count of its segment."""

    def __init__(self, spec: BroadcastSpec) -> None:
        self.count = SEGMENT_FRAMES // spec.part_frames
        self.seconds = spec.part_frames * AAC_SAMPLES / SAMPLE_RATE
        self._captions = {one.name for one in spec.captions}
        self._names = Names(spec.stream)

    def index(self, position: Position) -> int:
        """Return a place in the row. A part beyond its segment's last is the next one's first."""
        return position.msn * self.count + min(position.part, self.count)

    def position(self, index: int) -> Position:
        """Return where part `index` of the row is."""
        return Position(*divmod(index, self.count))

    def msn(self, index: int) -> int:
        """Return the segment that a part is of."""
        return index // self.count

    def wanted(self, ask: PlaylistAsk) -> int | None:
        """Return the part that must be complete before the answer; None if nothing need be."""
        if ask.msn is None or not ask.waits:
            return None
        whole = self.count - 1
        if ask.rendition in self._captions:  # they are listed when they begin
            return self.index(Position(ask.msn - 1, whole))
        part = whole if ask.part is None or ask.kind is PlaylistKind.CLASSIC else ask.part
        return self.index(Position(ask.msn, part))

    def may_skip(self, ask: PlaylistAsk) -> bool:
        """Whether the answer may be a delta update."""
        is_live = ask.kind is PlaylistKind.LOW_LATENCY and ask.rendition not in self._captions
        return ask.skip and is_live

    def kind(self, ask: PlaylistAsk) -> PlaylistKind:
        """Return the kind that answers: captions have no parts, so both kinds are the same text."""
        return PlaylistKind.CLASSIC if ask.rendition in self._captions else ask.kind

    def is_too_far(self, ask: PlaylistAsk, position: int) -> bool:
        """Whether more is asked for than a player can know of; `position` is the part to come."""
        wanted = self.wanted(ask)
        if wanted is None:
            return False
        last_segment = self.msn(position) - 1
        if self.msn(wanted) > last_segment + AHEAD_SEGMENTS:
            return True
        ahead = math.ceil(AHEAD_S / self.seconds)
        is_part = ask.part is not None and ask.rendition not in self._captions
        return is_part and wanted > position - 1 + ahead

    def named(self, name: str) -> int | None:
        """Return which part a name is that of; None for everything else."""
        found = self._names.read_part(name)
        return self.index(found) if found is not None and found.part < self.count else None


def read_directives(query: Sequence[tuple[str, str]]) -> tuple[int | None, int | None, bool]:
    """Return `_HLS_msn`, `_HLS_part` and whether `_HLS_skip` is YES, of a query's pairs.

    Raises BadInput for a number that is none, a directive that stands twice, and a part of no
    segment (§6.2.5.2). Directives of later versions are not for us.
    """
    given: dict[str, str] = {}
    for name, value in query:
        if name in {"_HLS_msn", "_HLS_part", "_HLS_skip"}:
            if name in given:
                raise _mistake(name, "it stands there twice")
            given[name] = value
    msn, part = (_number(name, given) for name in ("_HLS_msn", "_HLS_part"))
    if part is not None and msn is None:
        raise _mistake("_HLS_part", "it needs _HLS_msn beside it")
    return msn, part, given.get("_HLS_skip") == "YES"


def _number(name: str, given: dict[str, str]) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if _DECIMAL.fullmatch(text) is None:
        raise _mistake(name, "a whole number from 0, of 15 digits at most")
    return int(text)


def _mistake(name: str, sentence: str) -> BadInput:
    return BadInput(fields=(FieldMistake(name, sentence),))
