"""The names of a stream's media: what one of them stands for, no other stream's ever does."""

import re
from dataclasses import dataclass
from typing import Final

from hls.types import Position

STREAM: Final = re.compile(r"[a-z0-9]{0,16}", re.ASCII)
_OF_STREAM: Final = r"seg-(?:([a-z0-9]{1,16})-)?(0|[1-9]\d{0,14})\."
_SEGMENT: Final = re.compile(_OF_STREAM + "(m4s|ts|aac|vtt)", re.ASCII)
_PART: Final = re.compile(_OF_STREAM + r"(0|[1-9]\d?)\.m4s", re.ASCII)


@dataclass(frozen=True, slots=True)
class Names:
    """Names of segments and parts; `stream` (of STREAM, "" = none) is in each of them."""

    stream: str = ""

    def segment(self, msn: int, extension: str) -> str:
        """Return the name of a segment."""
        return f"{self._place(msn)}.{extension}"

    def part(self, msn: int, part: int) -> str:
        """Return the name of a part, from 0."""
        return f"{self._place(msn)}.{part}.m4s"

    def read_segment(self, name: str) -> tuple[int, str] | None:
        """Return number and extension of a segment of this stream, None for every other name."""
        found = _SEGMENT.fullmatch(name)
        return (int(found[2]), found[3]) if found and (found[1] or "") == self.stream else None

    def read_part(self, name: str) -> Position | None:
        """Return which part of this stream a name is that of, None for every other name."""
        found = _PART.fullmatch(name)
        if found is None or (found[1] or "") != self.stream:
            return None
        return Position(int(found[2]), int(found[3]))

    def _place(self, msn: int) -> str:
        return f"seg-{self.stream}-{msn}" if self.stream else f"seg-{msn}"


def beside(name: str, msn: int) -> str:
    """Return the name of another segment of the same stream and kind, in the same folder."""
    folder, slash, own = name.rpartition("/")
    found = _SEGMENT.fullmatch(own)
    return folder + slash + Names(found[1] or "").segment(msn, found[3]) if found else name
