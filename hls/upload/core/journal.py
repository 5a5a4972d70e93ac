"""What is known of an uploaded segment, as a line of JSON: enough for every playlist."""

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from hls.core.playlist import Entry
from hls.core.timeline import SEGMENT_FRAMES
from hls.types import KeySpec

MAX_LINE: Final = 2000
_IV_BYTES: Final = 16
_MAX_NUMBER: Final = 10**15
_MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment as a playlist names it, without its key.

    `turns` counts the discontinuities that came before or with it.
    """

    msn: int
    name: str
    init: str
    unix_s: float
    epoch: int
    uri: str
    iv: bytes
    turns: int = 0
    is_turn: bool = False
    frames: int = SEGMENT_FRAMES

    def entry(self, uri: str) -> Entry:
        """Return it for a playlist in which its key is at `uri`."""
        key = KeySpec(self.epoch, b"", self.iv, uri, 0)
        return Entry(
            self.msn,
            self.name,
            self.init,
            key,
            self.unix_s,
            is_discontinuous=self.is_turn,
            frames=self.frames,
        )


def listed(entry: Entry, turns: int) -> Listed:
    """Return what is remembered of an encrypted segment."""
    assert entry.key is not None, "what is broadcast is encrypted"
    return Listed(
        entry.msn,
        entry.name,
        entry.init,
        entry.unix_s,
        entry.key.epoch,
        entry.key.uri,
        entry.key.iv,
        turns,
        entry.is_discontinuous,
        entry.frames,
    )


def write_line(one: Listed) -> bytes:
    """Return it as one line."""
    document = {
        "msn": one.msn,
        "name": one.name,
        "init": one.init,
        "unix_s": one.unix_s,
        "epoch": one.epoch,
        "uri": one.uri,
        "iv": one.iv.hex(),
        "turns": one.turns,
        "is_turn": one.is_turn,
        "frames": one.frames,
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes) -> Listed | None:
    """Return what was written; None for anything else, such as half a line after a crash."""
    if len(line) > MAX_LINE:
        return None
    try:
        document = json.loads(line)
        one = Listed(
            msn=_number(document["msn"]),
            name=_name(document["name"]),
            init=_name(document["init"]),
            unix_s=float(document["unix_s"]),
            epoch=_number(document["epoch"]),
            uri=str(document["uri"]),
            iv=bytes.fromhex(document["iv"]),
            turns=_number(document["turns"]),
            is_turn=document["is_turn"] is True,
            frames=_number(document.get("frames", SEGMENT_FRAMES)),
        )
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    is_whole = (
        0 < one.frames <= SEGMENT_FRAMES
        and one.name
        and len(one.iv) == _IV_BYTES
        and math.isfinite(one.unix_s)
    )
    return one if is_whole and '"' not in one.uri and one.uri.isprintable() else None


def read_lines(data: bytes) -> dict[int, Listed]:
    """Return all lines that can be read, by number and in ascending order; the last one counts."""
    found = {one.msn: one for line in data.splitlines() if (one := read_line(line)) is not None}
    return dict(sorted(found.items()))


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_NUMBER:
        raise ValueError(value)
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or "/" in value or '"' in value or len(value) > _MAX_NAME:
        raise ValueError(value)
    if not (value.isprintable() and not value.startswith(".")):
        raise ValueError(value)
    return value
